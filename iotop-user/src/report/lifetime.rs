//! What file systems and drives have counted since they were made.

use std::{fs, path::Path};

use crate::host::smart::Smart;

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
    /// What a drive counts itself: an eMMC in /sys (`life_time`), others by SMART.
    Drive {
        /// The drive.
        device: String,
        /// Number of bytes that were written to it.
        written: Option<u64>,
        /// It has used up to so much of its life, by its own estimate, in percent. That of an eMMC
        /// has steps of 10 %.
        percent: Option<u64>,
    },
}

/// The counters of the file systems and drives among these devices, by device. `ask` asks a drive
/// of which /sys has nothing.
pub fn lifetimes(
    sys_root: &Path,
    devices: &[&str],
    ask: impl Fn(&str) -> Option<Smart>,
) -> Vec<Lifetime> {
    let mut found = Vec::new();
    for file_system in ["ext4", "f2fs"] {
        let directory = sys_root.join("fs").join(file_system);
        for device in names(&directory) {
            let counter = directory.join(&device).join("lifetime_write_kbytes");
            let text = fs::read_to_string(counter).ok();
            let kib = text.and_then(|text| text.trim().parse::<u64>().ok());
            if let Some(kib) = kib.filter(|_| devices.contains(&device.as_str())) {
                found.push(Lifetime::FileSystem {
                    device,
                    file_system: file_system.to_owned(),
                    written: kib.saturating_mul(1024),
                });
            }
        }
    }
    for device in names(&sys_root.join("block")) {
        // Without it, there is no drive: a loop device, dm or md.
        let drive = sys_root.join("block").join(&device).join("device");
        if !drive.exists() || !devices.iter().any(|part| is_on(part, &device)) {
            continue;
        }
        let life = fs::read_to_string(drive.join("life_time")).ok();
        let smart = match life.and_then(|text| used(&text)) {
            Some(percent) => Some(Smart {
                written: None,
                percent: Some(percent),
            }),
            None => ask(&device),
        };
        if let Some(Smart { written, percent }) = smart {
            found.push(Lifetime::Drive {
                device,
                written,
                percent,
            });
        }
    }
    found
}

/// Whether it is the drive, or a partition of it: `sda1`, `nvme0n1p1`.
fn is_on(device: &str, drive: &str) -> bool {
    let Some(part) = device.strip_prefix(drive) else {
        return false;
    };
    let ends_in_digit = drive.ends_with(|c: char| c.is_ascii_digit());
    let number = match ends_in_digit {
        true => part.strip_prefix('p'),
        false => Some(part),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    part.is_empty() || number.is_some_and(is_number)
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
        let devices = ["sda1", "sdb1", "mmcblk0p1", "mmcblk1", "nvme0n1p2", "loop0"];
        let smart = Smart {
            written: Some(512_000),
            percent: None,
        };
        let ask = |drive: &str| (drive == "nvme0n1" || drive == "nvme1n1").then_some(smart);
        assert_eq!(lifetimes(sys, &devices, ask), []);
        for (file, text) in [
            ("fs/ext4/sda1/lifetime_write_kbytes", "1000\n"),
            ("fs/ext4/sdc1/lifetime_write_kbytes", "1000\n"),
            ("fs/ext4/features/lazy_itable_init", "supported\n"),
            ("fs/f2fs/sdb1/lifetime_write_kbytes", "hostile\n"),
            ("block/loop0/size", "1\n"),
            ("block/mmcblk0/device/life_time", "0x01 0x02\n"),
            ("block/mmcblk1/device/life_time", "0x00 0x00\n"),
            ("block/nvme0n1/device/model", "x\n"),
            ("block/nvme1n1/device/model", "not written to\n"),
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
            written: None,
            percent: Some(20),
        };
        let nvme = Lifetime::Drive {
            device: "nvme0n1".to_owned(),
            written: Some(512_000),
            percent: None,
        };
        assert_eq!(lifetimes(sys, &devices, ask), [ext4, emmc, nvme]);
        Ok(())
    }

    #[test]
    fn a_partition_is_on_its_own_drive_only() {
        for (device, drive, is) in [
            ("sda", "sda", true),
            ("sda12", "sda", true),
            ("sdaa", "sda", false),
            ("sdaa1", "sda", false),
            ("nvme0n1p2", "nvme0n1", true),
            ("nvme0n12", "nvme0n1", false),
            ("mmcblk0boot0", "mmcblk0", false),
        ] {
            assert_eq!(is_on(device, drive), is, "{device} {drive}");
        }
    }
}
