//! The tasks that live, and what their counters were when they were last seen.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::known::Known;
use crate::{
    host::kernel::clock,
    sample::{SharedTask, Task, TaskBlock, TaskCounters, TaskKey},
};

/// What a source says of a task: who it is and its counters since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskState {
    /// What the source knows the task by: the same number means the same
    /// counters, even when a thread that executes a program takes over its
    /// leader's tid and start time.
    pub id: u64,
    /// Start time after boot, ns.
    pub start_boottime: u64,
    /// Thread id.
    pub tid: u32,
    /// Thread group id.
    pub pid: u32,
    /// The parent's thread group id.
    pub ppid: Option<u32>,
    /// Effective user id.
    pub uid: Option<u32>,
    /// cgroup v2 id.
    pub cgroup_id: Option<u64>,
    /// The command name, NUL-terminated.
    pub comm: [u8; 16],
    /// A kernel thread.
    pub kthread: bool,
    /// Since the task started.
    pub counters: TaskCounters,
}

impl TaskState {
    /// Its identity.
    pub fn key(&self) -> TaskKey {
        TaskKey {
            tid: self.tid,
            start_boottime: self.start_boottime,
        }
    }

    /// A row for it, with nothing done.
    pub fn row(&self) -> Task {
        Task {
            pid: self.pid,
            tid: self.tid,
            start_boottime: self.start_boottime,
            ppid: self.ppid,
            uid: self.uid,
            cgroup_id: self.cgroup_id,
            comm: comm(&self.comm),
            kthread: self.kthread,
            stats: self.counters.nothing(),
            ..Task::default()
        }
    }
}

/// A command name as the kernel keeps it: NUL-terminated, any bytes.
pub fn comm(bytes: &[u8; 16]) -> Arc<str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(16);
    String::from_utf8_lossy(&bytes[..end]).into()
}

/// What tasks did in the interval that is under way.
#[derive(Debug, Default)]
pub struct Interval {
    /// A row for each task whose counters moved or that exited.
    pub rows: Vec<Task>,
    index: HashMap<TaskKey, usize>,
}

impl Interval {
    /// The place of a task's row.
    pub fn find(&self, key: &TaskKey) -> Option<usize> {
        self.index.get(key).copied()
    }

    /// The place of a task's row, which is made where there is none.
    pub fn place(&mut self, key: TaskKey, row: impl FnOnce() -> Task) -> usize {
        *self.index.entry(key).or_insert_with(|| {
            self.rows.push(row());
            self.rows.len() - 1
        })
    }
}

/// How many exits are remembered at most.
const MOST_GONE: usize = 1 << 16;

/// Every live task.
#[derive(Debug, Default)]
pub struct LiveTasks {
    /// Boxed: a map has room for up to twice as many as are in it.
    by_id: HashMap<u64, Box<Known>>,
    /// The id of the task that has a tid.
    ids: HashMap<u32, u64>,
    /// Who has told its last counters, by id: a pass still finds it while its
    /// memory and its files are given back.
    gone: HashMap<u64, TaskKey>,
    /// Tasks that started before this existed when the interval began.
    began: Option<u64>,
}

impl LiveTasks {
    /// Takes a live task's counters. What a task did that was born in the
    /// interval is all it ever did; what one did that was not known before
    /// though it is older is not known.
    pub fn update(&mut self, interval: &mut Interval, state: &TaskState) {
        if self.gone.get(&state.id) == Some(&state.key()) {
            return;
        }
        self.add(interval, state);
        if let Some(place) = interval.find(&state.key()) {
            interval.rows[place].exited = false;
        }
        match self.by_id.entry(state.id) {
            Entry::Occupied(known) if known.get().is(state) => {}
            Entry::Occupied(mut known) => {
                let former = known.insert(Known::new(state).into()).state(state.id);
                if former.tid != state.tid {
                    self.release_tid(&former);
                }
            }
            Entry::Vacant(place) => {
                place.insert(Known::new(state).into());
            }
        }
        self.ids.insert(state.tid, state.id);
    }

    /// Takes an exited task's last counters.
    pub fn exited(&mut self, interval: &mut Interval, state: &TaskState) {
        self.add(interval, state);
        let inherited = self.ids.get(&state.tid).is_some_and(|id| *id != state.id);
        let place = interval.place(state.key(), || state.row());
        interval.rows[place].exited = !inherited;
        self.by_id.remove(&state.id);
        self.gone.insert(state.id, state.key());
        self.release_tid(state);
    }

    /// Forgets tasks that are gone without a word.
    pub fn keep(&mut self, alive: impl Fn(&TaskState) -> bool) {
        self.by_id.retain(|id, known| alive(&known.state(*id)));
        self.ids.retain(|_, id| self.by_id.contains_key(id));
    }

    /// Ends the interval.
    pub fn end_interval(&mut self, now_boottime: u64) {
        self.began = Some(now_boottime);
        // Ids are used again, so it takes long to have so many.
        if self.gone.len() > MOST_GONE {
            self.gone.clear();
        }
    }

    /// A task, if it lives.
    pub fn find(&self, key: &TaskKey) -> Option<TaskState> {
        self.by_tid(key.tid)
            .filter(|state| state.start_boottime == key.start_boottime)
    }

    /// A task by its number.
    pub fn by_tid(&self, tid: u32) -> Option<TaskState> {
        let id = *self.ids.get(&tid)?;
        Some(self.by_id.get(&id)?.state(id))
    }

    /// A row for each task that has none in the interval, the same one in every
    /// interval. `block` is what the kernel half says of such a task.
    pub fn idle_rows(
        &mut self,
        interval: &Interval,
        block: Option<TaskBlock>,
    ) -> impl Iterator<Item = SharedTask> {
        self.by_id.iter_mut().filter_map(move |(id, known)| {
            if interval.find(&known.key()).is_some() {
                // What it did may have changed its names.
                known.forget_row();
                return None;
            }
            let row = |known: &Known| Task {
                block,
                ..known.state(*id).row()
            };
            Some(known.idle_row(row).clone())
        })
    }

    /// Whether a task lives.
    pub fn has(&self, key: &TaskKey) -> bool {
        let known = self.ids.get(&key.tid).and_then(|id| self.by_id.get(id));
        known.is_some_and(|known| known.key() == *key)
    }

    /// What is kept of a task, if it lives.
    pub fn known(&mut self, key: &TaskKey) -> Option<&mut Known> {
        let known = self.by_id.get_mut(self.ids.get(&key.tid)?)?;
        (known.key() == *key).then_some(&mut **known)
    }

    /// Whether a task that is not known was born since the last look. One that
    /// is as old as a known leader is a thread that took over its place.
    fn is_born_in_interval(&self, interval: &Interval, state: &TaskState) -> bool {
        let Some(began) = self.began else {
            return false;
        };
        let key = state.key();
        state.start_boottime >= began / clock::TICK_NS * clock::TICK_NS
            || self.find(&key).is_some()
            || interval.find(&key).is_some()
    }

    fn release_tid(&mut self, state: &TaskState) {
        if self.ids.get(&state.tid) == Some(&state.id) {
            self.ids.remove(&state.tid);
        }
    }

    fn add(&self, interval: &mut Interval, state: &TaskState) {
        let before = match self.by_id.get(&state.id) {
            Some(known) if is_continued(&known.state(state.id), state) => {
                known.state(state.id).counters
            }
            _ if self.is_born_in_interval(interval, state) => TaskCounters::zero(),
            _ => state.counters,
        };
        let growth = state.counters.since(&before);
        if !growth.any() {
            return;
        }
        let place = interval.place(state.key(), || state.row());
        let row = &mut interval.rows[place];
        row.stats = row.stats + growth;
        row.comm = comm(&state.comm);
        row.uid = state.uid;
    }
}

/// Whether two states are of one task: a `task_struct` and a tid may be reused,
/// and a thread that executes a program becomes its process's leader.
fn is_continued(known: &TaskState, now: &TaskState) -> bool {
    let same = known.key() == now.key();
    let became_leader = now.tid == now.pid && known.pid == now.pid && known.tid != now.tid;
    same || became_leader
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(tid: u32, start_ticks: u64, write_bytes: u64) -> TaskState {
        TaskState {
            id: u64::from(tid) << 32 | start_ticks,
            tid,
            pid: 7,
            start_boottime: start_ticks * clock::TICK_NS,
            counters: TaskCounters {
                write_bytes: Some(write_bytes),
                ..TaskCounters::default()
            },
            ..TaskState::default()
        }
    }

    /// Two tasks that have been there since before; 100 ticks have passed.
    fn live() -> LiveTasks {
        let mut live = LiveTasks::default();
        let mut baseline = Interval::default();
        live.update(&mut baseline, &state(7, 10, 1000));
        live.update(&mut baseline, &state(8, 20, 500));
        live.end_interval(100 * clock::TICK_NS);
        live
    }

    fn written(interval: &Interval) -> Vec<(u32, Option<u64>, bool)> {
        let row = |task: &Task| (task.tid, task.stats.write_bytes, task.exited);
        interval.rows.iter().map(row).collect()
    }

    #[test]
    fn what_a_task_did_before_the_start_is_not_the_first_intervals() {
        let mut interval = Interval::default();
        live().update(&mut interval, &state(7, 10, 1004));
        assert_eq!(written(&interval), [(7, Some(4), false)]);
    }

    #[test]
    fn a_task_born_and_dead_in_one_interval_appears_once_with_all_its_bytes() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.update(&mut interval, &state(9, 100, 60));
        live.exited(&mut interval, &state(9, 100, 100));
        assert_eq!(written(&interval), [(9, Some(100), true)]);
        assert_eq!(live.by_tid(9), None);
    }

    #[test]
    fn a_task_that_is_still_found_after_its_exit_stays_dead_and_says_nothing() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.exited(&mut interval, &state(7, 10, 1001));
        live.update(&mut interval, &state(7, 10, 1004));
        assert_eq!(written(&interval), [(7, Some(1), true)]);
        live.end_interval(200 * clock::TICK_NS);
        let mut interval = Interval::default();
        live.update(&mut interval, &state(7, 10, 1005));
        assert_eq!((written(&interval), live.by_tid(7)), (vec![], None));
    }

    #[test]
    fn a_reused_tid_inherits_nothing() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.exited(&mut interval, &state(7, 10, 1001));
        live.update(&mut interval, &state(7, 110, 5));
        assert_eq!(
            written(&interval),
            [(7, Some(1), true), (7, Some(5), false)]
        );
    }

    #[test]
    fn a_reused_tid_inherits_nothing_even_where_the_exit_was_lost() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.update(&mut interval, &state(7, 110, 2000));
        assert_eq!(written(&interval), [(7, Some(2000), false)]);
    }

    #[test]
    fn counters_that_fall_give_nothing_rather_than_a_wraparound() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.update(&mut interval, &state(7, 10, 900));
        assert_eq!(written(&interval), []);
    }

    #[test]
    fn an_old_task_that_was_not_known_brings_no_past_along() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.update(&mut interval, &state(3, 30, 1 << 40));
        assert_eq!(written(&interval), []);
    }

    #[test]
    fn a_thread_that_executes_a_program_is_not_counted_twice() {
        // Thread 8 takes over the number and the start time of leader 7; which
        // of the two is heard of first does not matter.
        let leader = state(7, 10, 1001);
        let thread = TaskState {
            id: state(8, 20, 0).id,
            ..state(7, 10, 540)
        };
        for thread_first in [true, false] {
            let (mut live, mut interval) = (live(), Interval::default());
            if thread_first {
                live.update(&mut interval, &thread);
                live.exited(&mut interval, &leader);
            } else {
                live.exited(&mut interval, &leader);
                live.update(&mut interval, &thread);
            }
            assert_eq!(written(&interval), [(7, Some(41), false)]);
            assert_eq!(live.by_tid(8), None);
            assert_eq!(live.by_tid(7), Some(thread));
        }
    }

    #[test]
    fn a_thread_born_in_the_interval_may_execute_a_program_in_it() {
        let leader = state(7, 10, 1000);
        let thread = TaskState {
            id: 5,
            ..state(7, 10, 600)
        };
        for thread_first in [true, false] {
            let (mut live, mut interval) = (live(), Interval::default());
            if thread_first {
                live.update(&mut interval, &thread);
                live.exited(&mut interval, &leader);
            } else {
                live.exited(&mut interval, &leader);
                live.update(&mut interval, &thread);
            }
            assert_eq!(written(&interval), [(7, Some(600), false)]);
        }
    }

    #[test]
    fn a_reused_task_struct_inherits_nothing() {
        let (mut live, mut interval) = (live(), Interval::default());
        let other = TaskState {
            id: state(8, 20, 0).id,
            pid: 99,
            ..state(99, 110, 600)
        };
        live.update(&mut interval, &other);
        assert_eq!(written(&interval), [(99, Some(600), false)]);
    }
}
