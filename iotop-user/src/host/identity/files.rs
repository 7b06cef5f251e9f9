//! The paths of files, as they were when the kernel half reported them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use iotop_common::{
    FileHead,
    file::{NAME, SIBLING, WHOLE},
};

use super::{
    Mounts, btrfs,
    lookup::{Found, LookUps},
    mounts::MountId,
};
use crate::{
    host::devices::major_minor,
    sample::{FileKey, Number},
};

/// How many paths are kept at least: as many as the kernel half remembers inodes, of files
/// that are written and of files that are read. It reports an inode that it remembers only
/// once, so these paths must not be forgotten first.
const KEEP_PATHS: usize = (16 + 4) * 1024;
/// Paths are forgotten only once there are this many.
const MAX_PATHS: usize = KEEP_PATHS + 4 * 1024;

/// Up to this many directories are kept, whatever their age.
const MAX_DIRS: usize = 1024;
/// Beyond that, a directory is forgotten after this many batches. The kernel half reports a
/// directory again after about a second, and batches come ten times a second.
const DIR_BATCHES: u64 = 50;

/// Ends a name that was cut off.
const ELLIPSIS: char = '…';

/// Paths by file system and inode.
#[derive(Debug)]
pub struct Files {
    proc_root: PathBuf,
    sys_root: PathBuf,
    paths: HashMap<File, Known>,
    /// Paths of directories below their file system's root, by their dentry's address, with
    /// the batch that reported them last. The kernel half refers only to a directory that it
    /// reported a moment ago.
    dirs: HashMap<u64, (Arc<str>, u64)>,
    batch: u64,
    /// How often a path was reported or asked for. It orders paths by their last use.
    uses: u64,
    /// btrfs: the number of the file system on each device, by the device's number.
    on_devices: HashMap<Number, Number>,
    look_ups: LookUps,
}

/// `super_block.s_dev`, `inode.i_ino`, and what distinguishes inodes with the same number
/// (`FileHead::file`).
type File = (Number, u64, u32);

#[derive(Debug)]
struct Known {
    path: Arc<str>,
    /// The mount that showed it there.
    mount: MountId,
    /// `Files::uses` at the last use.
    used: u64,
}

impl Files {
    /// Starts without paths.
    pub fn new(proc_root: &Path, sys_root: &Path) -> Files {
        Files {
            proc_root: proc_root.to_owned(),
            sys_root: sys_root.to_owned(),
            paths: HashMap::new(),
            dirs: HashMap::new(),
            batch: 0,
            uses: 0,
            on_devices: HashMap::new(),
            look_ups: LookUps::default(),
        }
    }

    /// Starts a batch of paths that the kernel half has reported.
    pub fn told(&mut self) -> Told<'_> {
        Told {
            files: self,
            mounts: None,
        }
    }

    /// A file's path below its file system's root. `None` if the record does not reach up to
    /// the root or to a known directory.
    fn inside(&mut self, head: &FileHead, names: &[u8]) -> Option<String> {
        match head.whole {
            WHOLE => {
                let names = joined(head, names, "")?;
                let (dir, _) = names.rsplit_once('/')?;
                self.dirs.insert(head.dir, (dir.into(), self.batch));
                Some(names)
            }
            SIBLING => joined(head, names, &self.dirs.get(&head.dir)?.0),
            _ => None,
        }
    }

    /// The number of the btrfs on each device, up to date for these file systems.
    pub fn btrfs_on_devices(
        &mut self,
        mut file_systems: impl Iterator<Item = Number>,
    ) -> &HashMap<Number, Number> {
        let is_new = |fs: Number| fs.0 == 0 && !self.on_devices.values().any(|known| *known == fs);
        if file_systems.any(is_new) {
            let mounts = Mounts::read(&self.proc_root).unwrap_or_default();
            self.on_devices = btrfs::on_devices(&self.sys_root, &mounts);
        }
        &self.on_devices
    }

    fn begin_batch(&mut self) -> Mounts {
        let mounts = Mounts::read(&self.proc_root).unwrap_or_default();
        self.on_devices = btrfs::on_devices(&self.sys_root, &mounts);
        self.batch += 1;
        if self.dirs.len() > MAX_DIRS {
            let oldest = self.batch.saturating_sub(DIR_BATCHES);
            self.dirs.retain(|_, (_, batch)| *batch >= oldest);
        }
        mounts
    }

    /// Forgets the least recently used paths.
    fn forget(&mut self) {
        let mut uses: Vec<u64> = self.paths.values().map(|known| known.used).collect();
        let too_many = uses.len().saturating_sub(KEEP_PATHS);
        if too_many == 0 {
            return;
        }
        let (_, oldest_kept, _) = uses.select_nth_unstable(too_many);
        self.paths.retain(|_, known| known.used >= *oldest_kept);
    }

    /// The paths of these files, as far as they are known. A path is marked if its file was
    /// deleted or replaced. It is not checked if it is not known exactly, or if it leads to
    /// another mount now: that one hides the file, and its server may not answer.
    pub fn paths(
        &mut self,
        files: impl IntoIterator<Item = FileKey>,
    ) -> HashMap<FileKey, Arc<str>> {
        let known = files.into_iter();
        let mut paths: HashMap<FileKey, Arc<str>> = HashMap::new();
        let (mut checked, mut at): (Vec<FileKey>, Vec<Arc<str>>) = Default::default();
        let mut mounts = None;
        for key in known {
            let Some((path, mount)) = self.known(key) else {
                continue;
            };
            let mounts =
                mounts.get_or_insert_with(|| Mounts::read(&self.proc_root).unwrap_or_default());
            // A name was cut off, or invalid UTF-8 in it was replaced: there is no such path.
            let is_exact = !path.contains([ELLIPSIS, char::REPLACEMENT_CHARACTER]);
            if is_exact && mounts.reached(&path) == Some(mount) {
                checked.push(key);
                at.push(path.clone());
            }
            paths.insert(key, path);
        }
        let found = self.look_ups.find(&at);
        for ((key, path), found) in checked.into_iter().zip(at).zip(found) {
            let mark = match found {
                Found::Nothing => "deleted",
                Found::Inode(ino) if ino != key.1 => "replaced",
                _ => continue,
            };
            paths.insert(key, format!("{path} ({mark})").into());
        }
        paths
    }

    /// The path of a file that was written to this device, and its mount.
    fn known(&mut self, (device, ino, file): FileKey) -> Option<(Arc<str>, MountId)> {
        let fs = self.on_devices.get(&device).unwrap_or(&device);
        let known = self.paths.get_mut(&(*fs, ino, file))?;
        self.uses += 1;
        known.used = self.uses;
        Some((known.path.clone(), known.mount))
    }
}

/// A batch of paths that the kernel half has reported.
pub struct Told<'a> {
    files: &'a mut Files,
    /// Read when the first file is added.
    mounts: Option<Mounts>,
}

impl Told<'_> {
    /// Adds a file. Its names are laid out as in [`iotop_common::FileName`].
    pub fn add(&mut self, head: &FileHead, names: &[u8]) {
        let Told { files, mounts } = self;
        let mounts = mounts.get_or_insert_with(|| files.begin_batch());
        let dev = major_minor(head.dev);
        let inside = files.inside(head, names);
        let Some((mount, path)) = inside.and_then(|inside| mounts.path(dev, &inside)) else {
            return;
        };
        if files.paths.len() >= MAX_PATHS {
            files.forget();
        }
        files.uses += 1;
        let known = Known {
            path: path.into(),
            mount,
            used: files.uses,
        };
        files.paths.insert((dev, head.ino, head.file), known);
    }
}

/// Joins a directory's path and the reported names, from the top down. A name that was cut
/// off ends with an ellipsis.
fn joined(head: &FileHead, names: &[u8], dir: &str) -> Option<String> {
    let names: Vec<&[u8]> = names.chunks(NAME).collect();
    let names = names.get(..head.count as usize)?;
    let mut path = dir.to_owned();
    for name in names.iter().rev() {
        let end = name.iter().position(|byte| *byte == 0)?;
        path.push('/');
        path.push_str(&String::from_utf8_lossy(&name[..end]));
        if end == NAME - 1 {
            path.push(ELLIPSIS);
        }
    }
    (!names.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use iotop_common::file::CUT;

    use super::*;

    /// A record.
    type Record = (FileHead, Vec<u8>);

    fn record(names: &[impl AsRef<[u8]>], ino: u64, dev: Number) -> Record {
        let head = FileHead {
            ino,
            dev: dev.0 << 20 | dev.1,
            count: names.len() as u32,
            whole: WHOLE,
            file: 9,
            dir: 0xd1,
        };
        let mut bytes = Vec::new();
        for name in names.iter().rev() {
            bytes.resize(bytes.len().next_multiple_of(NAME), b'?');
            bytes.extend_from_slice(name.as_ref());
            bytes.push(0);
        }
        (head, bytes)
    }

    fn add(files: &mut Files, records: &[Record]) {
        let mut told = files.told();
        for (head, names) in records {
            told.add(head, names);
        }
    }

    fn inside(files: &mut Files, (head, names): &Record) -> Option<String> {
        files.inside(head, names)
    }

    fn path(files: &mut Files, key: FileKey) -> Option<String> {
        files.paths([key]).remove(&key).map(|path| path.to_string())
    }

    /// A proc tree whose only mount is this directory.
    fn files(directory: &Path) -> Files {
        let line = format!("1 0 8:1 / {} rw - ext4 x rw\n", directory.display());
        fs::create_dir_all(directory.join("self")).expect("made");
        fs::write(directory.join("self/mountinfo"), line).expect("written");
        Files::new(directory, directory)
    }

    #[test]
    fn a_path_is_marked_if_its_file_was_deleted_or_replaced() {
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        let place = root.path().join("log");
        fs::write(&place, "x").expect("written");
        let ino = fs::metadata(&place).expect("there").ino();
        add(
            &mut files,
            &[
                record(&["log"], ino, (8, 1)),
                record(&["log"], ino + 1, (8, 1)),
            ],
        );
        let mut path = |ino| path(&mut files, ((8, 1), ino, 9));
        let plain = place.display().to_string();
        assert_eq!(path(ino).as_ref(), Some(&plain));
        assert_eq!(path(ino + 1), Some(format!("{plain} (replaced)")));
        fs::remove_file(&place).expect("removed");
        assert_eq!(path(ino), Some(format!("{plain} (deleted)")));
        assert_eq!(path(99), None);
        assert_eq!(super::tests::path(&mut files, ((8, 1), ino, 8)), None);
        let long = "n".repeat(NAME - 1);
        add(&mut files, &[record(&[&long], 7, (8, 1))]);
        let path = super::tests::path(&mut files, ((8, 1), 7, 9));
        assert!(path.is_some_and(|path| path.ends_with(ELLIPSIS)));
    }

    #[test]
    fn a_file_below_a_mount_is_neither_deleted_nor_looked_up() {
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        add(&mut files, &[record(&["logs", "app"], 5, (8, 1))]);
        let plain = root.path().join("logs/app").display().to_string();
        let key = ((8, 1), 5, 9);
        assert_eq!(path(&mut files, key), Some(format!("{plain} (deleted)")));
        let mountinfo = root.path().join("self/mountinfo");
        let alone = fs::read_to_string(&mountinfo).expect("there");
        let above = format!("2 1 0:50 / {}/logs rw - fuse x rw\n", root.path().display());
        fs::write(&mountinfo, alone + &above).expect("written");
        assert_eq!(path(&mut files, key).as_ref(), Some(&plain));
        // The file system is mounted nowhere any more.
        fs::write(&mountinfo, "").expect("written");
        assert_eq!(path(&mut files, key), Some(plain));
    }

    #[test]
    fn a_file_in_constant_use_keeps_its_path() {
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        add(&mut files, &[record(&["table"], 1, (8, 1))]);
        for thousand in 1..=3 * MAX_PATHS as u64 / 1000 {
            let inodes = thousand * 1000..(thousand + 1) * 1000;
            let spool: Vec<_> = inodes.map(|ino| record(&["spool"], ino, (8, 1))).collect();
            add(&mut files, &spool);
            assert!(
                path(&mut files, ((8, 1), 1, 9)).is_some(),
                "after {thousand}000"
            );
        }
        assert!(files.paths.len() <= MAX_PATHS);
    }

    #[test]
    fn a_file_whose_name_is_not_utf_8_is_not_called_deleted() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        let name = b"caf\xe9";
        let place = root.path().join(OsStr::from_bytes(name));
        fs::write(&place, "x").expect("written");
        let ino = fs::metadata(&place).expect("there").ino();
        add(&mut files, &[record(&[name], ino, (8, 1))]);
        let path = path(&mut files, ((8, 1), ino, 9)).expect("known");
        assert!(path.ends_with("/caf\u{fffd}"), "{path}");
    }

    #[test]
    fn an_incomplete_path_is_unknown_and_a_long_name_is_marked() {
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        let mut file = record(&["a", "b"], 5, (8, 1));
        assert_eq!(inside(&mut files, &file).as_deref(), Some("/a/b"));
        file.0.whole = CUT;
        assert_eq!(inside(&mut files, &file), None);
        let long = "n".repeat(NAME - 1);
        assert_eq!(
            inside(&mut files, &record(&[&long], 5, (8, 1))),
            Some(format!("/{long}…"))
        );
    }

    #[test]
    fn a_sibling_of_a_reported_file_has_the_same_directory() {
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        let mut sibling = record(&["second"], 6, (8, 1));
        sibling.0.whole = SIBLING;
        assert_eq!(
            inside(&mut files, &sibling),
            None,
            "its directory is not known"
        );
        let first = record(&["srv", "db", "first"], 5, (8, 1));
        assert_eq!(inside(&mut files, &first).as_deref(), Some("/srv/db/first"));
        assert_eq!(
            inside(&mut files, &sibling).as_deref(),
            Some("/srv/db/second")
        );
        let mut other = record(&["tmp", "x"], 7, (8, 1));
        other.0.dir = 0xd2;
        inside(&mut files, &other);
        assert_eq!(
            inside(&mut files, &sibling).as_deref(),
            Some("/srv/db/second")
        );
    }
}
