//! A sum of what tasks did.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::sample::{BlockFact, FileKey, Number, Sample, Task, TaskBlock, TaskCounters, sum};

/// If more files than this are known, the smaller half is forgotten.
const MOST_FILES: usize = 16 << 10;

/// What some tasks did, added up.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// The kernel's own counters.
    pub stats: TaskCounters,
    /// Block I/O; `None` without eBPF. `dirty_pending` is left out: it is a level.
    pub block: Option<TaskBlock>,
    /// Block I/O on each device.
    pub devices: BTreeMap<Number, TaskBlock>,
    /// What was written to each file.
    pub files: HashMap<FileKey, FileCost>,
    /// How often they asked for a commit of a journal, by system call.
    pub commits: BTreeMap<&'static str, u64>,
}

/// What was written to a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileCost {
    /// Bytes of data.
    pub bytes: u64,
    /// The part of `bytes` whose owner is estimated.
    pub estimated: u64,
    /// Its path; `None` if it is not known.
    pub path: Option<Arc<str>>,
}

impl Cost {
    /// Adds what a task's row has.
    pub fn add_row(&mut self, task: &Task) {
        self.stats = self.stats + task.stats;
        let block = task.block.map(|block| TaskBlock {
            dirty_pending: Some(0),
            ..block
        });
        self.block = sum(self.block, block);
    }

    /// Adds a fact that the tasks own, by its device and file. The row has its bytes too.
    pub fn add_fact(&mut self, fact: &BlockFact, sample: &Sample) {
        let block = fact.of_owner();
        let device = self.devices.entry(fact.device).or_default();
        *device = *device + block;
        let estimated = block.write_shared - block.metadata.total();
        let bytes = block.write() + estimated;
        if bytes == 0 {
            return;
        }
        let file = self.files.entry(fact.file_key()).or_default();
        file.bytes += bytes;
        file.estimated += estimated;
        if let Some(path) = sample.paths.get(&fact.file_key()) {
            file.path = Some(path.clone());
        }
        self.forget_small_files();
    }

    /// Adds how often a system call asked for commits.
    pub fn add_commits(&mut self, call: &'static str, count: u64) {
        *self.commits.entry(call).or_default() += count;
    }

    /// Adds another sum.
    pub fn add(&mut self, other: Cost) {
        self.stats = self.stats + other.stats;
        self.block = sum(self.block, other.block);
        for (device, block) in other.devices {
            let sum = self.devices.entry(device).or_default();
            *sum = *sum + block;
        }
        for (key, file) in other.files {
            let sum = self.files.entry(key).or_default();
            sum.bytes += file.bytes;
            sum.estimated += file.estimated;
            sum.path = file.path.or(sum.path.take());
        }
        for (call, count) in other.commits {
            self.add_commits(call, count);
        }
        self.forget_small_files();
    }

    /// The files with most bytes. Those that had one path are one: a database may make a new
    /// journal for each transaction. Of such files, the largest gives the inode.
    pub fn top_files(&self, most: usize) -> Vec<(FileKey, FileCost)> {
        let mut by_path: HashMap<(Number, &str), usize> = HashMap::new();
        let mut files: Vec<(FileKey, FileCost)> = Vec::new();
        for (key, file) in self.largest_files() {
            let known = file.path.as_deref().map(|path| (key.0, path));
            match known.map(|place| *by_path.entry(place).or_insert(files.len())) {
                Some(at) if at < files.len() => {
                    files[at].1.bytes += file.bytes;
                    files[at].1.estimated += file.estimated;
                }
                _ => files.push((*key, file.clone())),
            }
        }
        files.sort_by_key(|(key, file)| (Reverse(file.bytes), *key));
        files.truncate(most);
        files
    }

    fn largest_files(&self) -> Vec<(&FileKey, &FileCost)> {
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|(key, file)| (Reverse(file.bytes), **key));
        files
    }

    fn forget_small_files(&mut self) {
        if self.files.len() > MOST_FILES {
            let kept = self.largest_files().into_iter().take(MOST_FILES / 2);
            self.files = kept.map(|(key, file)| (*key, file.clone())).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use iotop_common::Class;

    use super::*;
    use crate::golden;

    #[test]
    fn files_are_bounded_and_the_largest_stay() {
        let sample = golden::sample();
        let mut cost = Cost::default();
        let mut fact = sample.facts[0];
        for ino in 0..=MOST_FILES as u64 {
            // Without a path, unlike the sample's.
            fact.ino = 1000 + ino;
            fact.bytes = 4096 + ino;
            cost.add_fact(&fact, &sample);
        }
        assert_eq!(cost.files.len(), MOST_FILES / 2);
        assert_eq!(cost.top_files(1)[0].0.1, 1000 + MOST_FILES as u64);
        let written = cost.devices[&(8, 1)].write();
        assert!(written > 4096 * MOST_FILES as u64, "all bytes are counted");
    }

    #[test]
    fn a_file_that_is_made_anew_again_and_again_is_one() {
        let mut sample = golden::sample();
        let mut cost = Cost::default();
        for (ino, bytes) in [(20, 4096), (21, 8192), (22, 1 << 20)] {
            let fact = BlockFact {
                ino,
                bytes,
                ..sample.facts[0]
            };
            if ino != 22 {
                sample.paths.insert(fact.file_key(), "/srv/journal".into());
            }
            cost.add_fact(&fact, &sample);
        }
        let files = cost.top_files(5);
        let shown = files.iter().map(|((_, ino, _), file)| (*ino, file.bytes));
        assert_eq!(shown.collect::<Vec<_>>(), [(22, 1 << 20), (21, 12288)]);
    }

    #[test]
    fn metadata_is_no_part_of_a_file() {
        let sample = golden::sample();
        let mut cost = Cost::default();
        for class in [Class::Journal, Class::Home, Class::Tree, Class::Read] {
            let fact = BlockFact {
                class,
                ..sample.facts[0]
            };
            cost.add_fact(&fact, &sample);
        }
        assert!(cost.files.is_empty());
        assert_eq!(cost.devices[&(8, 1)].metadata.total(), 3 * (256 << 20));
        assert_eq!(cost.devices[&(8, 1)].read, 256 << 20);
    }
}
