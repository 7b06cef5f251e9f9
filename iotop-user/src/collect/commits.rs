//! What made each file system's journal commit in the interval, and the flushes that this
//! explains.

use std::collections::{HashMap, HashSet};

use iotop_common::{Cause, CauseKey, Class, FlushId, tag::Slot};

use crate::{
    host::{devices::major_minor, kernel::syscalls},
    sample::{Commits, Demand, Flush, FlushReason, Number, Reason, Task},
};

/// The commits of an interval, by file system.
#[derive(Debug, Default)]
pub struct Committed {
    by_fs: HashMap<Number, Commits>,
    /// The file system of each log.
    fs_of_log: HashMap<Number, Number>,
    /// The file systems where a task that makes a commit may write the log itself: xfs and
    /// btrfs.
    written_by_tasks: HashSet<Number>,
}

impl Committed {
    /// Gathers what the kernel half counted. `task` finds the task of a slot.
    pub fn of(causes: &[(CauseKey, u64)], task: impl Fn(Slot) -> Option<Task>) -> Committed {
        let mut committed = Committed::default();
        let mut old: HashMap<Number, u64> = HashMap::new();
        for (key, count) in causes {
            let cause = match Cause::from_u32(key.cause) {
                None | Some(Cause::Synced) => continue,
                Some(cause) => cause,
            };
            let fs = major_minor(key.dev);
            if key.log != 0 {
                committed.fs_of_log.insert(major_minor(key.log), fs);
            }
            let commits = committed.by_fs.entry(fs).or_default();
            let demand = || Demand::of(key, *count, &task);
            if matches!(cause, Cause::Forced | Cause::Committed) {
                committed.written_by_tasks.insert(fs);
            }
            match cause {
                Cause::Commit => *commits.commits.get_or_insert(0) += count,
                Cause::Timer => commits.timer += count,
                Cause::Old => *old.entry(fs).or_default() += count,
                Cause::Full => commits.full += count,
                Cause::Asked | Cause::Forced => add(&mut commits.asked, demand()),
                Cause::Waited => add(&mut commits.waited, demand()),
                Cause::Synced => {}
                Cause::Committed => {
                    *commits.commits.get_or_insert(0) += count;
                    let demand = demand();
                    match demand.task.as_ref().is_some_and(is_btrfs_timer) {
                        true => commits.timer += count,
                        false => add(&mut commits.asked, demand),
                    }
                }
            }
        }
        for (fs, commits) in &mut committed.by_fs {
            // An fsync may have come before the timer too. It is counted where it was seen.
            let asked: u64 = commits.asked.iter().map(|demand| demand.count).sum();
            let old = old.get(fs).copied().unwrap_or(0);
            commits.timer += old.saturating_sub(asked);
            for demands in [&mut commits.asked, &mut commits.waited] {
                let tid = |demand: &Demand| demand.task.as_ref().map(|task| task.tid);
                demands.sort_by_key(|one| (std::cmp::Reverse(one.count), tid(one), one.call));
            }
        }
        committed
    }

    /// The file systems that committed.
    pub fn file_systems(&self) -> impl Iterator<Item = Number> {
        self.by_fs.keys().copied()
    }

    /// Gives each flush of a journal the commits of its file system. `on_devices` has the
    /// number of the btrfs on each device.
    pub fn explain(&self, flushes: &mut [Flush], on_devices: &HashMap<Number, Number>) {
        for flush in flushes {
            let device = flush.device;
            let fs = on_devices.get(&device).or(self.fs_of_log.get(&device));
            let fs = fs.unwrap_or(&device);
            if self.is_of_journal(flush, fs) {
                flush.commits = self.by_fs.get(fs).cloned();
            }
        }
    }

    /// True if a journal's log or the trees of a btrfs were written, by a kernel thread or by a
    /// task that made the commit. A flusher that writes trees has a reason of its own.
    fn is_of_journal(&self, flush: &Flush, fs: &Number) -> bool {
        // Metadata of which it is not known what it is may be that of a log.
        let unknown = flush.written.totals.unattributed[Reason::Metadata];
        let logged = flush.logged != 0 || unknown != 0;
        match flush.reason {
            FlushReason::Journal => true,
            FlushReason::Kthread => logged,
            FlushReason::Syscall(_) | FlushReason::Task => {
                logged && self.written_by_tasks.contains(fs)
            }
            _ => false,
        }
    }
}

impl Demand {
    fn of(key: &CauseKey, count: u64, task: impl Fn(Slot) -> Option<Task>) -> Demand {
        let task = task(key.slot);
        let call = FlushId(key.call).syscall_number().and_then(syscalls::name);
        Demand {
            call: match &task {
                Some(task) if task.comm.starts_with("iou-wrk") => Some("io_uring"),
                _ => call,
            },
            task,
            count,
        }
    }
}

/// Adds a demand to those of the same task and call: a task may have had two slots, and
/// calls without a name are all alike.
fn add(demands: &mut Vec<Demand>, demand: Demand) {
    let key = |demand: &Demand| (demand.task.as_ref().map(Task::key), demand.call);
    match demands.iter_mut().find(|known| key(known) == key(&demand)) {
        Some(known) => known.count += demand.count,
        None => demands.push(demand),
    }
}

/// True for the thread that commits periodically (`transaction_kthread` of
/// fs/btrfs/disk-io.c). A name has 15 characters at most.
fn is_btrfs_timer(task: &Task) -> bool {
    task.kthread && task.comm.starts_with("btrfs-transacti")
}

/// True for bytes of a log or a tree.
pub fn is_logged(class: Class) -> bool {
    matches!(class, Class::Journal | Class::Tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    const SDA1: u32 = 8 << 20 | 1;

    fn key(cause: Cause, slot: Slot, call: i64) -> CauseKey {
        CauseKey {
            dev: SDA1,
            log: SDA1,
            cause: cause as u32,
            slot,
            call: FlushId::syscall(call).0,
        }
    }

    /// The slot is the tid.
    fn task(slot: Slot) -> Option<Task> {
        let comm = |comm: &str| Task {
            tid: slot,
            comm: comm.into(),
            kthread: comm.contains('-'),
            ..Task::default()
        };
        match slot {
            3 => Some(comm("postgres")),
            4 => Some(comm("sync")),
            5 => Some(comm("btrfs-transacti")),
            _ => None,
        }
    }

    fn demands(demands: &[Demand]) -> Vec<(Option<u32>, Option<&str>, u64)> {
        let plain = |demand: &Demand| {
            let tid = demand.task.as_ref().map(|task| task.tid);
            (tid, demand.call, demand.count)
        };
        demands.iter().map(plain).collect()
    }

    fn commits_of(causes: &[(CauseKey, u64)]) -> Commits {
        let committed = Committed::of(causes, task);
        committed.by_fs.get(&(8, 1)).expect("sda1").clone()
    }

    #[test]
    fn the_tasks_that_ask_are_counted_by_call_and_come_most_first() {
        let commits = commits_of(&[
            (key(Cause::Commit, 0, -1), 40),
            (key(Cause::Timer, 0, -1), 1),
            (key(Cause::Full, 0, -1), 2),
            (key(Cause::Asked, 4, libc::SYS_sync), 1),
            (key(Cause::Asked, 3, libc::SYS_fsync), 70),
            (key(Cause::Asked, 3, libc::SYS_fdatasync), 9),
            (key(Cause::Waited, 99, libc::SYS_mkdir), 5),
        ]);
        assert_eq!(
            (commits.commits, commits.timer, commits.full),
            (Some(40), 1, 2)
        );
        let asked = [
            (Some(3), Some("fsync"), 70),
            (Some(3), Some("fdatasync"), 9),
            (Some(4), Some("sync"), 1),
        ];
        assert_eq!(demands(&commits.asked), asked);
        assert_eq!(demands(&commits.waited), [(None, None, 5)]);
    }

    #[test]
    fn a_transaction_that_was_too_old_is_the_timers_unless_a_task_asked() {
        let old = [(key(Cause::Commit, 0, -1), 3), (key(Cause::Old, 0, -1), 2)];
        assert_eq!(commits_of(&old).timer, 2);
        let mut asked = old.to_vec();
        asked.push((key(Cause::Asked, 3, libc::SYS_fsync), 1));
        assert_eq!(commits_of(&asked).timer, 1);
    }

    #[test]
    fn xfs_has_no_number_of_commits() {
        let commits = commits_of(&[(key(Cause::Forced, 3, libc::SYS_fsync), 7)]);
        assert_eq!(commits.commits, None);
        assert_eq!(demands(&commits.asked), [(Some(3), Some("fsync"), 7)]);
    }

    #[test]
    fn a_commit_of_btrfs_is_the_timers_if_its_own_thread_commits() {
        let commits = commits_of(&[
            (key(Cause::Committed, 5, -1), 2),
            (key(Cause::Committed, 4, libc::SYS_sync), 1),
        ]);
        assert_eq!((commits.commits, commits.timer), (Some(3), 2));
        assert_eq!(demands(&commits.asked), [(Some(4), Some("sync"), 1)]);
    }

    #[test]
    fn only_what_a_journal_writes_is_explained() {
        let mut sample = golden::flushed();
        for flush in &mut sample.flushes {
            flush.commits = None;
        }
        let committed = Committed::of(&[(key(Cause::Commit, 0, -1), 4)], task);
        committed.explain(&mut sample.flushes, &HashMap::new());
        for flush in &sample.flushes {
            let explained = flush.reason == FlushReason::Journal;
            assert_eq!(flush.commits.is_some(), explained, "{:?}", flush.reason);
        }
    }

    #[test]
    fn a_kernel_thread_is_explained_if_it_writes_a_log() {
        let mut sample = golden::flushed();
        let committed = Committed::of(&[(key(Cause::Forced, 3, libc::SYS_fsync), 4)], task);
        let flush = &mut sample.flushes[0];
        flush.reason = FlushReason::Kthread;
        committed.explain(std::slice::from_mut(flush), &HashMap::new());
        assert!(flush.commits.is_none());
        flush.logged = 4096;
        committed.explain(std::slice::from_mut(flush), &HashMap::new());
        assert!(flush.commits.is_some());
    }

    #[test]
    fn a_task_is_explained_only_where_tasks_write_the_log() {
        for (cause, explained) in [(Cause::Forced, true), (Cause::Asked, false)] {
            let mut sample = golden::flushed();
            let committed = Committed::of(&[(key(cause, 3, libc::SYS_fsync), 4)], task);
            let flush = &mut sample.flushes[0];
            flush.reason = FlushReason::Syscall("fsync");
            flush.commits = None;
            flush.logged = 4096;
            committed.explain(std::slice::from_mut(flush), &HashMap::new());
            assert_eq!(flush.commits.is_some(), explained, "{cause:?}");
        }
    }

    #[test]
    fn an_external_log_and_the_devices_of_a_btrfs_lead_to_the_file_system() {
        let external = CauseKey {
            log: 8 << 20 | 2,
            ..key(Cause::Commit, 0, -1)
        };
        let committed = Committed::of(&[(external, 4)], task);
        let explained_on = |device, on_devices: &HashMap<_, _>| {
            let mut sample = golden::flushed();
            let journal = |flush: &&mut Flush| flush.reason == FlushReason::Journal;
            let flush = sample.flushes.iter_mut().find(journal).expect("jbd2's");
            (flush.device, flush.commits) = (device, None);
            committed.explain(std::slice::from_mut(flush), on_devices);
            flush.commits.is_some()
        };
        assert!(explained_on((8, 2), &HashMap::new()));
        assert!(!explained_on((8, 3), &HashMap::new()));
        assert!(explained_on((8, 3), &HashMap::from([((8, 3), (8, 1))])));
    }
}
