//! Builds an interval's flushes from its facts.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use iotop_common::{Class, FlushId};

use super::commits::is_logged;
use crate::{
    host::kernel::{reasons::Reasons, syscalls},
    sample::{
        BlockFact, BlockTotals, Flush, FlushFile, FlushLag, FlushOwner, FlushReason, Number, Run,
        SharedTask, Task, TaskBlock, TaskKey, Written,
    },
};

/// What [`flushes`] needs besides facts and tasks.
pub trait LookUp {
    /// The names of the kernel's reasons.
    fn reasons(&self) -> &Reasons;
    /// A device's name.
    fn device(&mut self, device: Number) -> Arc<str>;
    /// A run of a flusher.
    fn run(&mut self, key: (TaskKey, FlushId)) -> Option<Run>;
    /// The run of this flusher that began before the trace, if it is in one.
    fn begun_before(&self, worker: TaskKey) -> Option<FlushId>;
}

/// The facts of an interval that have the same key make one flush.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    submitter: Option<usize>,
    device: Number,
    reason: FlushReason,
    /// The cgroup of the flusher's runs; 0 if it is not known.
    cgroup_id: u64,
}

/// A flush's facts, and the runs they belong to.
#[derive(Default)]
struct Part<'a> {
    facts: Vec<&'a BlockFact>,
    runs: HashMap<FlushId, Run>,
}

/// An interval's flushes, largest first. Their bytes add up to all writes among the facts,
/// without the copies on lower devices.
pub fn flushes(facts: &[BlockFact], tasks: &[SharedTask], names: &mut impl LookUp) -> Vec<Flush> {
    let is_write = |class| !matches!(class, Class::Read | Class::Stacked);
    let mut by_submitter: HashMap<_, Vec<&BlockFact>> = HashMap::new();
    for fact in facts.iter().filter(|fact| is_write(fact.class)) {
        let key = (fact.submitter, fact.device, fact.class, fact.flush);
        by_submitter.entry(key).or_default().push(fact);
    }
    let mut parts: HashMap<Key, Part<'_>> = HashMap::new();
    for ((submitter, device, class, flush), facts) in by_submitter {
        let task = submitter.map(|n| &*tasks[n]);
        let worker = task.filter(|task| task.kthread).map(Task::key);
        let worker = worker.filter(|_| !is_log_of_kthread(class, task));
        // A run that began before the trace gets its id at the end of a round. What its
        // flusher wrote earlier has no id yet and belongs to that run.
        let worker_without_run = worker.filter(|_| flush == FlushId::NONE);
        let id = worker_without_run
            .and_then(|worker| names.begun_before(worker))
            .unwrap_or(flush);
        let run = worker
            .filter(|_| id != FlushId::NONE)
            .and_then(|worker| names.run((worker, id)));
        let key = Key {
            submitter,
            device,
            reason: reason(class, id, task, names.reasons()),
            cgroup_id: run.as_ref().map_or(0, |run| run.cgroup_id),
        };
        let part = parts.entry(key).or_default();
        part.facts.extend(facts);
        if let Some(run) = run {
            part.runs.insert(id, run);
        }
    }
    let mut flushes: Vec<Flush> = parts
        .into_iter()
        .map(|(key, part)| flush(key, part, tasks, names))
        .collect();
    flushes.sort_by_key(|flush| {
        let tid = flush.submitter.as_ref().map(|task| task.tid);
        let name = flush.reason.name().to_owned();
        (
            std::cmp::Reverse(flush.written.totals.write),
            flush.device,
            tid,
            name,
        )
    });
    flushes
}

fn flush(key: Key, part: Part<'_>, tasks: &[SharedTask], names: &mut impl LookUp) -> Flush {
    let Part { facts, runs } = part;
    let mut runs: Vec<_> = runs.into_iter().collect();
    runs.sort_by_key(|(id, _)| id.0);
    Flush {
        device: key.device,
        device_name: names.device(key.device),
        reason: key.reason,
        submitter: key.submitter.map(|n| Task::clone(&tasks[n])),
        runs: runs.into_iter().map(|(_, run)| run).collect(),
        inodes: inodes(&facts),
        written: Written {
            totals: BlockTotals::of(facts.iter().copied()),
            bios: facts.iter().map(|fact| fact.bios).sum(),
            lag: lag(&facts),
            owners: owners(&facts, tasks),
        },
        logged: logged(&facts),
        commits: None,
    }
}

/// A kernel thread that writes to a journal's log does so for the journal, whatever else it
/// does: xfs writes its log in kworkers, and a flusher may have to wait for the log.
fn is_log_of_kthread(class: Class, submitter: Option<&Task>) -> bool {
    class == Class::Journal && submitter.is_some_and(|task| task.kthread)
}

fn reason(class: Class, id: FlushId, submitter: Option<&Task>, reasons: &Reasons) -> FlushReason {
    if class == Class::Direct {
        return FlushReason::Direct;
    }
    if class == Class::Swap {
        return FlushReason::Reclaim;
    }
    if is_log_of_kthread(class, submitter) {
        return FlushReason::Journal;
    }
    if let Some(reason) = id.reason() {
        return FlushReason::Writeback(reasons.name(reason));
    }
    match submitter {
        // io_uring's worker threads are not in a system call.
        Some(task) if task.comm.starts_with("iou-wrk") => FlushReason::Syscall("io_uring"),
        Some(task) if !task.kthread => id
            .syscall_number()
            .and_then(syscalls::name)
            .map_or(FlushReason::Task, FlushReason::Syscall),
        // The names are given in fs/jbd2/journal.c, fs/btrfs/disk-io.c (`btrfs-transaction`,
        // of which the kernel keeps 15 bytes) and fs/xfs/xfs_trans_ail.c.
        Some(task) if task.comm.starts_with("jbd2/") => FlushReason::Journal,
        Some(task) if task.comm.starts_with("btrfs-transacti") => FlushReason::Journal,
        Some(task) if task.comm.starts_with("xfsaild/") => FlushReason::Home,
        Some(task) if task.comm.starts_with("kswapd") => FlushReason::Reclaim,
        _ => FlushReason::Kthread,
    }
}

fn owners(facts: &[&BlockFact], tasks: &[SharedTask]) -> Vec<FlushOwner> {
    let mut by_owner: HashMap<usize, Vec<&BlockFact>> = HashMap::new();
    let block = |facts: &[&BlockFact]| {
        let blocks = facts.iter().map(|fact| fact.of_owner());
        blocks.fold(TaskBlock::default(), |sum, block| sum + block)
    };
    for fact in facts {
        if let Some(owner) = fact.owner {
            by_owner.entry(owner).or_default().push(fact);
        }
    }
    let mut owners: Vec<FlushOwner> = by_owner
        .into_iter()
        .map(|(owner, facts)| FlushOwner {
            task: Task::clone(&tasks[owner]),
            bytes: facts.iter().map(|fact| fact.bytes).sum(),
            shared: block(&facts).write_shared,
            metadata: block(&facts).metadata,
            lag: lag(&facts),
            files: files(&facts),
        })
        .collect();
    owners.sort_by_key(|owner| (std::cmp::Reverse(owner.bytes), owner.task.tid));
    owners
}

fn logged(facts: &[&BlockFact]) -> u64 {
    let logged = facts.iter().filter(|fact| is_logged(fact.class));
    logged.map(|fact| fact.bytes).sum()
}

fn inodes(facts: &[&BlockFact]) -> u64 {
    let inodes = facts.iter().filter(|fact| fact.ino != 0);
    let inodes: HashSet<(u64, u32)> = inodes.map(|fact| (fact.ino, fact.file)).collect();
    inodes.len() as u64
}

fn files(facts: &[&BlockFact]) -> Vec<FlushFile> {
    let mut by_inode: HashMap<(u64, u32), u64> = HashMap::new();
    for fact in facts {
        *by_inode.entry((fact.ino, fact.file)).or_default() += fact.bytes;
    }
    let mut files: Vec<FlushFile> = by_inode
        .into_iter()
        .map(|((ino, file), bytes)| FlushFile {
            ino,
            file,
            bytes,
            path: None,
        })
        .collect();
    files.sort_by_key(|file| (std::cmp::Reverse(file.bytes), file.ino, file.file));
    files
}

fn lag(facts: &[&BlockFact]) -> Option<FlushLag> {
    let flush_lag = |fact: &&BlockFact| {
        fact.lag.map(|lag| FlushLag {
            lag,
            lags: fact.lags,
        })
    };
    let lags = facts.iter().filter_map(flush_lag);
    lags.reduce(|one, other| one + other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden, sample::Metadata};

    fn flushes_of(sample: &crate::sample::Sample) -> Vec<Flush> {
        let mut names = golden::Named::default();
        flushes(&sample.facts, &sample.tasks, &mut names)
    }

    #[test]
    fn a_flush_names_the_exited_owner_and_the_flusher() {
        let mut sample = golden::sample();
        sample.facts[0].flush = FlushId::NONE.next(0);
        let flushes = flushes_of(&sample);
        let first = &flushes[0];
        assert_eq!(first.reason, FlushReason::Writeback("background".into()));
        let comm = |task: &Task| task.comm.to_string();
        assert_eq!(
            first.submitter.as_ref().map(comm).as_deref(),
            Some("kworker/u8:2")
        );
        assert_eq!(comm(&first.written.owners[0].task), "dd");
        assert_eq!(first.written.owners[0].bytes, 256 << 20);
    }

    #[test]
    fn a_flushs_owners_and_unattributed_bytes_add_up_to_its_bytes() {
        let mut sample = golden::sample();
        // The flusher submits the journal's metadata too.
        sample.facts[1].submitter = sample.facts[0].submitter;
        let flushes = flushes_of(&sample);
        let all: u64 = flushes.iter().map(|flush| flush.written.totals.write).sum();
        assert_eq!(Some(all), sample.system.block.map(|block| block.write));
        for flush in &flushes {
            let owned: u64 = flush.written.owners.iter().map(|owner| owner.bytes).sum();
            let rest = flush.written.totals.unattributed.in_total();
            assert_eq!(owned + rest, flush.written.totals.write);
        }
        assert_eq!(flushes[0].written.totals.write, (256 << 20) + 40960);
    }

    #[test]
    fn a_task_that_submits_itself_has_its_system_call_as_reason() {
        let mut sample = golden::sample();
        let fsync = u32::try_from(libc::SYS_fsync).expect("a number");
        sample.facts[2].flush = FlushId::syscall(fsync.into());
        let flushes = flushes_of(&sample);
        let reasons_of = |comm: &str| -> Vec<&FlushReason> {
            let by = |flush: &&Flush| flush.submitter.as_ref().is_some_and(|t| &*t.comm == comm);
            flushes
                .iter()
                .filter(by)
                .map(|flush| &flush.reason)
                .collect()
        };
        assert_eq!(reasons_of("postgres"), [&FlushReason::Syscall("fsync")]);
        assert_eq!(reasons_of("walwriter"), [&FlushReason::Task]);
        assert_eq!(reasons_of("jbd2/sda1-8"), [&FlushReason::Journal]);
    }

    #[test]
    fn a_kernel_thread_that_writes_a_log_or_commits_has_the_journal_as_reason() {
        let mut sample = golden::journaled();
        let fsync = u32::try_from(libc::SYS_fsync).expect("a number");
        // The facts of the journal: an xfs worker in a flusher's run, and a task in fsync.
        sample.facts[5].submitter = Some(1);
        sample.facts[5].flush = FlushId::NONE.next(2);
        sample.facts[6].submitter = Some(4);
        sample.facts[6].flush = FlushId::syscall(fsync.into());
        // The fact of the home.
        sample.facts[7].submitter = Some(2);
        for (name, reason) in [
            ("xfsaild/sda1", "home"),
            ("btrfs-transacti", "journal"),
            ("kworker/0:1H", "kthread"),
        ] {
            sample.tasks[2].comm = name.into();
            let flushes = flushes_of(&sample);
            let of = |kind: fn(&Metadata) -> u64| {
                let with = flushes
                    .iter()
                    .filter(|flush| kind(&flush.written.totals.metadata) != 0);
                let mut reasons: Vec<_> = with
                    .map(|flush| (flush.reason.name(), flush.runs.len()))
                    .collect();
                reasons.sort_unstable();
                reasons
            };
            assert_eq!(of(|metadata| metadata.home), [(reason, 0)]);
            assert_eq!(
                of(|metadata| metadata.journal),
                [("fsync", 0), ("journal", 0)]
            );
        }
    }

    #[test]
    fn an_owner_has_its_exact_and_its_estimated_bytes_apart() {
        let sample = golden::journaled();
        for flush in flushes_of(&sample) {
            let written = &flush.written;
            let shared: u64 = written.owners.iter().map(|owner| owner.shared).sum();
            assert_eq!(shared, written.totals.shared);
            let metadata = written.owners.iter().map(|owner| owner.metadata);
            let metadata = metadata.fold(Metadata::default(), |sum, one| sum + one);
            assert_eq!(metadata, written.totals.metadata);
            let all: u64 = written.owners.iter().map(|owner| owner.bytes).sum();
            assert_eq!(all - shared, written.totals.attributed);
        }
    }

    #[test]
    fn bytes_without_an_id_belong_to_the_run_that_began_before_the_trace() {
        let mut sample = golden::sample();
        let id = FlushId::NONE.next(0);
        let mut with_id = sample.facts[0];
        with_id.flush = id;
        sample.facts.push(with_id);
        let mut names = golden::Named {
            begun_before: Some(id),
            ..golden::Named::default()
        };
        let flushes = flushes(&sample.facts, &sample.tasks, &mut names);
        assert_eq!(flushes[0].written.totals.write, 512 << 20);
        assert_eq!(
            flushes[0].reason,
            FlushReason::Writeback("background".into())
        );
    }

    #[test]
    fn inodes_with_one_number_in_two_subvolumes_are_two_files() {
        let mut sample = golden::sample();
        let mut other = sample.facts[0];
        other.file = 1;
        sample.facts.push(other);
        let flushes = flushes_of(&sample);
        assert_eq!(
            (flushes[0].inodes, flushes[0].written.owners[0].files.len()),
            (2, 2)
        );
    }
}
