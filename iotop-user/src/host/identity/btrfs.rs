//! btrfs: a file system has a device number of its own, and lies on one or more devices with
//! other numbers.

use std::{collections::HashMap, fs, path::Path};

use super::Mounts;
use crate::{host::devices::parse_number, sample::Number};

/// The number of the mounted btrfs file system on each device, by the device's number.
/// `fs/btrfs/UUID/devices` of sysfs lists a file system's devices; a mount names one of them.
pub fn on_devices(sys_root: &Path, mounts: &Mounts) -> HashMap<Number, Number> {
    let mounted: Vec<_> = mounts.of_type("btrfs").collect();
    if mounted.is_empty() {
        return HashMap::new();
    }
    let mut found = HashMap::new();
    for members in members(sys_root) {
        let of_these = |source: &str| {
            let name = source.rsplit('/').next().unwrap_or(source);
            members
                .iter()
                .any(|member| member.name == name || member.is_node(source))
        };
        if let Some((fs, _)) = mounted.iter().find(|(_, source)| of_these(source)) {
            found.extend(members.iter().map(|member| (member.number, *fs)));
        }
    }
    found
}

/// A device of a file system.
struct Member {
    name: String,
    number: Number,
}

impl Member {
    /// True if a path leads to this device. It may be a symbolic link, such as those of
    /// device-mapper.
    fn is_node(&self, path: &str) -> bool {
        let real = fs::canonicalize(path).ok();
        real.is_some_and(|real| real.file_name().is_some_and(|name| *name == *self.name))
    }
}

/// The devices of each btrfs file system that the kernel knows.
fn members(sys_root: &Path) -> Vec<Vec<Member>> {
    let read = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    read(&sys_root.join("fs/btrfs"))
        .map(|fs_dir| {
            read(&fs_dir.path().join("devices"))
                .filter_map(|device| {
                    let number = fs::read_to_string(device.path().join("dev")).ok()?;
                    Some(Member {
                        name: device.file_name().to_string_lossy().into_owned(),
                        number: parse_number(&number)?,
                    })
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_of_a_mounted_file_system_leads_to_it() {
        let root = tempfile::tempdir().expect("a directory");
        for (uuid, name, number) in [
            ("a", "sdb", "8:16"),
            ("a", "sdc", "8:32"),
            ("b", "sdd", "8:48"),
        ] {
            let device = root
                .path()
                .join("fs/btrfs")
                .join(uuid)
                .join("devices")
                .join(name);
            fs::create_dir_all(&device).expect("made");
            fs::write(device.join("dev"), format!("{number}\n")).expect("written");
        }
        fs::create_dir_all(root.path().join("fs/btrfs/features")).expect("made");
        let proc_root = root.path().join("proc");
        fs::create_dir_all(proc_root.join("self")).expect("made");
        let line = "40 22 0:41 /@ /srv rw - btrfs /dev/sdc rw\n";
        fs::write(proc_root.join("self/mountinfo"), line).expect("written");
        let mounts = Mounts::read(&proc_root).expect("readable");
        let found = on_devices(root.path(), &mounts);
        let expected = HashMap::from([((8, 16), (0, 41)), ((8, 32), (0, 41))]);
        assert_eq!(found, expected);
    }
}
