//! The flushers' runs that matter to the current interval.

use std::{collections::HashMap, time::Duration};

use iotop_common::{FlushId, FlushRun, Owner};
use jiff::Timestamp;

use crate::sample::{Asker, Run, Task, TaskKey};

/// One moment on two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Wall-clock time.
    pub time: Timestamp,
    /// Time since boot, ns.
    pub boottime: u64,
}

impl Now {
    fn timestamp(&self, boottime: u64) -> Option<Timestamp> {
        let ago = Duration::from_nanos(self.boottime.saturating_sub(boottime));
        self.time.checked_sub(ago).ok()
    }
}

/// The runs that the kernel half has reported.
#[derive(Debug, Default)]
pub struct Runs {
    known: HashMap<(TaskKey, FlushId), Known>,
}

#[derive(Debug)]
struct Known {
    run: FlushRun,
    ended: bool,
    /// Reported as ended for one interval. It is kept for one more, because its last bytes
    /// may be counted in the next interval.
    reported: bool,
}

impl Runs {
    /// Adds the runs that the kernel half reported. A run in both lists has ended. The kernel
    /// half reports a running run every time; one that is missing has lost its end and is
    /// dropped.
    pub fn add(&mut self, running: Vec<FlushRun>, ended: Vec<FlushRun>) {
        self.known.retain(|_, known| known.ended);
        let with_state = |runs: Vec<FlushRun>, ended| runs.into_iter().map(move |run| (run, ended));
        for (run, ended) in with_state(running, false).chain(with_state(ended, true)) {
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

    /// The run of this flusher that began before the trace, if there is one.
    pub fn begun_before(&self, worker: TaskKey) -> Option<FlushId> {
        let if_begun_before = |(key, known): (&(TaskKey, FlushId), &Known)| {
            (key.0 == worker && known.run.start == 0).then_some(key.1)
        };
        self.known.iter().find_map(if_begun_before)
    }

    /// A run. `is_sync` says whether a reason is that of sync(2). `task` makes a task of the
    /// owner that asked for the run.
    pub fn find(
        &self,
        key: (TaskKey, FlushId),
        now: Now,
        is_sync: impl Fn(u32) -> bool,
        task: impl FnOnce(&Owner) -> Task,
    ) -> Option<Run> {
        let Known { run, ended, .. } = self.known.get(&key)?;
        // If it ended after the interval, its last bytes are counted in the next one.
        let ended = *ended && run.end <= now.boottime;
        let end = match ended {
            true if run.end != 0 => run.end,
            _ => now.boottime,
        };
        let start = (run.start != 0).then_some(run.start);
        let requested = u64::try_from(run.requested).ok();
        Some(Run {
            key,
            start: start.and_then(|start| now.timestamp(start)),
            end: ended.then(|| now.timestamp(end)).flatten(),
            duration: start.map(|start| Duration::from_nanos(end.saturating_sub(start))),
            requested_pages: requested.filter(|_| run.requested != i64::MAX),
            written_pages: start
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

    /// The owner that asked for a run, and whether that is inferred (see [`Asker::inferred`]).
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

    /// Ends the interval: drops the runs that had ended before it.
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
        let found = find(&runs, id).expect("a known run");
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
        let found = find(&runs, id).expect("a known run");
        assert_eq!(found.end, None);
        assert_eq!(found.duration, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_run_that_ended_after_the_interval_still_goes_on_in_it() {
        let (mut runs, id) = (Runs::default(), FlushId::NONE.next(2));
        let ended = FlushRun {
            end: now().boottime + 1,
            ..run(id, 98_000_000_000)
        };
        runs.add(Vec::new(), vec![ended]);
        assert_eq!(find(&runs, id).expect("a known run").end, None);
        runs.end_interval();
        let later = Now {
            boottime: ended.end + 1,
            ..now()
        };
        let task = |_: &Owner| Task::default();
        let found = runs.find((WORKER, id), later, |_| false, task);
        assert!(found.expect("still kept").end.is_some());
    }

    #[test]
    fn a_run_that_began_before_the_trace_has_no_start() {
        let (mut runs, id) = (Runs::default(), FlushId::NONE.next(0));
        runs.add(Vec::new(), vec![run(id, 0)]);
        assert_eq!(runs.begun_before(WORKER), Some(id));
        let found = find(&runs, id).expect("a known run");
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
    fn the_only_task_in_sync_has_also_woken_the_flushers() {
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
        // A periodic run is started by the kernel's timer: no asker is inferred for it.
        let periodic = FlushId::NONE.next(3);
        runs.add(
            Vec::new(),
            vec![run(periodic, 1), asked_by(7, asked.next(3))],
        );
        assert_eq!(asker(&runs, periodic), None);
    }

    #[test]
    fn a_run_whose_end_was_lost_is_dropped() {
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
