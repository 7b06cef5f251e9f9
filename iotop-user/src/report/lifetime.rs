//! What file systems and drives have counted since they were made, as far as /sys has it.

use std::{fs, path::Path};

/// A counter that is older than any recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// What was written to a file system since it was made: `lifetime_write_kbytes` of
    /// /sys/fs/ext4 and /sys/fs/f2fs.
    FileSystem {
        /// The device that it is on.
        device: String,
        /// Its type.
        file_system: String,
        /// Number of bytes.
        written: u64,
    },
    /// How much of its life a drive has used, by its own estimate, in percent: `life_time` of
    /// an eMMC, which has steps of 10 %.
    Drive {
        /// The drive.
        device: String,
        /// It has used up to so much.
        percent: u64,
    },
}

/// Every counter below `sys_root`, by device.
pub fn lifetimes(sys_root: &Path) -> Vec<Lifetime> {
    let mut found = Vec::new();
    for file_system in ["ext4", "f2fs"] {
        for device in names(&sys_root.join("fs").join(file_system)) {
            let path = sys_root.join("fs").join(file_system).join(&device);
            let text = fs::read_to_string(path.join("lifetime_write_kbytes"));
            if let Some(kib) = text.ok().and_then(|text| text.trim().parse::<u64>().ok()) {
                found.push(Lifetime::FileSystem {
                    device,
                    file_system: file_system.to_owned(),
                    written: kib.saturating_mul(1024),
                });
            }
        }
    }
    for device in names(&sys_root.join("block")) {
        let path = sys_root
            .join("block")
            .join(&device)
            .join("device/life_time");
        if let Some(percent) = fs::read_to_string(path).ok().and_then(|text| used(&text)) {
            found.push(Lifetime::Drive { device, percent });
        }
    }
    found
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// The larger one of `0x01 0x02`, in steps of 10 %. 0 means that the drive does not say.
fn used(text: &str) -> Option<u64> {
    let steps = text.split_whitespace().filter_map(|step| {
        let digits = step.strip_prefix("0x")?;
        u64::from_str_radix(digits, 16).ok()
    });
    let step = steps.max().filter(|step| (1..=11).contains(step))?;
    Some(step * 10)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn counters_are_found_where_there_are_any() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let sys = root.path();
        assert_eq!(lifetimes(sys), []);
        for (file, text) in [
            ("fs/ext4/sda1/lifetime_write_kbytes", "1000\n"),
            ("fs/ext4/features/lazy_itable_init", "supported\n"),
            ("fs/f2fs/sdb1/lifetime_write_kbytes", "hostile\n"),
            ("block/mmcblk0/device/life_time", "0x01 0x02\n"),
            ("block/mmcblk1/device/life_time", "0x00 0x00\n"),
            ("block/sda/device/model", "x\n"),
        ] {
            let path = sys.join(file);
            fs::create_dir_all(path.parent().unwrap_or(sys))?;
            fs::write(path, text)?;
        }
        let ext4 = Lifetime::FileSystem {
            device: "sda1".to_owned(),
            file_system: "ext4".to_owned(),
            written: 1_024_000,
        };
        let emmc = Lifetime::Drive {
            device: "mmcblk0".to_owned(),
            percent: 20,
        };
        assert_eq!(lifetimes(sys), [ext4, emmc]);
        Ok(())
    }
}
