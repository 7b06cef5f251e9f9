//! A process that the user chose by number (`-p`). The kernel gives the number of a process
//! that has ended to another one, so a process is its number and its start.

use super::live::{LiveTasks, TaskState};
use crate::{
    host::kernel::clock,
    sample::{Sample, Task, TaskKey},
};

/// A process that the user chose by its number, or by that of one of its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The number of the process. Before the process is found, the number that the user gave.
    pub pid: u32,
    /// When it started, ns after boot. `None`: no task with this number was seen yet.
    start: Option<u64>,
    /// When the next process with its number started.
    next: Option<u64>,
    ended: bool,
}

impl Chosen {
    /// A process that is not found yet.
    pub fn new(number: u32) -> Chosen {
        Chosen {
            pid: number,
            start: None,
            next: None,
            ended: false,
        }
    }

    /// The process with this number that started at `start`, ns after boot.
    pub fn started(pid: u32, start: u64) -> Chosen {
        Chosen {
            start: Some(start),
            ..Chosen::new(pid)
        }
    }

    /// When the process started, if it is found.
    pub fn start(&self) -> Option<u64> {
        self.start
    }

    /// Finds the process among the live tasks.
    pub(super) fn find_live(&mut self, live: &LiveTasks) {
        // The leader, which started first, may have exited before its threads.
        self.pid = live.by_tid(self.pid).map_or(self.pid, |task| task.pid);
        let threads = live.states().filter(|thread| thread.pid == self.pid);
        self.start = threads.map(|thread| thread.start_boottime).min();
    }

    /// Finds the process in a sample, if it is not found yet, and looks for another process that
    /// has the number now. Returns true if the process ended in the interval.
    pub fn follow(&mut self, sample: &Sample) -> bool {
        let tasks = || sample.tasks.iter().map(|task| &**task);
        if self.start.is_none() {
            self.find(tasks());
        }
        self.look(tasks());
        let was_leader =
            |key: &TaskKey| key.tid == self.pid && self.is_its(key.tid, key.start_boottime);
        let has_exited = sample.exited.iter().any(was_leader);
        let ended = has_exited && !tasks().any(|task| !task.exited && self.has(task));
        ended && !std::mem::replace(&mut self.ended, ended)
    }

    fn find<'a>(&mut self, tasks: impl Iterator<Item = &'a Task> + Clone) {
        let of_number = || tasks.clone().filter(|task| task.tid == self.pid);
        let task = of_number().find(|task| !task.exited);
        let Some(task) = task.or_else(|| of_number().next()) else {
            return;
        };
        let leader = |other: &&Task| other.tid == task.pid && other.exited == task.exited;
        let leader = tasks.clone().find(leader).unwrap_or(task);
        *self = Chosen::started(task.pid, leader.start_boottime);
    }

    /// Looks for another process that has the number now.
    pub(super) fn look<'a>(&mut self, tasks: impl Iterator<Item = &'a Task>) {
        for leader in tasks {
            if leader.tid == self.pid && leader.pid == self.pid {
                self.see(leader.start_boottime);
            }
        }
    }

    /// Does the same among the live tasks. Returns true if the process has ended since the
    /// last look: none of its threads is alive.
    pub(super) fn look_live(&mut self, live: &LiveTasks) -> bool {
        let leader = live.by_tid(self.pid).filter(|task| task.pid == self.pid);
        if let Some(leader) = leader {
            self.see(leader.start_boottime);
        }
        let is_its = |task: &TaskState| self.is_its(task.pid, task.start_boottime);
        let is_alive = || leader.as_ref().is_some_and(is_its) || live.states().any(|t| is_its(&t));
        if self.ended || self.start.is_none() || is_alive() {
            return false;
        }
        self.ended = true;
        true
    }

    /// A process that started at this time has the number.
    fn see(&mut self, start: u64) {
        // /proc has whole ticks, the kernel half nanoseconds.
        let tick = clock::ticks;
        let is_later = self.start.is_some_and(|first| tick(start) > tick(first));
        if is_later && self.next.is_none_or(|next| start < next) {
            self.next = Some(start);
        }
    }

    /// True if the task is one of the process's threads.
    pub fn has(&self, task: &Task) -> bool {
        self.is_its(task.pid, task.start_boottime)
    }

    /// True if a task of this process that started at `start` is one of its threads.
    pub fn is_its(&self, pid: u32, start: u64) -> bool {
        pid == self.pid
            && self.start.is_some_and(|first| start >= first)
            && self.next.is_none_or(|next| start < next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{collect::live::Interval, golden};

    const SECOND: u64 = 1_000_000_000;

    fn task(pid: u32, tid: u32, start: u64) -> Task {
        Task {
            pid,
            tid,
            start_boottime: start * SECOND,
            ..Task::default()
        }
    }

    fn live(tasks: &[(u32, u32, u64)]) -> LiveTasks {
        let mut live = LiveTasks::default();
        for (pid, tid, start) in tasks {
            let state = TaskState {
                id: u64::from(*tid) << 32 | start,
                pid: *pid,
                tid: *tid,
                start_boottime: start * SECOND,
                ..TaskState::default()
            };
            live.update(&mut Interval::default(), &state);
        }
        live
    }

    fn found(number: u32, tasks: &[(u32, u32, u64)]) -> Chosen {
        let mut chosen = Chosen::new(number);
        chosen.find_live(&live(tasks));
        chosen
    }

    #[test]
    fn whoever_gets_the_number_next_is_not_the_chosen_process() {
        let mut chosen = found(7, &[(7, 7, 10), (7, 8, 20)]);
        assert!(chosen.has(&task(7, 7, 10)) && chosen.has(&task(7, 8, 20)));
        assert!(!chosen.look_live(&live(&[(7, 7, 10)])), "it lives");
        let next = live(&[(7, 7, 30), (7, 9, 40)]);
        assert!(chosen.look_live(&next), "it has ended");
        assert!(!chosen.look_live(&next), "it ends once");
        for (tid, start, is_its) in [(7, 30, false), (9, 40, false), (7, 10, true), (8, 20, true)] {
            assert_eq!(chosen.has(&task(7, tid, start)), is_its, "{tid}");
        }
    }

    #[test]
    fn a_successor_that_lives_and_dies_in_one_interval_is_another_process() {
        let mut chosen = found(7, &[(7, 7, 10)]);
        let rows = [task(7, 7, 10), task(7, 7, 30), task(7, 9, 31)];
        chosen.look(rows.iter());
        let its: Vec<bool> = rows.iter().map(|row| chosen.has(row)).collect();
        assert_eq!(its, [true, false, false]);
    }

    #[test]
    fn a_process_lives_as_long_as_one_of_its_threads() {
        let mut chosen = found(8, &[(7, 7, 10), (7, 8, 20)]);
        assert_eq!((chosen.pid, chosen.start()), (7, Some(10 * SECOND)));
        assert!(!chosen.look_live(&live(&[(7, 8, 20)])), "its leader exited");
        assert!(
            found(7, &[(7, 8, 20)]).has(&task(7, 8, 20)),
            "before the start"
        );
        // The number of the process is now that of another process's thread.
        assert!(chosen.look_live(&live(&[(5, 5, 1), (5, 7, 30)])));
    }

    #[test]
    fn the_start_of_proc_is_that_of_the_kernel_half_in_whole_ticks() {
        let exact = |ns| Task {
            start_boottime: 10 * SECOND + ns,
            ..task(7, 7, 0)
        };
        let mut chosen = Chosen::started(7, 10 * SECOND);
        chosen.look([exact(1234)].iter());
        assert!(chosen.has(&exact(1234)));
        chosen.look([exact(clock::TICK_NS)].iter());
        assert!(!chosen.has(&exact(clock::TICK_NS)));
    }

    #[test]
    fn a_process_ends_in_the_interval_in_which_its_leader_and_last_thread_exit() {
        let sample = |tasks: &[(u32, u32, u64)], exited: &[u64]| {
            let row = |(pid, tid, start): &(u32, u32, u64)| task(*pid, *tid, *start).into();
            let key = |start: &u64| task(7, 7, *start).key();
            Sample {
                tasks: tasks.iter().map(row).collect(),
                exited: exited.iter().map(key).collect(),
                ..golden::sample()
            }
        };
        let mut chosen = Chosen::new(7);
        assert!(!chosen.follow(&sample(&[(7, 7, 10)], &[])));
        assert!(!chosen.follow(&sample(&[], &[])), "it is idle");
        assert!(!chosen.follow(&sample(&[(7, 8, 20)], &[10])), "a thread");
        assert!(chosen.follow(&sample(&[(7, 7, 30)], &[10])));
        assert!(!chosen.follow(&sample(&[], &[10, 30])), "it ends once");
    }

    #[test]
    fn nobody_is_shown_until_the_number_is_found() {
        let mut chosen = Chosen::new(8);
        assert!(!chosen.has(&task(7, 8, 20)) && !chosen.look_live(&live(&[])));
        let exited = Task {
            exited: true,
            ..task(8, 8, 5)
        };
        chosen.find([exited, task(7, 8, 20), task(7, 7, 10)].iter());
        assert_eq!((chosen.pid, chosen.start()), (7, Some(10 * SECOND)));
    }
}
