//! Block devices of /sys/class/block: which lie below another one.

use std::{fs, io, path::Path};

/// A device number as the kernel keeps it inside (`MKDEV` of include/linux/kdev_t.h).
pub fn kernel_dev(major: u32, minor: u32) -> u32 {
    major << 20 | minor & 0xf_ffff
}

/// The major and minor number of a kernel device number.
pub fn major_minor(dev: u32) -> (u32, u32) {
    (dev >> 20, dev & 0xf_ffff)
}

/// Every device that is a slave of another one (device-mapper, md, bcache):
/// what is written to it is a copy of what was written above.
///
/// # Errors
///
/// `class/block` can't be listed. Devices that vanish meanwhile are passed over.
pub fn lower_devices(sys_root: &Path) -> io::Result<Vec<u32>> {
    let class = sys_root.join("class/block");
    let mut lower = Vec::new();
    for device in fs::read_dir(&class)? {
        let Ok(slaves) = fs::read_dir(device?.path().join("slaves")) else {
            continue;
        };
        for slave in slaves.flatten() {
            let text = fs::read_to_string(class.join(slave.file_name()).join("dev"));
            lower.extend(text.ok().and_then(|text| parse_dev(&text)));
        }
    }
    lower.sort_unstable();
    lower.dedup();
    Ok(lower)
}

fn parse_dev(text: &str) -> Option<u32> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(kernel_dev(major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slaves_of_a_mapped_device_are_lower_devices() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        let class = root.path().join("class/block");
        for (name, dev) in [("dm-0", "253:0"), ("sda2", "8:2"), ("sdb", "8:16")] {
            fs::create_dir_all(class.join(name).join("slaves"))?;
            fs::write(class.join(name).join("dev"), format!("{dev}\n"))?;
        }
        fs::create_dir(class.join("dm-0/slaves/sda2"))?;
        assert_eq!(lower_devices(root.path())?, vec![kernel_dev(8, 2)]);
        Ok(())
    }

    #[test]
    fn a_device_number_comes_apart_as_it_was_made() {
        assert_eq!(major_minor(kernel_dev(259, 70_000)), (259, 70_000));
    }
}
