//! The interval's flushes, and what is remembered from one interval to the next.

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

/// The runs of workers that are not over, or of which not all has been told.
#[derive(Debug, Default)]
pub struct FlushWatch {
    runs: Runs,
    going_on: GoingOn,
}

/// What is known in the interval beside the runs.
pub struct Context<'a> {
    /// The kernel's reasons.
    pub reasons: &'a Reasons,
    /// The devices' names.
    pub devices: &'a mut DeviceNames,
    /// Who lives.
    pub live: &'a LiveTasks,
    /// What this kernel counts.
    pub counted: Counted,
    /// When the interval ended.
    pub now: Now,
}

impl FlushWatch {
    /// The flushes among an interval's facts. `running` and `ended` is what the
    /// kernel half told of runs.
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
            let gone = tasks::of_owner(asker, self.context.counted);
            Task {
                exited: self.context.live.find(&gone.key()).is_none(),
                ..gone
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
    fn who_asked_for_a_flush_has_exited_only_when_it_is_gone() {
        let id = FlushId::NONE.next(2);
        let worker = TaskKey {
            tid: 0,
            start_boottime: 0,
        };
        let (mut live, mut runs) = (LiveTasks::default(), Runs::default());
        let mut asks = |live: &LiveTasks, tid| {
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
            let run = names.run((worker, id)).expect("told");
            run.asker.expect("somebody").task.exited
        };
        assert!(asks(&live, 5));
        let daemon = TaskState {
            tid: 5,
            ..TaskState::default()
        };
        live.update(&mut Interval::default(), &daemon);
        assert!(!asks(&live, 5));
    }
}
