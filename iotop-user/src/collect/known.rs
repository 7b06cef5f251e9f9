//! The state of each live task between two passes. It is compact because there may be hundreds
//! of thousands of tasks.

use super::live::TaskState;
use crate::sample::{SharedTask, Task, TaskCounters, TaskKey};

/// A live task as it was last seen.
#[derive(Debug)]
pub struct Known {
    state: Compact,
    /// The row that is shared by all intervals in which the task is idle. `None`: it was not
    /// needed since the task was last active.
    idle: Option<SharedTask>,
    /// True if `idle` has the task's names.
    named: bool,
}

/// A [`TaskState`] without its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Compact {
    start_boottime: u64,
    /// 0 if it is not known.
    cgroup_id: u64,
    counters: [u64; TaskCounters::COUNT],
    tid: u32,
    pid: u32,
    ppid: Option<u32>,
    uid: Option<u32>,
    comm: [u8; 16],
    /// One bit for each counter; set if the counter is known.
    counted: u16,
    kthread: bool,
}

impl Known {
    /// Keeps a state that was just read.
    pub fn new(state: &TaskState) -> Known {
        Known {
            state: Compact::from(state),
            idle: None,
            named: false,
        }
    }

    /// The state that was kept, with the task's id added.
    pub fn state(&self, id: u64) -> TaskState {
        let Compact { counted, .. } = self.state;
        let counter = |n: usize| (counted & 1 << n != 0).then_some(self.state.counters[n]);
        TaskState {
            id,
            start_boottime: self.state.start_boottime,
            tid: self.state.tid,
            pid: self.state.pid,
            ppid: self.state.ppid,
            uid: self.state.uid,
            cgroup_id: Some(self.state.cgroup_id).filter(|id| *id != 0),
            comm: self.state.comm,
            kthread: self.state.kthread,
            counters: TaskCounters::from_fields(std::array::from_fn(counter)),
        }
    }

    /// The task's identity.
    pub fn key(&self) -> TaskKey {
        TaskKey {
            tid: self.state.tid,
            start_boottime: self.state.start_boottime,
        }
    }

    /// The shared row of an idle task. `row` makes it if there is none.
    pub fn idle_row(&mut self, row: impl FnOnce(&Known) -> Task) -> &SharedTask {
        if self.idle.is_none() {
            self.idle = Some(row(self).into());
        }
        self.idle.get_or_insert_default()
    }

    /// Drops the idle row, so that the next one is made with current names.
    pub fn forget_row(&mut self) {
        (self.idle, self.named) = (None, false);
    }

    /// True if this is the idle row, and it has the task's names.
    pub fn is_named(&self, row: &SharedTask) -> bool {
        self.named && self.is_idle_row(row)
    }

    /// Fills the names into a row of this task. `fill` returns true if it has all of them: the
    /// idle row then keeps them.
    pub fn name(&mut self, row: &mut SharedTask, fill: impl FnOnce(&mut Task) -> bool) {
        let is_idle_row = self.is_idle_row(row);
        let named = fill(row);
        if is_idle_row {
            self.idle = Some(row.clone());
            self.named = named;
        }
    }

    fn is_idle_row(&self, row: &SharedTask) -> bool {
        self.idle.as_ref().is_some_and(|idle| idle.is(row))
    }

    /// True if this state equals the one that was kept.
    pub fn is(&self, state: &TaskState) -> bool {
        self.state == Compact::from(state)
    }
}

impl From<&TaskState> for Compact {
    fn from(state: &TaskState) -> Compact {
        let fields = state.counters.fields();
        let bit = |n: usize| u16::from(fields[n].is_some()) << n;
        Compact {
            start_boottime: state.start_boottime,
            cgroup_id: state.cgroup_id.unwrap_or(0),
            counters: fields.map(|counter| counter.unwrap_or(0)),
            tid: state.tid,
            pid: state.pid,
            ppid: state.ppid,
            uid: state.uid,
            comm: state.comm,
            counted: (0..TaskCounters::COUNT).map(bit).sum(),
            kthread: state.kthread,
        }
    }
}

const _: () = assert!(TaskCounters::COUNT <= u16::BITS as usize);
const _: () = assert!(size_of::<Known>() <= 168);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_the_same_after_it_was_kept() {
        let state = TaskState {
            id: 9,
            start_boottime: 8,
            tid: 7,
            pid: 6,
            ppid: Some(5),
            uid: None,
            cgroup_id: Some(4),
            comm: *b"a name of 15 by\0",
            kthread: true,
            counters: TaskCounters {
                read_bytes: Some(0),
                swapin_delay_ns: Some(u64::MAX),
                ..TaskCounters::default()
            },
        };
        let known = Known::new(&state);
        assert_eq!(known.state(9), state);
        assert!(known.is(&state) && !known.is(&TaskState { tid: 1, ..state }));
    }
}
