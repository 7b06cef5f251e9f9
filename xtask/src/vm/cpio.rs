//! An archive in the format that the kernel unpacks at boot ("newc", see
//! Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeSet;
use std::path::{Component, Path};

const FILE: u32 = 0o100_755;
const DIR: u32 = 0o040_755;

/// An archive that is being made.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    dirs: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// Adds an executable file, and the directories it lies in.
    pub fn file(&mut self, path: &Path, content: &[u8]) {
        if let Some(parent) = path.parent() {
            self.dir(parent);
        }
        self.entry(&name(path), FILE, content);
    }

    /// Adds a directory, and those it lies in.
    pub fn dir(&mut self, path: &Path) {
        let name = name(path);
        if name.is_empty() || self.dirs.contains(&name) {
            return;
        }
        if let Some(parent) = path.parent() {
            self.dir(parent);
        }
        self.entry(&name, DIR, &[]);
        self.dirs.insert(name);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let links = if mode == DIR { 2 } else { 1 };
        // ino, mode, uid, gid, nlink, mtime, filesize, four of devices,
        // namesize with its NUL, check.
        let (len, named) = (content.len() as u32, name.len() as u32 + 1);
        let fields = [
            self.entries,
            mode,
            0,
            0,
            links,
            0,
            len,
            0,
            0,
            0,
            0,
            named,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    /// The header with the name, and the content, both end at a multiple of 4.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// A path without its leading slash, `.` and `..`.
fn name(path: &Path) -> String {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_directories_come_once_and_first() {
        let mut archive = Archive::default();
        archive.file(Path::new("/a/b/one"), b"12345");
        archive.file(Path::new("/a/b/two"), b"");
        archive.dir(Path::new("/a"));
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<&str> = text.split("070701").skip(1).collect();
        let names: Vec<&str> = names
            .iter()
            .map(|entry| entry[104..].split('\0').next().unwrap_or_default())
            .collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two", "TRAILER!!!"]);
        // The file's size is the seventh field.
        let one = text.split("070701").nth(3).unwrap_or_default();
        assert_eq!(&one[48..56], "00000005");
    }
}
