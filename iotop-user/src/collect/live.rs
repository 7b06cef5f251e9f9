//! The live tasks and their counters when they were last seen.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::known::Known;
use crate::{
    host::kernel::clock,
    sample::{SharedTask, Task, TaskBlock, TaskCounters, TaskKey, sum},
};

/// What a source reports about a task: its identity, and its counters since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskState {
    /// The source's own id for the task. The same id means the same counters, even when a
    /// thread calls execve and takes over its group leader's tid and start time.
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
    /// True for a kernel thread.
    pub kthread: bool,
    /// Counters since the task started.
    pub counters: TaskCounters,
}

impl TaskState {
    /// The task's identity.
    pub fn key(&self) -> TaskKey {
        TaskKey {
            tid: self.tid,
            start_boottime: self.start_boottime,
        }
    }

    /// A row for the task, with no I/O.
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

/// If an interval has more rows than this, exited tasks may have to share one.
const MANY_ROWS: usize = 4096;
/// They do if more than this many tasks of one crowd have exited.
const MANY_EXITED: usize = 2048;

/// What the tasks of a crowd have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrowdOf {
    comm: Arc<str>,
    cgroup_id: Option<u64>,
    uid: Option<u32>,
}

impl CrowdOf {
    /// The crowd that a row's task belongs to.
    pub fn of(row: &Task) -> CrowdOf {
        CrowdOf {
            comm: row.comm.clone(),
            cgroup_id: row.cgroup_id,
            uid: row.uid,
        }
    }
}

/// What tasks did in the current interval.
#[derive(Debug, Default)]
pub struct Interval {
    /// A row for each task whose counters moved or that exited.
    pub rows: Vec<Task>,
    index: HashMap<TaskKey, usize>,
    /// The row that the exited tasks of a crowd share.
    crowds: HashMap<CrowdOf, usize>,
}

impl Interval {
    /// The index of a task's row.
    pub fn find(&self, key: &TaskKey) -> Option<usize> {
        self.index.get(key).copied()
    }

    /// The index of a task's row. `row` makes one if there is none.
    pub fn place(&mut self, key: TaskKey, row: impl FnOnce() -> Task) -> usize {
        *self.index.entry(key).or_insert_with(|| {
            self.rows.push(row());
            self.rows.len() - 1
        })
    }

    /// The index of the row of a task that has exited: that of its crowd, if they share one.
    pub fn place_exited(&mut self, key: TaskKey, row: impl FnOnce() -> Task) -> usize {
        if let Some(place) = self.index.get(&key) {
            return *place;
        }
        let row = Task {
            exited: true,
            ..row()
        };
        let shared = match self.crowds.is_empty() {
            true => None,
            false => self.crowds.get(&CrowdOf::of(&row)),
        };
        let Some(place) = shared.copied() else {
            return self.place(key, || row);
        };
        let crowd = &mut self.rows[place];
        crowd.crowd = crowd.crowd.map(|tasks| tasks + 1);
        self.index.insert(key, place);
        place
    }

    /// Lets exited tasks share a row with their crowd if there are very many of them, so that
    /// memory stays bounded. `more` are exited tasks that will get rows. Rows may move.
    pub fn share_rows<'a>(&mut self, more: impl Iterator<Item = &'a CrowdOf>) {
        let mut exited: HashMap<CrowdOf, usize> = HashMap::new();
        let mut all = self.rows.len();
        for crowd in more {
            *exited.entry(crowd.clone()).or_default() += 1;
            all += 1;
        }
        if all <= MANY_ROWS {
            return;
        }
        let is_one = |row: &&Task| row.exited && row.crowd.is_none();
        for row in self.rows.iter().filter(is_one) {
            *exited.entry(CrowdOf::of(row)).or_default() += 1;
        }
        exited.retain(|crowd, tasks| *tasks > MANY_EXITED || self.crowds.contains_key(crowd));
        if exited.is_empty() {
            return;
        }
        let rows = std::mem::take(&mut self.rows);
        let crowds = std::mem::take(&mut self.crowds);
        let mut moved = Vec::with_capacity(rows.len());
        for row in rows {
            let of = CrowdOf::of(&row);
            let shares = row.crowd.is_some() && crowds.contains_key(&of)
                || row.exited && row.crowd.is_none() && exited.contains_key(&of);
            moved.push(match self.crowds.get(&of).filter(|_| shares) {
                Some(place) => {
                    add_row(&mut self.rows[*place], &row);
                    *place
                }
                None => {
                    if shares {
                        self.crowds.insert(of, self.rows.len());
                    }
                    self.rows.push(match shares && row.crowd.is_none() {
                        true => crowd_of(row),
                        false => row,
                    });
                    self.rows.len() - 1
                }
            });
        }
        self.rows.shrink_to_fit();
        for place in self.index.values_mut() {
            *place = moved[*place];
        }
    }
}

/// The row of a crowd that begins with one exited task.
fn crowd_of(row: Task) -> Task {
    Task {
        pid: 0,
        tid: 0,
        ppid: None,
        crowd: Some(1),
        ..row
    }
}

/// Adds an exited task's row to that of its crowd.
fn add_row(crowd: &mut Task, row: &Task) {
    crowd.crowd = Some(crowd.tasks() + row.tasks());
    crowd.stats = crowd.stats + row.stats;
    crowd.block = sum(crowd.block, row.block);
}

/// How many exited tasks are remembered at most.
const MOST_GONE: usize = 1 << 16;

/// Every live task.
#[derive(Debug, Default)]
pub struct LiveTasks {
    /// Boxed, because a map allocates room for up to twice as many values as it has.
    by_id: HashMap<u64, Box<Known>>,
    /// The id of the live task with each tid.
    ids: HashMap<u32, u64>,
    /// Exited tasks whose last counters were taken, by id. A pass still finds such a task
    /// while the kernel frees its memory and closes its files.
    gone: HashMap<u64, TaskKey>,
    /// When the interval began, ns after boot. A task that started before it is not new;
    /// `None` in the first look.
    began: Option<u64>,
}

impl LiveTasks {
    /// Takes a live task's counters. For a task that started in the interval, all that it
    /// ever did belongs to the interval. For an older task that was not known before,
    /// the interval's part is not known, and nothing is counted.
    pub fn update(&mut self, interval: &mut Interval, state: &TaskState) {
        if self.gone.get(&state.id) == Some(&state.key()) {
            return;
        }
        self.add_growth(interval, state);
        if let Some(place) = interval.find(&state.key()) {
            interval.rows[place].exited = false;
        }
        match self.by_id.entry(state.id) {
            Entry::Occupied(known) if known.get().is(state) => {}
            Entry::Occupied(mut known) => {
                let old = known.insert(Known::new(state).into()).state(state.id);
                if old.tid != state.tid {
                    self.release_tid(&old);
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
        // After execve another thread has the tid: the process is alive.
        let taken_over = self.ids.get(&state.tid).is_some_and(|id| *id != state.id);
        let growth = self.growth(interval, state);
        let place = match taken_over {
            true => interval.place(state.key(), || state.row()),
            false => interval.place_exited(state.key(), || state.row()),
        };
        add_to_row(&mut interval.rows[place], growth, state);
        if interval.rows[place].crowd.is_none() {
            interval.rows[place].exited = !taken_over;
        }
        self.by_id.remove(&state.id);
        self.gone.insert(state.id, state.key());
        self.release_tid(state);
    }

    /// Takes the exit of a task that did nothing since its counters were last taken.
    pub fn exited_idle(&mut self, interval: &mut Interval, id: u64, start_boottime: u64) {
        let known = self.by_id.get(&id).map(|known| known.state(id));
        if let Some(state) = known.filter(|known| known.start_boottime == start_boottime) {
            self.exited(interval, &state);
        }
    }

    /// Drops the tasks that are not alive, for example because their exit record was lost.
    pub fn keep(&mut self, alive: impl Fn(&TaskState) -> bool) {
        self.by_id.retain(|id, known| alive(&known.state(*id)));
        self.ids.retain(|_, id| self.by_id.contains_key(id));
    }

    /// Ends the interval.
    pub fn end_interval(&mut self, now_boottime: u64) {
        self.began = Some(now_boottime);
        // The kernel reuses ids, so this limit is rarely reached.
        if self.gone.len() > MOST_GONE {
            self.gone.clear();
        }
    }

    /// The state of a task, if it is alive.
    pub fn find(&self, key: &TaskKey) -> Option<TaskState> {
        self.by_tid(key.tid)
            .filter(|state| state.start_boottime == key.start_boottime)
    }

    /// The state of the live task with this tid.
    pub fn by_tid(&self, tid: u32) -> Option<TaskState> {
        let id = *self.ids.get(&tid)?;
        Some(self.by_id.get(&id)?.state(id))
    }

    /// The states of all live tasks.
    pub fn states(&self) -> impl Iterator<Item = TaskState> {
        self.by_id.iter().map(|(id, known)| known.state(*id))
    }

    /// The shared row of each task that has no row in the interval. `block` is the block I/O
    /// of an idle task: all 0, or `None` without eBPF.
    pub fn idle_rows(
        &mut self,
        interval: &Interval,
        block: Option<TaskBlock>,
    ) -> impl Iterator<Item = SharedTask> {
        self.by_id.iter_mut().filter_map(move |(id, known)| {
            if interval.find(&known.key()).is_some() {
                // An active task may have changed its names.
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

    /// True if a task is alive.
    pub fn has(&self, key: &TaskKey) -> bool {
        let known = self.ids.get(&key.tid).and_then(|id| self.by_id.get(id));
        known.is_some_and(|known| known.key() == *key)
    }

    /// What is kept of a task, if it is alive.
    pub fn known(&mut self, key: &TaskKey) -> Option<&mut Known> {
        let known = self.by_id.get_mut(self.ids.get(&key.tid)?)?;
        (known.key() == *key).then_some(&mut **known)
    }

    /// True if a task that is not known started since the last look. A task with the tid and
    /// start time of a known group leader is a thread that took its place by execve.
    fn has_started_in_interval(&self, interval: &Interval, state: &TaskState) -> bool {
        let Some(began) = self.began else {
            return false;
        };
        let key = state.key();
        state.start_boottime >= clock::of_ticks(clock::ticks(began))
            || self.find(&key).is_some()
            || interval.find(&key).is_some()
    }

    fn release_tid(&mut self, state: &TaskState) {
        if self.ids.get(&state.tid) == Some(&state.id) {
            self.ids.remove(&state.tid);
        }
    }

    /// Adds the growth of a task's counters since it was last seen to its row.
    fn add_growth(&self, interval: &mut Interval, state: &TaskState) {
        let growth = self.growth(interval, state);
        if growth.any() {
            let place = interval.place(state.key(), || state.row());
            add_to_row(&mut interval.rows[place], growth, state);
        }
    }

    /// The growth of a task's counters since it was last seen.
    fn growth(&self, interval: &Interval, state: &TaskState) -> TaskCounters {
        let before = match self.by_id.get(&state.id) {
            Some(known) if is_same_task(&known.state(state.id), state) => {
                known.state(state.id).counters
            }
            _ if self.has_started_in_interval(interval, state) => TaskCounters::zero(),
            _ => state.counters,
        };
        state.counters.since(&before)
    }
}

/// Adds what a task did to its row, which then has the task's current names.
fn add_to_row(row: &mut Task, growth: TaskCounters, state: &TaskState) {
    if growth.any() {
        row.stats = row.stats + growth;
        if row.crowd.is_none() {
            row.comm = comm(&state.comm);
            row.uid = state.uid;
        }
    }
}

/// True if two states with one id are of one task. The kernel may have reused the
/// `task_struct` or the tid. A thread that calls execve becomes its group's leader.
fn is_same_task(known: &TaskState, now: &TaskState) -> bool {
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

    /// Two tasks that were alive before the interval, which begins at tick 100.
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

    /// A fork storm in a long interval: memory stays bounded, and every byte is in a row.
    #[test]
    fn very_many_exited_tasks_of_one_command_share_a_row() {
        let (mut live, mut interval) = (live(), Interval::default());
        let named = |tid, comm: u8| TaskState {
            comm: [comm, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ..state(tid, 110, 2)
        };
        let crowd = MANY_ROWS as u32 + 1;
        live.exited(&mut interval, &named(9, b'b'));
        for tid in 10..10 + crowd {
            live.exited(&mut interval, &named(tid, b'a'));
        }
        interval.share_rows(std::iter::empty());
        live.exited(&mut interval, &named(5, b'a'));
        let row = |task: &Task| (task.tid, task.stats.write_bytes, task.crowd);
        let rows: Vec<_> = interval.rows.iter().map(row).collect();
        let tasks = u64::from(crowd) + 1;
        assert_eq!(
            rows,
            [(9, Some(2), None), (0, Some(2 * tasks), Some(tasks))]
        );
        let key = |tid| named(tid, b'a').key();
        assert_eq!(
            (interval.find(&key(10)), interval.find(&key(5))),
            (Some(1), Some(1))
        );
    }

    #[test]
    fn io_before_the_first_look_is_not_counted() {
        let mut interval = Interval::default();
        live().update(&mut interval, &state(7, 10, 1004));
        assert_eq!(written(&interval), [(7, Some(4), false)]);
    }

    #[test]
    fn a_task_that_starts_and_exits_in_one_interval_has_one_row_with_all_bytes() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.update(&mut interval, &state(9, 100, 60));
        live.exited(&mut interval, &state(9, 100, 100));
        assert_eq!(written(&interval), [(9, Some(100), true)]);
        assert_eq!(live.by_tid(9), None);
    }

    #[test]
    fn a_task_that_a_pass_still_finds_after_its_exit_is_ignored() {
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
    fn a_reused_tid_inherits_nothing_even_if_the_exit_was_lost() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.update(&mut interval, &state(7, 110, 2000));
        assert_eq!(written(&interval), [(7, Some(2000), false)]);
    }

    #[test]
    fn a_counter_that_falls_counts_as_0() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.update(&mut interval, &state(7, 10, 900));
        assert_eq!(written(&interval), []);
    }

    #[test]
    fn the_earlier_io_of_an_unknown_old_task_is_not_counted() {
        let (mut live, mut interval) = (live(), Interval::default());
        live.update(&mut interval, &state(3, 30, 1 << 40));
        assert_eq!(written(&interval), []);
    }

    #[test]
    fn a_thread_that_calls_execve_is_not_counted_twice() {
        // Thread 8 takes over the tid and the start time of leader 7. The two may be reported
        // in either order.
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
    fn a_thread_that_started_in_the_interval_may_call_execve_in_it() {
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
