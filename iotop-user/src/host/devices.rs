//! Block devices of /sys: their names and numbers, the partitions of a disk, and the
//! devices that lie below another one.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::identity::Mounts;
use crate::sample::Number;

/// A device number in the kernel's internal form (`MKDEV` of include/linux/kdev_t.h).
pub fn kernel_dev(major: u32, minor: u32) -> u32 {
    major << 20 | minor & 0xf_ffff
}

/// The major and minor number of a kernel device number.
pub fn major_minor(dev: u32) -> (u32, u32) {
    (dev >> 20, dev & 0xf_ffff)
}

/// The number of the inode whose page cache is the device's own (block/bdev.c: `bdev_add`).
pub fn own_inode((major, minor): Number) -> u64 {
    kernel_dev(major, minor).into()
}

/// Every device that is a slave of another one (device-mapper, md, bcache). Writes to it
/// repeat writes to the device above.
///
/// # Errors
///
/// `class/block` can't be listed. Devices that vanish meanwhile are skipped.
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

/// How often to look for lower devices at least. There may be no event when they change.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// When we last looked for lower devices.
#[derive(Debug, Default)]
pub struct Looked {
    changed: bool,
    at: Option<Instant>,
    rest: Duration,
}

impl Looked {
    /// True if it is time to look again. `changed` says whether devices have changed since
    /// the last call.
    pub fn is_due(&mut self, changed: bool) -> bool {
        self.changed |= changed;
        let Some(at) = self.at else { return true };
        let since = at.elapsed();
        since >= LOOK_EVERY || self.changed && since >= self.rest
    }

    /// Records that a look which began at `begin` has ended. However often devices change,
    /// looking takes at most a tenth of the time.
    pub fn since(&mut self, begin: Instant) {
        *self = Looked {
            changed: false,
            at: Some(Instant::now()),
            rest: begin.elapsed() * 10,
        };
    }
}

fn parse_dev(text: &str) -> Option<u32> {
    let (major, minor) = parse_number(text)?;
    Some(kernel_dev(major, minor))
}

/// `MAJOR:MINOR`.
pub fn parse_number(text: &str) -> Option<Number> {
    let (major, minor) = text.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// A disk, a partition or a virtual device, as it is named and numbered now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The name in /sys/class/block.
    pub name: String,
    /// Its own number.
    pub number: Number,
    /// The numbers of its partitions.
    pub partitions: Vec<Number>,
}

/// All block devices that have a number.
///
/// # Errors
///
/// `class/block` can't be listed. Devices that vanish meanwhile are skipped.
pub fn list(sys_root: &Path) -> io::Result<Vec<Device>> {
    let entries = fs::read_dir(sys_root.join("class/block"))?;
    let mut devices: Vec<Device> = entries
        .filter_map(|entry| device(&entry.ok()?.path()))
        .collect();
    devices.sort_by_key(|device| device.number);
    Ok(devices)
}

/// Finds a device by its name (`sda`), by a path (`/dev/sda`, or any other path of a block
/// device) or by its number (`8:0`).
pub fn find(sys_root: &Path, text: &str) -> Option<Device> {
    let directory = match parse_number(text).or_else(|| number_of_node(text)) {
        Some(number) => of_number(sys_root, number),
        None => sys_root
            .join("class/block")
            .join(text.strip_prefix("/dev/").unwrap_or(text)),
    };
    device(&directory)
}

/// Whether any device has this number now.
pub fn is_taken(sys_root: &Path, number: Number) -> bool {
    of_number(sys_root, number).exists()
}

fn of_number(sys_root: &Path, (major, minor): Number) -> PathBuf {
    sys_root.join(format!("dev/block/{major}:{minor}"))
}

/// The device of a directory. The directories of its partitions lie in it.
fn device(directory: &Path) -> Option<Device> {
    let directory = fs::canonicalize(directory).ok()?;
    let number = |directory: &Path| {
        let text = fs::read_to_string(directory.join("dev")).ok()?;
        parse_number(&text)
    };
    let partition = |entry: fs::DirEntry| {
        let path = entry.path();
        let is_one = entry.file_type().ok()?.is_dir() && path.join("partition").exists();
        is_one.then(|| number(&path)).flatten()
    };
    let entries = fs::read_dir(&directory).ok()?;
    Some(Device {
        name: directory.file_name()?.to_string_lossy().into_owned(),
        number: number(&directory)?,
        partitions: entries.filter_map(|entry| partition(entry.ok()?)).collect(),
    })
}

/// The number of the block device with this path.
pub fn number_of_node(path: &str) -> Option<Number> {
    let node = fs::metadata(path).ok().filter(|_| path.starts_with('/'))?;
    let number = || (libc::major(node.rdev()), libc::minor(node.rdev()));
    node.file_type().is_block_device().then(number)
}

/// How long a device's name is cached. Another device may get its number: each interval looks
/// again, and none is shorter than 0.1 s.
const NAME_KNOWN: Duration = Duration::from_millis(50);
/// How long the mounts are cached.
const MOUNTS_KNOWN: Duration = Duration::from_secs(5);

/// The names of devices, cached while an interval is shown.
#[derive(Debug)]
pub struct DeviceNames {
    sys_root: PathBuf,
    proc_root: PathBuf,
    names: HashMap<Number, (Arc<str>, Instant)>,
    /// The names in a recording, which are those of another time or machine.
    recorded: HashMap<Number, Arc<str>>,
    mounts: Option<(Mounts, Instant)>,
}

impl DeviceNames {
    /// Starts without names.
    pub fn new(sys_root: &Path) -> DeviceNames {
        DeviceNames {
            sys_root: sys_root.to_owned(),
            // Tests have both below one directory.
            proc_root: match sys_root == Path::new("/sys") {
                true => PathBuf::from("/proc"),
                false => sys_root.join("proc"),
            },
            names: HashMap::new(),
            recorded: HashMap::new(),
            mounts: None,
        }
    }

    /// The type of the file system on a device, if it is mounted.
    pub fn file_system(&mut self, number: Number) -> Option<Arc<str>> {
        let name = self.name(number);
        let now = Instant::now();
        let is_old = |at: &Instant| now.duration_since(*at) >= MOUNTS_KNOWN;
        if self.mounts.as_ref().is_none_or(|(_, at)| is_old(at)) {
            let mounts = Mounts::read(&self.proc_root).unwrap_or_default();
            self.mounts = Some((mounts, now));
        }
        let (mounts, _) = self.mounts.as_ref()?;
        mounts.type_on(number, &name).map(Arc::from)
    }

    /// A device's name. If the device is gone, its last name; if there is none, its number.
    pub fn name(&mut self, number: Number) -> Arc<str> {
        if let Some(name) = self.recorded.get(&number) {
            return name.clone();
        }
        let now = Instant::now();
        let last = match self.names.get(&number) {
            Some((name, at)) if now.duration_since(*at) < NAME_KNOWN => return name.clone(),
            last => last.map(|(name, _)| name.clone()),
        };
        let name = self.look_up(number).or(last);
        let name = name.unwrap_or_else(|| format!("{}:{}", number.0, number.1).into());
        self.names.insert(number, (name.clone(), now));
        name
    }

    /// The name that a device had when it was recorded. The machine may be another one now.
    pub fn know(&mut self, number: Number, name: Arc<str>) {
        if self.recorded.get(&number) != Some(&name) {
            self.recorded.insert(number, name);
        }
    }

    fn look_up(&self, number: Number) -> Option<Arc<str>> {
        let device = fs::read_link(of_number(&self.sys_root, number)).ok()?;
        Some(device.file_name()?.to_string_lossy().into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    /// sda with one partition, and a device without a number.
    fn sys() -> io::Result<tempfile::TempDir> {
        let root = tempfile::tempdir()?;
        let class = root.path().join("class/block");
        let sda = root.path().join("devices/sda");
        fs::create_dir_all(sda.join("sda1"))?;
        fs::create_dir_all(&class)?;
        fs::create_dir_all(class.join("nvme0c0n1"))?;
        fs::create_dir_all(root.path().join("dev/block"))?;
        fs::write(sda.join("dev"), "8:0\n")?;
        fs::write(sda.join("sda1/dev"), "8:1\n")?;
        fs::write(sda.join("sda1/partition"), "1\n")?;
        symlink("../../devices/sda", class.join("sda"))?;
        symlink("../../devices/sda/sda1", class.join("sda1"))?;
        symlink("../../devices/sda", root.path().join("dev/block/8:0"))?;
        symlink("../../devices/sda/sda1", root.path().join("dev/block/8:1"))?;
        Ok(root)
    }

    #[test]
    fn a_disk_is_found_by_name_node_and_number_and_has_its_partitions() -> io::Result<()> {
        let root = sys()?;
        let names = list(root.path())?.into_iter().map(|device| device.name);
        assert_eq!(names.collect::<Vec<_>>(), ["sda", "sda1"]);
        for text in ["sda", "/dev/sda", "8:0"] {
            let sda = find(root.path(), text).expect(text);
            assert_eq!((sda.number, &*sda.partitions), ((8, 0), &[(8, 1)][..]));
        }
        let sda1 = find(root.path(), "sda1").expect("there");
        assert_eq!((sda1.number, sda1.partitions.len()), ((8, 1), 0));
        for text in ["sdb", "", "/dev/", "/dev/null", "8:2", "nvme0c0n1", ".."] {
            assert_eq!(find(root.path(), text), None, "{text}");
        }
        assert!(is_taken(root.path(), (8, 1)) && !is_taken(root.path(), (8, 2)));
        Ok(())
    }

    #[test]
    fn a_device_without_a_name_is_shown_by_its_number() -> io::Result<()> {
        let root = sys()?;
        let mut names = DeviceNames::new(root.path());
        assert_eq!(&*names.name((8, 1)), "sda1");
        // The device is unplugged, and its cached name has expired.
        fs::remove_file(root.path().join("dev/block/8:1"))?;
        let known = names.names.get_mut(&(8, 1)).expect("known");
        known.1 -= NAME_KNOWN;
        assert_eq!(&*names.name((8, 1)), "sda1");
        assert_eq!(&*names.name((259, 3)), "259:3");
        // Another device has the number.
        symlink("../../devices/sdb", root.path().join("dev/block/8:1"))?;
        let known = names.names.get_mut(&(8, 1)).expect("known");
        known.1 -= NAME_KNOWN;
        assert_eq!(&*names.name((8, 1)), "sdb");
        Ok(())
    }

    proptest! {
        #[test]
        fn a_device_number_is_two_numbers_and_nothing_else(major: u32, minor: u32, junk in "[^0-9]+") {
            prop_assert_eq!(parse_number(&format!("{major}:{minor}\n")), Some((major, minor)));
            let spoilt = format!("{major}:{minor}x{junk}");
            prop_assert_eq!(parse_number(&spoilt), None);
        }
    }

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
    fn a_change_causes_a_look_only_after_a_rest() {
        let mut looked = Looked::default();
        assert!(looked.is_due(false));
        let now = Instant::now();
        looked.since(now);
        assert!(!looked.is_due(false));
        looked.rest = LOOK_EVERY;
        assert!(!looked.is_due(true));
        looked.rest = Duration::ZERO;
        assert!(looked.is_due(false), "the change is not forgotten");
        looked.since(now);
        assert!(!looked.is_due(false));
        looked.at = now.checked_sub(LOOK_EVERY);
        assert!(looked.is_due(false));
    }

    #[test]
    fn a_device_number_splits_into_its_major_and_minor_number() {
        assert_eq!(major_minor(kernel_dev(259, 70_000)), (259, 70_000));
    }
}
