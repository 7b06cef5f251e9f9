//! Flushes: what was written for others, by whom, and why.

use std::{collections::HashMap, sync::Arc};

use iotop_common::{Class, wb_reason};

use super::{BlockFact, BlockTotals, Lag, Task, devices::Number};
use crate::kernel::reasons::Reasons;

/// What one submitter wrote to one device in the interval for one reason.
#[derive(Clone, Debug)]
pub struct Flush {
    /// The device.
    pub device: Number,
    /// Its name, or its number where it has none.
    pub device_name: Arc<str>,
    /// Why.
    pub reason: Reason,
    /// Who submitted the bios; `None` where it is not known.
    pub submitter: Option<Task>,
    /// All bytes.
    pub totals: BlockTotals,
    /// Bios.
    pub bios: u64,
    /// From dirtying to submission, over all owners.
    pub lag: Option<Lag>,
    /// Whose bytes they are, most first.
    pub owners: Vec<FlushOwner>,
}

/// Why a flush was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A writeback worker's own reason, by the kernel's name or number.
    Writeback(Arc<str>),
    /// A journal's thread commits a transaction.
    Journal,
    /// A thread of memory reclaim writes.
    Reclaim,
    /// A task called sync(2), fsync(2) or such, or had to free memory.
    Task,
    /// A kernel thread for a reason of its own.
    Kthread,
}

impl Reason {
    /// One word.
    pub fn name(&self) -> &str {
        match self {
            Reason::Writeback(name) => name,
            Reason::Journal => "journal",
            Reason::Reclaim => "reclaim",
            Reason::Task => "task",
            Reason::Kthread => "kthread",
        }
    }
}

/// Some of a flush's bytes, with one owner.
#[derive(Clone, Debug)]
pub struct FlushOwner {
    /// The owner.
    pub task: Task,
    /// Its bytes.
    pub bytes: u64,
    /// How long they had been dirty.
    pub lag: Option<Lag>,
    /// Its files, most bytes first.
    pub files: Vec<FlushFile>,
}

/// Some of an owner's bytes, of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushFile {
    /// Inode number; 0 where there is none.
    pub ino: u64,
    /// Where it lay when it was first seen becoming dirty; marked `(deleted)`
    /// or `(replaced)` when it lies there no more.
    pub path: Option<Arc<str>>,
    /// Bytes.
    pub bytes: u64,
}

/// The flushes among an interval's facts: all that a writeback worker or
/// another kernel thread submitted, and what a task submitted for others, its
/// own part of it included.
pub fn flushes(
    facts: &[BlockFact],
    tasks: &[Task],
    reasons: &Reasons,
    mut device_name: impl FnMut(Number) -> Arc<str>,
) -> Vec<Flush> {
    type Key = (Option<usize>, Number, u32);
    let mut parts: HashMap<Key, Vec<&BlockFact>> = HashMap::new();
    let through_cache = |class| !matches!(class, Class::Read | Class::Stacked | Class::Direct);
    for fact in facts.iter().filter(|fact| through_cache(fact.class)) {
        let key = (fact.submitter, fact.device, fact.flush);
        parts.entry(key).or_default().push(fact);
    }
    let mut flushes: Vec<Flush> = parts
        .into_iter()
        .filter_map(|((submitter, device, flush), facts)| {
            let submitter = submitter.map(|n| &tasks[n]);
            let for_others = facts.iter().any(|fact| fact.owner != fact.submitter);
            let kthread = submitter.is_some_and(|task| task.kthread);
            let is_flush = flush != 0 || kthread || for_others;
            is_flush.then(|| Flush {
                device,
                device_name: device_name(device),
                reason: reason(flush, submitter, reasons),
                submitter: submitter.cloned(),
                totals: BlockTotals::of(facts.iter().copied()),
                bios: facts.iter().map(|fact| fact.bios).sum(),
                lag: lag(&facts),
                owners: owners(&facts, tasks),
            })
        })
        .collect();
    flushes.sort_by_key(|flush| {
        let tid = flush.submitter.as_ref().map(|task| task.tid);
        (std::cmp::Reverse(flush.totals.write), flush.device, tid)
    });
    flushes
}

fn reason(flush: u32, submitter: Option<&Task>, reasons: &Reasons) -> Reason {
    if let Some(reason) = wb_reason(flush) {
        return Reason::Writeback(reasons.name(reason));
    }
    match submitter {
        Some(task) if !task.kthread => Reason::Task,
        // jbd2 names its threads so (fs/jbd2/journal.c), xfs its log's workers.
        Some(task) if task.comm.starts_with("jbd2/") => Reason::Journal,
        Some(task) if task.comm.starts_with("kswapd") => Reason::Reclaim,
        _ => Reason::Kthread,
    }
}

fn owners(facts: &[&BlockFact], tasks: &[Task]) -> Vec<FlushOwner> {
    let mut by_owner: HashMap<usize, Vec<&BlockFact>> = HashMap::new();
    for fact in facts {
        if let Some(owner) = fact.owner {
            by_owner.entry(owner).or_default().push(fact);
        }
    }
    let mut owners: Vec<FlushOwner> = by_owner
        .into_iter()
        .map(|(owner, facts)| FlushOwner {
            task: tasks[owner].clone(),
            bytes: facts.iter().map(|fact| fact.bytes).sum(),
            lag: lag(&facts),
            files: files(&facts),
        })
        .collect();
    owners.sort_by_key(|owner| (std::cmp::Reverse(owner.bytes), owner.task.tid));
    owners
}

fn files(facts: &[&BlockFact]) -> Vec<FlushFile> {
    let mut by_inode: HashMap<u64, u64> = HashMap::new();
    for fact in facts {
        *by_inode.entry(fact.ino).or_default() += fact.bytes;
    }
    let mut files: Vec<FlushFile> = by_inode
        .into_iter()
        .map(|(ino, bytes)| FlushFile {
            ino,
            bytes,
            path: None,
        })
        .collect();
    files.sort_by_key(|file| (std::cmp::Reverse(file.bytes), file.ino));
    files
}

fn lag(facts: &[&BlockFact]) -> Option<Lag> {
    let lags = facts.iter().filter_map(|fact| fact.lag);
    lags.reduce(|one, other| one.and(&other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::golden;

    fn found(sample: &super::super::Sample) -> Vec<Flush> {
        let name = |device: Number| format!("{}:{}", device.0, device.1).into();
        flushes(&sample.facts, &sample.tasks, &Reasons::default(), name)
    }

    #[test]
    fn a_flush_names_the_dead_writer_and_its_worker() {
        let mut sample = golden::sample();
        sample.facts[0].flush = 1;
        let flushes = found(&sample);
        let first = &flushes[0];
        assert_eq!(first.reason, Reason::Writeback("0".into()));
        let comm = |task: &Task| task.comm.to_string();
        assert_eq!(
            first.submitter.as_ref().map(comm).as_deref(),
            Some("kworker/u8:2")
        );
        assert_eq!(comm(&first.owners[0].task), "dd");
        assert_eq!(first.owners[0].bytes, 256 << 20);
    }

    #[test]
    fn a_flushs_owners_and_the_unattributed_add_up_to_its_bytes() {
        let mut sample = golden::sample();
        // The worker writes metadata too, and so does the journal.
        sample.facts[1].submitter = sample.facts[0].submitter;
        let flushes = found(&sample);
        for flush in &flushes {
            let owned: u64 = flush.owners.iter().map(|owner| owner.bytes).sum();
            let rest = flush.totals.unattributed.in_total();
            assert_eq!(owned + rest, flush.totals.write);
        }
        assert_eq!(flushes[0].totals.write, (256 << 20) + 40960);
    }

    #[test]
    fn what_a_task_writes_for_itself_is_no_flush() {
        let sample = golden::sample();
        let flushes = found(&sample);
        // postgres's own fact; walwriter's for postgres is one.
        let of_postgres = |flush: &&Flush| {
            flush
                .submitter
                .as_ref()
                .is_some_and(|task| &*task.comm == "postgres")
        };
        assert_eq!(flushes.iter().filter(of_postgres).count(), 0);
        assert!(flushes.iter().any(|flush| flush.reason == Reason::Task));
        assert!(flushes.iter().any(|flush| flush.reason == Reason::Journal));
    }
}
