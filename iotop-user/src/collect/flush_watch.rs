//! The flushes of each interval. Remembers the flushers' runs from one interval to the next.

use std::sync::Arc;

use iotop_common::{FlushId, FlushRun, Owner};

use super::{
    flush::{LookUp, flushes},
    going_on::GoingOn,
    live::LiveTasks,
    runs::{Now, Runs},
    tasks,
};
use crate::{
    host::{
        devices::DeviceNames,
        kernel::{counted::Counted, reasons::Reasons},
    },
    sample::{BlockFact, Flush, Run, SharedTask, Task, TaskKey},
};

/// The flushers' runs that go on, and ended ones whose end or last bytes are not reported yet.
#[derive(Debug, Default)]
pub struct FlushWatch {
    runs: Runs,
    going_on: GoingOn,
}

/// What an interval's flushes need besides the runs.
pub struct Context<'a> {
    /// The names of the kernel's reasons.
    pub reasons: &'a Reasons,
    /// The devices' names.
    pub devices: &'a mut DeviceNames,
    /// The live tasks.
    pub live: &'a LiveTasks,
    /// Which task counters this kernel has.
    pub counted: Counted,
    /// When the interval ended.
    pub now: Now,
}

impl FlushWatch {
    /// An interval's flushes. `running` and `ended` are the runs that the kernel half
    /// reported.
    pub fn flushes(
        &mut self,
        (running, ended): (Vec<FlushRun>, Vec<FlushRun>),
        context: Context<'_>,
        facts: &[BlockFact],
        tasks: &[SharedTask],
    ) -> Vec<Flush> {
        self.runs.add(running, ended);
        let runs = &self.runs;
        let mut names = FlushNames { runs, context };
        let mut flushes = flushes(facts, tasks, &mut names);
        self.going_on.add_ends(&mut flushes, &mut names);
        self.runs.end_interval();
        flushes
    }
}

struct FlushNames<'a> {
    runs: &'a Runs,
    context: Context<'a>,
}

impl LookUp for FlushNames<'_> {
    fn reasons(&self) -> &Reasons {
        self.context.reasons
    }

    fn device(&mut self, device: crate::sample::Number) -> Arc<str> {
        self.context.devices.name(device)
    }

    fn run(&mut self, key: (TaskKey, FlushId)) -> Option<Run> {
        let is_sync = |reason| &*self.context.reasons.name(reason) == "sync";
        let task = |asker: &Owner| {
            let task = tasks::of_owner(asker, self.context.counted);
            Task {
                exited: self.context.live.find(&task.key()).is_none(),
                ..task
            }
        };
        self.runs.find(key, self.context.now, is_sync, task)
    }

    fn begun_before(&self, worker: TaskKey) -> Option<FlushId> {
        self.runs.begun_before(worker)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::collect::live::{Interval, TaskState};

    #[test]
    fn the_asker_of_a_run_has_exited_only_if_it_is_not_alive() {
        let id = FlushId::NONE.next(2);
        let worker = TaskKey {
            tid: 0,
            start_boottime: 0,
        };
        let (mut live, mut runs) = (LiveTasks::default(), Runs::default());
        let mut asker_exited = |live: &LiveTasks, tid| {
            let asker = Owner {
                tid,
                generation: 1,
                ..Owner::default()
            };
            let run = FlushRun {
                id: id.0,
                asker,
                ..FlushRun::default()
            };
            runs.add(vec![run], Vec::new());
            let context = Context {
                reasons: &Reasons::default(),
                devices: &mut DeviceNames::new("/nonexistent".as_ref()),
                live,
                counted: Counted::ALL,
                now: Now {
                    time: Timestamp::UNIX_EPOCH,
                    boottime: 0,
                },
            };
            let mut names = FlushNames {
                runs: &runs,
                context,
            };
            let run = names.run((worker, id)).expect("a known run");
            run.asker.expect("an asker").task.exited
        };
        assert!(asker_exited(&live, 5));
        let daemon = TaskState {
            tid: 5,
            ..TaskState::default()
        };
        live.update(&mut Interval::default(), &daemon);
        assert!(!asker_exited(&live, 5));
    }
}
