//! The file that bytes belong to, or the metadata of the file system that they are.

use std::{collections::HashMap, sync::Arc};

use iotop_common::Class;

use crate::{
    host::devices::{DeviceNames, own_inode},
    sample::{BlockFact, FileKey, Number},
};

/// Where bytes go to, or come from, if rows are files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A file.
    File(FileKey),
    /// The journal and the metadata of the file system on this device: both have no file of
    /// their own.
    Metadata(Number),
}

impl Place {
    /// The place of a fact. File systems read and write metadata through the device's own
    /// inode, as does a program that opens the device: that is taken for metadata only if the
    /// device is mounted.
    pub fn of(fact: &BlockFact, names: &mut DeviceNames) -> Place {
        let device = fact.device;
        match fact.class {
            Class::Journal | Class::Home | Class::Tree | Class::Metadata => Place::Metadata(device),
            _ if fact.ino == own_inode(device) && names.file_system(device).is_some() => {
                Place::Metadata(device)
            }
            _ => Place::File(fact.file_key()),
        }
    }

    /// The device that it is on.
    pub fn device(self) -> Number {
        match self {
            Place::File((device, ..)) | Place::Metadata(device) => device,
        }
    }

    /// Its name: a path if that is known.
    pub fn name(self, paths: &HashMap<FileKey, Arc<str>>, names: &mut DeviceNames) -> Arc<str> {
        match self {
            Place::File(file) => match paths.get(&file) {
                Some(path) => path.clone(),
                None => file_name(&names.name(file.0), file.1),
            },
            Place::Metadata(device) => metadata_name(device, names),
        }
    }
}

/// The name of a file whose path is not known.
fn file_name(device: &str, ino: u64) -> Arc<str> {
    match ino {
        0 => format!("{device}:no inode"),
        ino => format!("{device}:inode {ino}"),
    }
    .into()
}

/// `ext4 metadata of sda1: journal, inode tables, directories`.
fn metadata_name(device: Number, names: &mut DeviceNames) -> Arc<str> {
    let name = names.name(device);
    let Some(fs) = names.file_system(device) else {
        return format!("metadata of {name}").into();
    };
    let parts = match &*fs {
        "ext2" => ": inode tables, directories",
        "ext3" | "ext4" => ": journal, inode tables, directories",
        "xfs" => ": log, inodes, directories",
        "btrfs" => ": trees",
        _ => "",
    };
    format!("{fs} metadata of {name}{parts}").into()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::golden;

    #[test]
    fn metadata_is_named_by_its_file_system_and_a_device_by_its_path() {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(root.path().join("proc/self")).expect("made");
        let mounts = "30 22 8:1 / /srv rw - ext4 /dev/sda1 rw\n\
                      31 22 0:40 / /b rw - btrfs /dev/8:2 rw\n";
        fs::write(root.path().join("proc/self/mountinfo"), mounts).expect("written");
        let mut names = DeviceNames::new(root.path());
        let paths = HashMap::from([(((8, 3), 0x80_0003, 0), "/dev/sda3".into())]);
        let like = golden::sample().facts[0];
        let mut name = |device, ino, class| {
            let fact = BlockFact {
                device,
                ino,
                class,
                ..like
            };
            Place::of(&fact, &mut names).name(&paths, &mut names)
        };
        let ext4 = "ext4 metadata of 8:1: journal, inode tables, directories";
        // Journal, home, without an owner, and read: one row.
        for (ino, class) in [
            (0, Class::Journal),
            (0x80_0001, Class::Home),
            (0x80_0001, Class::Metadata),
            (0x80_0001, Class::Read),
        ] {
            assert_eq!(&*name((8, 1), ino, class), ext4, "{class:?}");
        }
        assert_eq!(&*name((8, 1), 12, Class::Exact), "8:1:inode 12");
        assert_eq!(
            &*name((8, 2), 1, Class::Tree),
            "btrfs metadata of 8:2: trees"
        );
        // Nobody has mounted this one: a program writes to the device itself.
        assert_eq!(&*name((8, 3), 0x80_0003, Class::Exact), "/dev/sda3");
        assert_eq!(&*name((8, 3), 0, Class::Journal), "metadata of 8:3");
    }
}
