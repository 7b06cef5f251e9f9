//! `/proc/self/mountinfo` (proc_pid_mountinfo(5)): where a file system is
//! mounted.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
};

/// `mount.mnt_id`.
pub type MountId = u32;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// Unique among all mounts.
    id: MountId,
    /// The mount that this one is mounted on.
    parent: MountId,
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

/// How many mounts of a device are tried for one that is not hidden. There may be thousands, of
/// containers' volumes or of a user who wants to keep us busy.
const MAX_TRIED: usize = 64;

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
    pub(crate) fn parse(text: &str) -> Mounts {
        Mounts(text.lines().filter_map(mount).collect())
    }

    /// Translates a path inside a file system to a path in our mount namespace, and names the
    /// mount that shows it. If several mounts show it, the one that shows most of the file
    /// system is used, and the first of several such. A mount that is hidden there by another
    /// one is the last choice.
    pub fn path(&self, dev: (u32, u32), inside: &str) -> Option<(MountId, String)> {
        let mounts = self.0.iter().filter(|mount| mount.dev == dev);
        let mut shown: Vec<(&Mount, &str)> = mounts
            .filter_map(|mount| Some((mount, below(&mount.root, inside)?)))
            .collect();
        shown.sort_by_key(|(mount, _)| mount.root.len());
        let path = |(mount, rest): (&Mount, &str)| {
            let point = mount.point.trim_end_matches('/');
            (mount.id, format!("{point}{rest}"))
        };
        let mut paths = shown.iter().take(MAX_TRIED).map(|shown| path(*shown));
        let visible = paths.find(|(id, path)| self.reached(path) == Some(*id));
        visible.or_else(|| shown.first().map(|shown| path(*shown)))
    }

    /// The mount that the kernel gets to if it follows a path without symbolic links.
    pub fn reached(&self, path: &str) -> Option<MountId> {
        let covers = |mount: &&Mount| {
            let rest = path.strip_prefix(mount.point.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut on_the_way: Vec<&Mount> = self.0.iter().filter(covers).collect();
        on_the_way.sort_by_key(|mount| mount.point.len());
        let listed: HashSet<MountId> = on_the_way.iter().map(|mount| mount.id).collect();
        // The parent of our root is itself, or in another mount namespace.
        let is_first =
            |mount: &&&Mount| mount.parent == mount.id || !listed.contains(&mount.parent);
        let mut at = *on_the_way.iter().find(is_first)?;
        // A mount on top of another one at the same place has it as parent. Of several with one
        // parent the first counts, so it is the last one that goes into the map.
        let above = on_the_way
            .iter()
            .rev()
            .filter(|mount| mount.parent != mount.id);
        let above: HashMap<MountId, &Mount> = above.map(|mount| (mount.parent, *mount)).collect();
        // The file is read in pieces. A mount that is moved meanwhile may be in it twice, and
        // then mounts may lead round in a circle.
        for _ in 0..on_the_way.len() {
            match above.get(&at.id) {
                Some(next) => at = next,
                None => break,
            }
        }
        Some(at.id)
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

/// File systems on block devices whose own number is none of a block device.
const ANONYMOUS: [&str; 4] = ["btrfs", "bcachefs", "overlay", "zfs"];

impl Mounts {
    /// One mount point of each file system that is on a block device, or writes to another one
    /// that is. `wanted` is asked with its number and source. File systems in memory, of the
    /// network and in user space are left out: the last two may never answer. So are those that
    /// other mounts hide.
    pub fn on_block_devices(&self, wanted: impl Fn((u32, u32), &str) -> bool) -> Vec<&str> {
        let mut known = HashSet::new();
        let mounts = self.0.iter().filter(|mount| {
            let is_on_block = mount.dev.0 != 0 || ANONYMOUS.contains(&&*mount.fs_type);
            is_on_block
                && !mount.fs_type.starts_with("fuse")
                && wanted(mount.dev, &mount.source)
                && self.reached(&mount.point) == Some(mount.id)
                && known.insert(mount.dev)
        });
        mounts.map(|mount| &*mount.point).collect()
    }
}

impl Mounts {
    /// The type of the file system on a device. btrfs has a number of its own; its source
    /// names the device.
    pub fn type_on(&self, dev: (u32, u32), name: &str) -> Option<&str> {
        let is_source = |mount: &&Mount| mount.source.strip_prefix("/dev/") == Some(name);
        let by_number = self.0.iter().find(|mount| mount.dev == dev);
        let mount = by_number.or_else(|| self.0.iter().find(is_source))?;
        Some(&mount.fs_type)
    }
}

/// The rest of a path below a root.
fn below<'a>(root: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(root.trim_end_matches('/'))?;
    rest.starts_with('/').then_some(rest)
}

fn mount(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ');
    let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (major, minor) = fields.next()?.split_once(':')?;
    let (root, point) = (fields.next()?, fields.next()?);
    // Skips the mount's options and any number of optional fields.
    let mut fields = fields.skip_while(|field| *field != "-").skip(1);
    Some(Mount {
        id,
        parent,
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
        let path = |dev, inside| mounts.path(dev, inside).expect("shown");
        assert_eq!(path((8, 1), "/etc/x"), (22, "/etc/x".to_owned()));
        assert_eq!(path((8, 2), "/data/x"), (31, "/mnt/all/data/x".to_owned()));
        assert_eq!(path((8, 3), "/only/this/x"), (32, "/bind/x".to_owned()));
    }

    #[test]
    fn a_mount_hides_what_lies_below_it() {
        let mounts = Mounts::parse(
            "1 1 0:2 / / rw - rootfs none rw\n\
             22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             30 22 8:2 / /srv/a rw - ext4 /dev/sda2 rw\n\
             31 22 0:40 / /srv rw - tmpfs none rw\n\
             32 31 8:3 / /srv/b rw - ext4 /dev/sda3 rw\n\
             33 32 0:41 / /srv/b rw - fuse none rw\n\
             34 22 8:3 /x /x rw - ext4 /dev/sda3 rw\n",
        );
        let reached = |path| mounts.reached(path).expect("a root");
        assert_eq!(reached("/etc/x"), 22);
        assert_eq!(reached("/srvx/y"), 22);
        assert_eq!(reached("/srv/a/x"), 31, "not the mount below /srv");
        assert_eq!(reached("/srv/b/x"), 33, "not the mount under the last one");
        // What is hidden has the same path as before; what is shown elsewhere is found there.
        let hidden = mounts.path((8, 2), "/f").expect("mounted");
        assert_eq!(hidden, (30, "/srv/a/f".to_owned()));
        let elsewhere = mounts.path((8, 3), "/x/f").expect("mounted");
        assert_eq!(elsewhere, (34, "/x/f".to_owned()));
    }

    #[test]
    fn below_a_changed_root_the_first_mount_has_a_parent_that_is_not_listed() {
        let mounts = Mounts::parse(
            "40 22 8:1 / /data rw - ext4 /dev/sda1 rw\n\
             41 40 8:2 / /data/x rw - ext4 /dev/sda2 rw\n",
        );
        assert_eq!(mounts.reached("/data/x/f"), Some(41));
        assert_eq!(mounts.reached("/data/f"), Some(40));
        assert_eq!(mounts.reached("/etc"), None);
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
        let path = mounts.path((8, 1), "/etc/x").map(|(_, path)| path);
        assert_eq!(path.as_deref(), Some("/etc/x"));
    }

    #[test]
    fn each_file_system_on_a_block_device_is_found_once_where_it_can_be_reached() {
        let mounts = Mounts::parse(
            "1 1 8:1 / / rw - ext4 /dev/root rw\n\
             2 1 0:5 / /proc rw - proc proc rw\n\
             3 1 8:2 / /a rw - xfs /dev/sda2 rw\n\
             4 3 0:6 / /a rw - tmpfs none rw\n\
             5 1 8:2 /x /b rw - xfs /dev/sda2 rw\n\
             6 1 8:2 / /c rw - xfs /dev/sda2 rw\n\
             7 1 0:7 / /d rw - btrfs /dev/sda3 rw\n\
             8 1 0:8 / /e rw - nfs4 host:/e rw\n\
             9 1 8:4 / /f rw - fuseblk /dev/sda4 rw\n",
        );
        assert_eq!(mounts.on_block_devices(|_, _| true), ["/", "/b", "/d"]);
        let by_source = mounts.on_block_devices(|_, source| source == "/dev/sda3");
        assert_eq!(by_source, ["/d"]);
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
