//! /proc/diskstats: how busy each disk was.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::devices::parse_number;
use crate::sample::{Disk, Number};

/// The inode number of a disk's directory in /sys/block. Another disk has another one, also if
/// it has the number and the name of an earlier disk (kernfs numbers all directories in turn).
type Directory = u64;

/// Reads the disks' counters once an interval.
#[derive(Debug)]
pub struct Disks {
    proc_root: PathBuf,
    sys_root: PathBuf,
    before: HashMap<Number, (Directory, Disk)>,
}

impl Disks {
    /// Starts without earlier counters.
    pub fn new(proc_root: &Path, sys_root: &Path) -> Disks {
        Disks {
            proc_root: proc_root.to_owned(),
            sys_root: sys_root.to_owned(),
            before: HashMap::new(),
        }
    }

    /// What each disk did since the last look, in the kernel's order. A disk that was never
    /// used is left out. A new disk is reported with its counters so far, and so is one that
    /// has taken another's place: its counters began again.
    ///
    /// # Errors
    ///
    /// `diskstats` can't be read.
    pub fn look(&mut self) -> io::Result<Vec<Disk>> {
        let text = fs::read_to_string(self.proc_root.join("diskstats"))?;
        let mut grown: Vec<Disk> = Vec::new();
        let mut seen = HashMap::new();
        let mut whole = String::new();
        for line in text.lines() {
            let Some((number, name)) = head(line) else {
                continue;
            };
            let Some(directory) = self.directory(name) else {
                // The partitions of a disk follow it (block/genhd.c: `diskstats_show`).
                if let Some(disk) = grown.last_mut()
                    && *disk.name == *whole
                    && name.starts_with(&whole)
                {
                    disk.partitions.push(number);
                }
                continue;
            };
            name.clone_into(&mut whole);
            let Some(mut now) = parse(line) else {
                continue;
            };
            let before = self.before.get(&number);
            let is_same = |before: &&(Directory, Disk)| {
                before.0 == directory && now.has_grown_from(&before.1)
            };
            let mut disk = match before.filter(is_same) {
                Some((_, before)) => Disk {
                    busy: now.busy.saturating_sub(before.busy),
                    read: now.read.saturating_sub(before.read),
                    write: now.write.saturating_sub(before.write),
                    lower: before.lower.clone(),
                    ..now.clone()
                },
                None => now.clone(),
            };
            // What an idle disk lies on is not read again.
            if disk.was_busy() {
                disk.lower = self.lower(name);
            }
            now.lower.clone_from(&disk.lower);
            grown.push(disk);
            seen.insert(number, (directory, now));
        }
        self.before = seen;
        Ok(grown)
    }

    /// The numbers of the devices that a disk lies on.
    fn lower(&self, name: &str) -> Vec<Number> {
        let slaves = self.path(name).join("slaves");
        let number = |entry: io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(entry.ok()?.path().join("dev")).ok()?;
            parse_number(&text)
        };
        let Ok(slaves) = fs::read_dir(slaves) else {
            return Vec::new();
        };
        let mut lower: Vec<Number> = slaves.filter_map(number).collect();
        lower.sort_unstable();
        lower
    }

    /// The directory of a whole disk. Partitions have none of their own in /sys/block.
    fn directory(&self, name: &str) -> Option<Directory> {
        Some(fs::metadata(self.path(name)).ok()?.ino())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sys_root.join("block").join(name.replace('/', "!"))
    }
}

impl Disk {
    /// True if these may be later counters of the same disk. `busy` may wrap around.
    fn has_grown_from(&self, before: &Disk) -> bool {
        self.name == before.name && self.read >= before.read && self.write >= before.write
    }
}

/// The unit of these counters, whatever the size of the disk's sectors.
const SECTOR: u64 = 512;

/// The number and the name at the start of a line.
fn head(line: &str) -> Option<(Number, &str)> {
    let mut words = line.split_whitespace();
    let number = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((number, words.next()?))
}

/// A line's disk or partition; `None` if it was never used.
pub(crate) fn parse(line: &str) -> Option<Disk> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let count = |at: usize| words.get(at)?.parse::<u64>().ok();
    let (number, name) = head(line)?;
    let disk = Disk {
        number,
        name: name.into(),
        busy: Duration::from_millis(count(12)?),
        read: count(5)?.saturating_mul(SECTOR),
        write: count(9)?.saturating_mul(SECTOR),
        in_flight: count(11)?,
        partitions: Vec::new(),
        lower: Vec::new(),
    };
    disk.was_busy().then_some(disk)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "   8       0 sda 10 0 80 5 20 0 160 9 0 300 14 0 0 0 0 0 0\n   8       1 sda1 9 0 72 5 20 0 160 9 0 300 14\n   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0\nshort 1\n";
    const REPLACED: &str = "   8       0 sda 1 0 8 5 20 0 16 9 0 40 14 0 0 0 0 0 0\n";
    const SECOND: &str = "   8       0 sda 10 0 80 5 20 0 168 9 0 800 14 0 0 0 0 0 0\n   8       1 sda1 9 0 72 5 20 0 168 9 0 800 14\n";

    #[test]
    fn disks_report_their_growth_since_they_are_there_and_partitions_are_left_out() {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(root.path().join("block/sda")).expect("made");
        let mut disks = Disks::new(root.path(), root.path());
        assert!(disks.look().is_err());
        for (text, busy, written) in [
            (FIRST, 300, 160 * 512),
            (SECOND, 500, 8 * 512),
            (REPLACED, 40, 16 * 512),
        ] {
            fs::write(root.path().join("diskstats"), text).expect("written");
            let found = disks.look().expect("read");
            let [disk] = &found[..] else {
                panic!("{found:?}")
            };
            assert_eq!((&*disk.name, disk.number), ("sda", (8, 0)));
            let has_partition = disk.partitions == [(8, 1)];
            assert_eq!(has_partition, text != REPLACED, "{disk:?}");
            assert_eq!(disk.busy, Duration::from_millis(busy));
            assert_eq!(disk.write, written);
        }
    }

    #[test]
    fn a_disk_has_the_devices_that_it_lies_on_and_its_requests_in_flight() {
        let root = tempfile::tempdir().expect("a directory");
        let slave = root.path().join("block/dm-0/slaves/sda1");
        fs::create_dir_all(&slave).expect("made");
        fs::write(slave.join("dev"), "8:1\n").expect("written");
        let mut disks = Disks::new(root.path(), root.path());
        let mut look = |in_flight: u64| {
            let line = format!(" 253 0 dm-0 0 0 0 0 0 0 0 0 {in_flight} 0 0\n");
            fs::write(root.path().join("diskstats"), line).expect("written");
            disks.look().expect("read")
        };
        assert!(look(0).is_empty(), "never used");
        let disks = look(2);
        assert_eq!(
            (disks[0].in_flight, &disks[0].lower[..]),
            (2, &[(8, 1)][..])
        );
        assert!(disks[0].was_busy());
    }

    #[test]
    fn a_disk_in_anothers_place_that_did_more_is_reported_from_its_own_start() {
        let root = tempfile::tempdir().expect("a directory");
        let block = root.path().join("block");
        fs::create_dir_all(block.join("sda")).expect("made");
        let mut disks = Disks::new(root.path(), root.path());
        for (text, written) in [(FIRST, 160 * 512), (SECOND, 168 * 512)] {
            fs::write(root.path().join("diskstats"), text).expect("written");
            assert_eq!(disks.look().expect("read")[0].write, written);
            // While the old directory exists, the new one has another inode.
            fs::create_dir(block.join("new")).expect("made");
            fs::rename(block.join("new"), block.join("sda")).expect("replaced");
        }
    }
}
