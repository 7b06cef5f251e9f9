//! The runs of writeback workers, as far as they matter to the interval.

use std::{collections::HashMap, time::Duration};

use iotop_common::{FlushId, FlushRun, Owner};
use jiff::Timestamp;

use crate::sample::{Asker, Run, Task, TaskKey};

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On the wall.
    pub time: Timestamp,
    /// Since boot, ns.
    pub boottime: u64,
}

impl Now {
    fn timestamp(&self, boottime: u64) -> Option<Timestamp> {
        let ago = Duration::from_nanos(self.boottime.saturating_sub(boottime));
        self.time.checked_sub(ago).ok()
    }
}

/// The runs that the kernel half has told of.
#[derive(Debug, Default)]
pub struct Runs {
    known: HashMap<(TaskKey, FlushId), Known>,
}

#[derive(Debug)]
struct Known {
    run: FlushRun,
    ended: bool,
    /// Its last bytes may be in the interval after the one in which it ended.
    reported: bool,
}

impl Runs {
    /// Takes in what the kernel half told: what is both has ended. Of a run that
    /// is under way it tells every time, or its end was lost.
    pub fn add(&mut self, running: Vec<FlushRun>, ended: Vec<FlushRun>) {
        self.known.retain(|_, known| known.ended);
        let told = |runs: Vec<FlushRun>, ended| runs.into_iter().map(move |run| (run, ended));
        for (run, ended) in told(running, false).chain(told(ended, true)) {
            let worker = TaskKey {
                tid: run.worker_tid,
                start_boottime: run.worker_start,
            };
            let known = Known {
                run,
                ended,
                reported: false,
            };
            self.known.insert((worker, FlushId(run.id)), known);
        }
    }

    /// The run of this worker that began before the trace.
    pub fn begun_before(&self, worker: TaskKey) -> Option<FlushId> {
        let of_worker = |(key, known): (&(TaskKey, FlushId), &Known)| {
            (key.0 == worker && known.run.start == 0).then_some(key.1)
        };
        self.known.iter().find_map(of_worker)
    }

    /// A run; `task` makes a task of whoever asked for it. `is_sync` says whether
    /// a reason is that of sync(2).
    pub fn find(
        &self,
        key: (TaskKey, FlushId),
        now: Now,
        is_sync: impl Fn(u32) -> bool,
        task: impl FnOnce(&Owner) -> Task,
    ) -> Option<Run> {
        let Known { run, ended, .. } = self.known.get(&key)?;
        // What it wrote last may be the next interval's.
        let ended = *ended && run.end <= now.boottime;
        let end = match ended {
            true if run.end != 0 => run.end,
            _ => now.boottime,
        };
        let begun = (run.start != 0).then_some(run.start);
        let limited = u64::try_from(run.requested).ok();
        Some(Run {
            key,
            start: begun.and_then(|start| now.timestamp(start)),
            end: ended.then(|| now.timestamp(end)).flatten(),
            duration: begun.map(|start| Duration::from_nanos(end.saturating_sub(start))),
            requested_pages: limited.filter(|_| run.requested != i64::MAX),
            written_pages: begun
                .and_then(|_| u64::try_from(run.requested.saturating_sub(run.left)).ok()),
            cgroup_id: run.cgroup_id,
            cgroup: None,
            asker: self
                .asker(run, key.1, is_sync)
                .map(|(owner, inferred)| Asker {
                    task: task(owner),
                    inferred,
                }),
        })
    }

    /// Who asked for a run, and whether that is inferred.
    fn asker<'a>(
        &'a self,
        run: &'a FlushRun,
        id: FlushId,
        is_sync: impl Fn(u32) -> bool,
    ) -> Option<(&'a Owner, bool)> {
        if run.asker.generation != 0 {
            return Some((&run.asker, false));
        }
        let reason = id.reason().filter(|reason| is_sync(*reason))?;
        let mut askers = self
            .known
            .iter()
            .filter(|((_, id), _)| id.reason() == Some(reason))
            .map(|(_, known)| &known.run.asker)
            .filter(|asker| asker.generation != 0);
        let first = askers.next()?;
        let same =
            |other: &Owner| (other.tid, other.start_boottime) == (first.tid, first.start_boottime);
        askers.all(same).then_some((first, true))
    }

    /// Ends the interval.
    pub fn end_interval(&mut self) {
        self.known.retain(|_, known| !known.reported);
        for known in self.known.values_mut() {
            known.reported = known.ended;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: TaskKey = TaskKey {
        tid: 77,
        start_boottime: 5,
    };

    fn now() -> Now {
        Now {
            time: Timestamp::new(1_790_000_000, 0).expect("in range"),
            boottime: 100_000_000_000,
        }
    }

    fn run(id: FlushId, start: u64) -> FlushRun {
        FlushRun {
            start,
            end: 99_000_000_000,
            requested: i64::MAX,
            left: i64::MAX - 10,
            worker_start: WORKER.start_boottime,
            worker_tid: WORKER.tid,
            id: id.0,
            ..FlushRun::default()
        }
    }

    fn find(runs: &Runs, id: FlushId) -> Option<Run> {
        let task = |owner: &Owner| Task {
            tid: owner.tid,
            ..Task::default()
        };
        runs.find((WORKER, id), now(), |reason| reason == 2, task)
    }

    #[test]
    fn a_run_has_a_start_an_end_and_its_pages() {
        let (mut runs, id) = (Runs::default(), FlushId::NONE.next(2));
        runs.add(vec![run(id, 98_000_000_000)], vec![run(id, 98_000_000_000)]);
        let found = find(&runs, id).expect("told");
        assert_eq!(found.start.map(Timestamp::as_second), Some(1_789_999_998));
        assert_eq!(found.end.map(Timestamp::as_second), Some(1_789_999_999));
        assert_eq!(found.duration, Some(Duration::from_secs(1)));
        assert_eq!(
            (found.requested_pages, found.written_pages),
            (None, Some(10))
        );
        assert!(found.asker.is_none());
    }

    #[test]
    fn a_run_that_goes_on_has_no_end_and_lasts_until_now() {
        let (mut runs, id) = (Runs::default(), FlushId::NONE.next(2));
        runs.add(vec![run(id, 98_000_000_000)], Vec::new());
        let found = find(&runs, id).expect("told");
        assert_eq!(found.end, None);
        assert_eq!(found.duration, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_run_that_ended_after_the_interval_goes_on_in_it() {
        let (mut runs, id) = (Runs::default(), FlushId::NONE.next(2));
        let ended = FlushRun {
            end: now().boottime + 1,
            ..run(id, 98_000_000_000)
        };
        runs.add(Vec::new(), vec![ended]);
        assert_eq!(find(&runs, id).expect("told").end, None);
        runs.end_interval();
        let later = Now {
            boottime: ended.end + 1,
            ..now()
        };
        let task = |_: &Owner| Task::default();
        let found = runs.find((WORKER, id), later, |_| false, task);
        assert!(found.expect("kept").end.is_some());
    }

    #[test]
    fn of_a_run_that_began_before_the_trace_the_beginning_is_not_known() {
        let (mut runs, id) = (Runs::default(), FlushId::NONE.next(0));
        runs.add(Vec::new(), vec![run(id, 0)]);
        assert_eq!(runs.begun_before(WORKER), Some(id));
        let found = find(&runs, id).expect("told");
        assert_eq!((found.start, found.duration), (None, None));
        assert_eq!(found.written_pages, None);
    }

    fn asked_by(tid: u32, id: FlushId) -> FlushRun {
        FlushRun {
            asker: Owner {
                tid,
                generation: 1,
                ..Owner::default()
            },
            ..run(id, 1)
        }
    }

    #[test]
    fn the_only_task_in_sync_has_woken_the_workers_too() {
        let woken = FlushId::NONE.next(2);
        let asked = woken.next(2);
        let mut runs = Runs::default();
        runs.add(Vec::new(), vec![run(woken, 1), asked_by(5, asked)]);
        let asker = |runs: &Runs, id| {
            let asker = find(runs, id).and_then(|run| run.asker);
            asker.map(|asker| (asker.task.tid, asker.inferred))
        };
        assert_eq!(asker(&runs, asked), Some((5, false)));
        assert_eq!(asker(&runs, woken), Some((5, true)));
        runs.add(Vec::new(), vec![asked_by(6, asked.next(2))]);
        assert_eq!(asker(&runs, woken), None);
        // The kernel's own timers are asked by nobody.
        let periodic = FlushId::NONE.next(3);
        runs.add(
            Vec::new(),
            vec![run(periodic, 1), asked_by(7, asked.next(3))],
        );
        assert_eq!(asker(&runs, periodic), None);
    }

    #[test]
    fn a_run_whose_end_was_lost_is_not_kept_for_ever() {
        let (mut runs, id) = (Runs::default(), FlushId::NONE.next(0));
        runs.add(vec![run(id, 0)], Vec::new());
        runs.end_interval();
        runs.add(Vec::new(), Vec::new());
        assert!(find(&runs, id).is_none());
        assert_eq!(runs.begun_before(WORKER), None);
    }

    #[test]
    fn a_run_that_has_ended_is_kept_for_one_more_interval() {
        let (mut runs, id) = (Runs::default(), FlushId::NONE.next(0));
        runs.add(Vec::new(), vec![run(id, 1)]);
        runs.end_interval();
        assert!(find(&runs, id).is_some());
        runs.end_interval();
        assert!(find(&runs, id).is_none());
    }
}
