//! Writes what file systems have in memory (syncfs(2)).

use std::path::Path;

use rustix::fs::{Mode, OFlags, open, syncfs};

use crate::{
    host::{devices, identity::Mounts},
    sample::Number,
};

/// Writes the file systems on these devices, or all that are on block devices. Returns those that
/// can't be written: mount point and error.
pub(super) fn file_systems(proc_root: &Path, devices: Option<&[Number]>) -> Vec<String> {
    let mounts = match Mounts::read(proc_root) {
        Ok(mounts) => mounts,
        Err(error) => return vec![format!("/proc/self/mountinfo: {error}")],
    };
    let is_wanted = |number: Number, source: &str| match devices {
        None => true,
        // btrfs has a number of its own; its source names the device.
        Some(devices) => {
            devices.contains(&number)
                || devices::number_of_node(source).is_some_and(|node| devices.contains(&node))
        }
    };
    let points = mounts.on_block_devices(is_wanted);
    let failed = points.iter().filter_map(|point| {
        let error = sync(point).err()?;
        Some(format!("{point}: {error}"))
    });
    failed.collect()
}

fn sync(point: &str) -> rustix::io::Result<()> {
    // What is mounted may be a single file.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    syncfs(open(point, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_that_is_not_there_is_reported_and_the_others_are_written() {
        let root = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(root.path().join("self")).expect("made");
        let text = "1 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                    2 1 8:2 / /no\\040such rw - ext4 /dev/sda2 rw\n";
        std::fs::write(root.path().join("self/mountinfo"), text).expect("written");
        let missing = ["/no such: No such file or directory (os error 2)"];
        assert_eq!(file_systems(root.path(), None), missing);
        assert_eq!(file_systems(root.path(), Some(&[(8, 2)])), missing);
        assert!(file_systems(root.path(), Some(&[(8, 1)])).is_empty());
        assert!(file_systems(root.path(), Some(&[])).is_empty());
    }
}
