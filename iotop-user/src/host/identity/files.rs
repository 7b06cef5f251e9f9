//! The paths of files, as they were when the kernel half first saw them.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use iotop_common::{
    FileHead,
    file::{NAME, SIBLING, WHOLE},
};

use super::{Mounts, btrfs};
use crate::{host::devices::major_minor, sample::Number};

/// As many as the kernel half remembers inodes. It tells one of those it remembers
/// once: those used last have to be enough for them.
const KEPT: usize = 16 * 1024;
const MOST: usize = KEPT + 4 * 1024;

/// Directories that are kept without a look at their age.
const MOST_DIRS: usize = 1024;
/// A directory is told again after about a second; batches come ten times a second.
const BATCHES: u64 = 50;

/// The end of a name that was longer.
const CUT_OFF: char = '…';

/// Paths by file system and inode.
#[derive(Debug)]
pub struct Files {
    proc_root: PathBuf,
    sys_root: PathBuf,
    paths: HashMap<File, Known>,
    /// Paths of directories below their file system's root, by their dentry's address,
    /// with the batch that told of them: one that is not told again is not referred to.
    dirs: HashMap<u64, (Arc<str>, u64)>,
    batch: u64,
    /// How often a path was told or asked for.
    uses: u64,
    /// The file system on each device of one that has a number of its own.
    on_devices: HashMap<Number, Number>,
}

/// `super_block.s_dev`, `inode.i_ino`, and what tells inodes of one number apart.
type File = (Number, u64, u32);

#[derive(Debug)]
struct Known {
    path: Arc<str>,
    /// `Files::uses` at the last one.
    used: u64,
}

impl Files {
    /// None known yet.
    pub fn new(proc_root: &Path, sys_root: &Path) -> Files {
        Files {
            proc_root: proc_root.to_owned(),
            sys_root: sys_root.to_owned(),
            paths: HashMap::new(),
            dirs: HashMap::new(),
            batch: 0,
            uses: 0,
            on_devices: HashMap::new(),
        }
    }

    /// A batch of what the kernel half tells.
    pub fn told(&mut self) -> Told<'_> {
        Told {
            files: self,
            mounts: None,
        }
    }

    /// The path below the file system's root. Where it is not whole it can't be
    /// told where it begins.
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

    fn begin_batch(&mut self) -> Mounts {
        let mounts = Mounts::read(&self.proc_root).unwrap_or_default();
        self.on_devices = btrfs::on_devices(&self.sys_root, &mounts);
        self.batch += 1;
        if self.dirs.len() > MOST_DIRS {
            let oldest = self.batch.saturating_sub(BATCHES);
            self.dirs.retain(|_, (_, batch)| *batch >= oldest);
        }
        mounts
    }

    /// Those that were not used for longest.
    fn forget(&mut self) {
        let mut uses: Vec<u64> = self.paths.values().map(|known| known.used).collect();
        let too_many = uses.len().saturating_sub(KEPT);
        if too_many == 0 {
            return;
        }
        let (_, oldest_kept, _) = uses.select_nth_unstable(too_many);
        self.paths.retain(|_, known| known.used >= *oldest_kept);
    }

    /// The path of a file that was written to this device; marked where another
    /// file or none lies there now, as far as the path is known to its end.
    pub fn path(&mut self, device: Number, ino: u64, file: u32) -> Option<Arc<str>> {
        let fs = self.on_devices.get(&device).unwrap_or(&device);
        let known = self.paths.get_mut(&(*fs, ino, file))?;
        self.uses += 1;
        known.used = self.uses;
        let path = &known.path;
        // What is not UTF-8 in a name has been replaced.
        if path.contains([CUT_OFF, char::REPLACEMENT_CHARACTER]) {
            return Some(path.clone());
        }
        match fs::symlink_metadata(&**path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Some(format!("{path} (deleted)").into())
            }
            Ok(found) if found.ino() != ino => Some(format!("{path} (replaced)").into()),
            _ => Some(path.clone()),
        }
    }
}

/// Takes in what the kernel half tells at once.
pub struct Told<'a> {
    files: &'a mut Files,
    /// Read for the first file.
    mounts: Option<Mounts>,
}

impl Told<'_> {
    /// A file, and its names as they lie in an [`iotop_common::FileName`].
    pub fn add(&mut self, head: &FileHead, names: &[u8]) {
        let Told { files, mounts } = self;
        let mounts = mounts.get_or_insert_with(|| files.begin_batch());
        let dev = major_minor(head.dev);
        let inside = files.inside(head, names);
        let Some(path) = inside.and_then(|inside| mounts.path(dev, &inside)) else {
            return;
        };
        if files.paths.len() >= MOST {
            files.forget();
        }
        files.uses += 1;
        let known = Known {
            path: path.into(),
            used: files.uses,
        };
        files.paths.insert((dev, head.ino, head.file), known);
    }
}

/// The names that were told, from the top down, behind those of a directory; one that
/// was cut off ends with an ellipsis.
fn joined(head: &FileHead, names: &[u8], dir: &str) -> Option<String> {
    let names: Vec<&[u8]> = names.chunks(NAME).collect();
    let names = names.get(..head.count as usize)?;
    let mut path = dir.to_owned();
    for name in names.iter().rev() {
        let end = name.iter().position(|byte| *byte == 0)?;
        path.push('/');
        path.push_str(&String::from_utf8_lossy(&name[..end]));
        if end == NAME - 1 {
            path.push(CUT_OFF);
        }
    }
    (!names.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use iotop_common::file::CUT;

    use super::*;

    /// A record.
    type Record = (FileHead, Vec<u8>);

    fn told(names: &[impl AsRef<[u8]>], ino: u64, dev: Number) -> Record {
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

    /// A proc tree whose only mount is a directory of ours.
    fn files(directory: &Path) -> Files {
        let line = format!("1 0 8:1 / {} rw - ext4 x rw\n", directory.display());
        fs::create_dir_all(directory.join("self")).expect("made");
        fs::write(directory.join("self/mountinfo"), line).expect("written");
        Files::new(directory, directory)
    }

    #[test]
    fn a_path_is_marked_when_its_file_is_gone_or_another_one() {
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        let place = root.path().join("log");
        fs::write(&place, "x").expect("written");
        let ino = fs::metadata(&place).expect("there").ino();
        add(
            &mut files,
            &[told(&["log"], ino, (8, 1)), told(&["log"], ino + 1, (8, 1))],
        );
        let mut path = |ino| files.path((8, 1), ino, 9).map(|path| path.to_string());
        let plain = place.display().to_string();
        assert_eq!(path(ino).as_ref(), Some(&plain));
        assert_eq!(path(ino + 1), Some(format!("{plain} (replaced)")));
        fs::remove_file(&place).expect("removed");
        assert_eq!(path(ino), Some(format!("{plain} (deleted)")));
        assert_eq!(path(99), None);
        assert_eq!(files.path((8, 1), ino, 8), None);
        let long = "n".repeat(NAME - 1);
        add(&mut files, &[told(&[&long], 7, (8, 1))]);
        let path = files.path((8, 1), 7, 9);
        assert!(path.is_some_and(|path| path.ends_with(CUT_OFF)));
    }

    #[test]
    fn a_file_in_constant_use_keeps_its_path_however_many_are_told() {
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        add(&mut files, &[told(&["table"], 1, (8, 1))]);
        for thousand in 1..=3 * MOST as u64 / 1000 {
            let inodes = thousand * 1000..(thousand + 1) * 1000;
            let spool: Vec<_> = inodes.map(|ino| told(&["spool"], ino, (8, 1))).collect();
            add(&mut files, &spool);
            assert!(files.path((8, 1), 1, 9).is_some(), "after {thousand}000");
        }
        assert!(files.paths.len() <= MOST);
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
        add(&mut files, &[told(&[name], ino, (8, 1))]);
        let path = files.path((8, 1), ino, 9).expect("known");
        assert!(path.ends_with("/caf\u{fffd}"), "{path}");
    }

    #[test]
    fn a_path_that_is_not_whole_is_unknown_and_a_long_name_is_marked() {
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        let mut file = told(&["a", "b"], 5, (8, 1));
        assert_eq!(inside(&mut files, &file).as_deref(), Some("/a/b"));
        file.0.whole = CUT;
        assert_eq!(inside(&mut files, &file), None);
        let long = "n".repeat(NAME - 1);
        assert_eq!(
            inside(&mut files, &told(&[&long], 5, (8, 1))),
            Some(format!("/{long}…"))
        );
    }

    #[test]
    fn a_file_beside_one_that_was_told_has_the_same_directory() {
        let root = tempfile::tempdir().expect("a directory");
        let mut files = files(root.path());
        let mut sibling = told(&["second"], 6, (8, 1));
        sibling.0.whole = SIBLING;
        assert_eq!(
            inside(&mut files, &sibling),
            None,
            "its directory is not known"
        );
        let first = told(&["srv", "db", "first"], 5, (8, 1));
        assert_eq!(inside(&mut files, &first).as_deref(), Some("/srv/db/first"));
        assert_eq!(
            inside(&mut files, &sibling).as_deref(),
            Some("/srv/db/second")
        );
        let mut other = told(&["tmp", "x"], 7, (8, 1));
        other.0.dir = 0xd2;
        inside(&mut files, &other);
        assert_eq!(
            inside(&mut files, &sibling).as_deref(),
            Some("/srv/db/second")
        );
    }
}
