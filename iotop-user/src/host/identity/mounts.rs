//! `/proc/self/mountinfo` (proc_pid_mountinfo(5)): where a file system is
//! mounted.

use std::{fs, io, path::Path};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// `super_block.s_dev`.
    dev: (u32, u32),
    /// The directory of the file system that is mounted. `/` is the whole file system.
    root: String,
    /// The mount point.
    point: String,
    /// The file system's type.
    fs_type: String,
    /// What is mounted: for most file systems, a device's path.
    source: String,
    /// The file system's own options, with commas between them.
    options: String,
}

/// All mounts of our mount namespace.
#[derive(Clone, Debug, Default)]
pub struct Mounts(Vec<Mount>);

impl Mounts {
    /// Reads `self/mountinfo` below a proc root.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn read(proc_root: &Path) -> io::Result<Mounts> {
        // A mount point may hold any byte, and every user who may use FUSE can make one.
        let text = fs::read(proc_root.join("self/mountinfo"))?;
        Ok(Mounts::parse(&String::from_utf8_lossy(&text)))
    }

    /// Lines that can't be parsed are skipped.
    fn parse(text: &str) -> Mounts {
        Mounts(text.lines().filter_map(mount).collect())
    }

    /// Translates a path inside a file system to a path in our mount namespace. If several
    /// mounts show it, the one that shows most of the file system is used, and the first of
    /// several such.
    pub fn path(&self, dev: (u32, u32), inside: &str) -> Option<String> {
        let mounts = self.0.iter().filter(|mount| mount.dev == dev);
        let (mount, rest) = mounts
            .filter_map(|mount| Some((mount, below(&mount.root, inside)?)))
            .min_by_key(|(mount, _)| mount.root.len())?;
        let point = mount.point.trim_end_matches('/');
        Some(format!("{point}{rest}"))
    }
}

impl Mounts {
    /// The device number and the source of each mount of a type.
    pub fn of_type<'a>(&'a self, fs_type: &'a str) -> impl Iterator<Item = ((u32, u32), &'a str)> {
        let of_type = self.0.iter().filter(move |mount| mount.fs_type == fs_type);
        of_type.map(|mount| (mount.dev, mount.source.as_str()))
    }
}

impl Mounts {
    /// The device number of each xfs that has its log on another device, and that one's path.
    pub fn external_logs(&self) -> impl Iterator<Item = ((u32, u32), &str)> {
        let of_xfs = self.0.iter().filter(|mount| mount.fs_type == "xfs");
        of_xfs.filter_map(|mount| {
            let mut options = mount.options.split(',');
            let log = options.find_map(|option| option.strip_prefix("logdev="))?;
            Some((mount.dev, log))
        })
    }
}

/// The rest of a path below a root.
fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    rest.starts_with('/').then_some(rest)
}

fn mount(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ').skip(2);
    let (major, minor) = fields.next()?.split_once(':')?;
    let (root, point) = (fields.next()?, fields.next()?);
    // Skips the mount's options and any number of optional fields.
    let mut fields = fields.skip_while(|field| *field != "-").skip(1);
    Some(Mount {
        dev: (major.parse().ok()?, minor.parse().ok()?),
        root: unescaped(root),
        point: unescaped(point),
        fs_type: fields.next()?.to_owned(),
        source: unescaped(fields.next()?),
        options: unescaped(fields.next().unwrap_or_default()),
    })
}

/// Undoes escapes: a space, tab, newline or backslash is written as a backslash and three
/// octal digits.
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| str::from_utf8(digits).ok());
        let code = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
        22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
        30 22 8:2 /data /srv/my\\040data rw shared:1 - xfs /dev/sda2 rw\n\
        31 22 8:2 / /mnt/all rw - xfs /dev/sda2 rw\n\
        nonsense\n\
        32 22 8:3 /only/this /bind rw - ext4 /dev/sda3 rw\n";

    #[test]
    fn a_path_goes_through_the_mount_that_shows_most() {
        let mounts = Mounts::parse(MOUNTS);
        let path = |dev, inside| mounts.path(dev, inside);
        assert_eq!(path((8, 1), "/etc/x").as_deref(), Some("/etc/x"));
        assert_eq!(path((8, 2), "/data/x").as_deref(), Some("/mnt/all/data/x"));
        assert_eq!(path((8, 3), "/only/this/x").as_deref(), Some("/bind/x"));
    }

    #[test]
    fn mounts_are_found_by_type_with_their_source() {
        let mounts = Mounts::parse(MOUNTS);
        let xfs: Vec<_> = mounts.of_type("xfs").collect();
        assert_eq!(xfs, [((8, 2), "/dev/sda2"), ((8, 2), "/dev/sda2")]);
    }

    #[test]
    fn the_log_of_an_xfs_may_be_on_another_device() {
        let mounts = Mounts::parse(
            "30 22 8:2 / /a rw shared:1 - xfs /dev/sda2 rw,attr2,logdev=/dev/sdb\\0401,noquota\n\
             31 22 8:3 / /b rw - xfs /dev/sda3 rw,noquota\n",
        );
        let logs: Vec<_> = mounts.external_logs().collect();
        assert_eq!(logs, [((8, 2), "/dev/sdb 1")]);
    }

    #[test]
    fn a_mount_point_that_is_not_utf_8_hides_no_other_mount() {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("self")).expect("made");
        let text = b"40 22 0:50 / /home/u/\xff rw - fuse x rw\n22 1 8:1 / / rw - ext4 x rw\n";
        fs::write(root.path().join("self/mountinfo"), text).expect("written");
        let mounts = Mounts::read(root.path()).expect("readable");
        assert_eq!(mounts.path((8, 1), "/etc/x").as_deref(), Some("/etc/x"));
    }

    #[test]
    fn a_file_that_is_mounted_nowhere_has_no_path() {
        let mounts = Mounts::parse(MOUNTS);
        assert_eq!(mounts.path((8, 3), "/only/thisnot/x"), None);
        assert_eq!(mounts.path((9, 9), "/x"), None);
    }

    #[test]
    fn escapes_of_mount_points_are_undone() {
        assert_eq!(unescaped("a\\040b\\134c"), "a b\\c");
        assert_eq!(unescaped("a\\04\\9"), "a\\04\\9");
    }
}
