//! The programs that processes executed during the trace, with their arguments. They name
//! processes that are no longer in /proc.

use std::collections::{HashMap, VecDeque};

use iotop_common::ExecutedHead;

use super::cmdline::joined;
use crate::sample::Task;

/// How many bytes the programs take at most, and how many those take that were asked for.
/// A process that did I/O may be asked for again, when its pages are written.
const MOST_BYTES: usize = 1 << 20;
/// What a program takes besides its arguments.
const OVERHEAD: usize = 128;

/// The last program of each process, by pid. Older ones are forgotten.
#[derive(Debug, Default)]
pub struct Executed {
    programs: HashMap<u32, Program>,
    /// Counts the programs.
    count: u64,
    /// Those that were not asked for, and those that were: the oldest first.
    new: Queue,
    asked: Queue,
}

#[derive(Debug)]
struct Program {
    head: ExecutedHead,
    arguments: Box<[u8]>,
    /// Its number. A process that executes another program gets a new one.
    number: u64,
    /// True if it is in the queue of those that were asked for.
    asked: bool,
}

/// Programs in the order in which they are forgotten.
#[derive(Debug, Default)]
struct Queue {
    /// Pid, number and size of each.
    programs: VecDeque<(u32, u64, usize)>,
    bytes: usize,
}

impl Executed {
    /// Adds a program that a process has just executed.
    pub fn add(&mut self, head: &ExecutedHead, arguments: &[u8]) {
        self.count += 1;
        let program = Program {
            head: *head,
            arguments: arguments.into(),
            number: self.count,
            asked: false,
        };
        self.new.push(&program);
        self.programs.insert(head.pid, program);
        self.forget();
    }

    /// The last program of the process with this pid that is not younger than this.
    pub fn program(&self, pid: u32, not_after: u64) -> Option<&ExecutedHead> {
        let head = &self.programs.get(&pid)?.head;
        (head.start_boottime <= not_after).then_some(head)
    }

    /// The command line of a task's process. A thread is never older than the program that
    /// its process executes: execve ends all threads but one.
    pub fn command_line(&mut self, task: &Task) -> Option<String> {
        let program = self.programs.get_mut(&task.pid)?;
        let start = program.head.start_boottime;
        let is_of_task = match task.tid == task.pid {
            true => start == task.start_boottime,
            false => start <= task.start_boottime,
        };
        if !is_of_task {
            return None;
        }
        let more = (program.head.length as usize).saturating_sub(program.arguments.len());
        let line = joined(&program.arguments, more);
        if !program.asked && task.did_io() {
            program.asked = true;
            self.asked.push(program);
            self.forget();
        }
        line
    }

    fn forget(&mut self) {
        let programs = &mut self.programs;
        for (queue, asked) in [(&mut self.new, false), (&mut self.asked, true)] {
            while let Some((pid, number)) = queue.pop_beyond(MOST_BYTES) {
                let is_it = |program: &Program| program.number == number && program.asked == asked;
                if programs.get(&pid).is_some_and(is_it) {
                    programs.remove(&pid);
                }
            }
        }
    }
}

impl Queue {
    fn push(&mut self, program: &Program) {
        let size = OVERHEAD + program.arguments.len();
        self.bytes += size;
        self.programs
            .push_back((program.head.pid, program.number, size));
    }

    /// Takes out the oldest program, if there are more bytes than this.
    fn pop_beyond(&mut self, most: usize) -> Option<(u32, u64)> {
        if self.bytes <= most {
            return None;
        }
        let (pid, number, size) = self.programs.pop_front()?;
        self.bytes -= size;
        Some((pid, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::TaskCounters;

    fn head(pid: u32, start_boottime: u64, length: usize) -> ExecutedHead {
        ExecutedHead {
            pid,
            start_boottime,
            length: length as u32,
            ..ExecutedHead::default()
        }
    }

    fn add(executed: &mut Executed, pid: u32, start: u64, arguments: &[u8]) {
        executed.add(&head(pid, start, arguments.len()), arguments);
    }

    fn task(pid: u32, tid: u32, start_boottime: u64) -> Task {
        Task {
            pid,
            tid,
            start_boottime,
            ..Task::default()
        }
    }

    #[test]
    fn a_process_has_the_arguments_of_its_last_program() {
        let mut executed = Executed::default();
        add(&mut executed, 7, 100, b"sh\0-c\0dd\0");
        add(&mut executed, 7, 100, b"dd\0if=a b\0\0");
        let mut line = |pid, tid, start| executed.command_line(&task(pid, tid, start));
        assert_eq!(line(7, 7, 100).as_deref(), Some("dd if=a b"));
        assert_eq!(line(7, 8, 101).as_deref(), Some("dd if=a b"), "a thread");
        assert_eq!(line(7, 7, 101), None, "another process with this pid");
        assert_eq!(line(7, 8, 99), None, "a thread of an older process");
        assert_eq!(line(8, 8, 100), None);
    }

    #[test]
    fn arguments_that_were_cut_off_end_with_an_ellipsis() {
        let mut executed = Executed::default();
        executed.add(&head(7, 1, 9), b"tar\0-cf\0");
        executed.add(&head(8, 1, 9), b"");
        let mut line = |pid| executed.command_line(&task(pid, pid, 1));
        assert_eq!(line(7).as_deref(), Some("tar -cf…"));
        assert_eq!(line(8), None, "they could not be read");
    }

    #[test]
    fn a_storm_of_programs_leaves_those_that_did_io() {
        let mut executed = Executed::default();
        let writer = Task {
            stats: TaskCounters {
                write_bytes: Some(1),
                ..TaskCounters::default()
            },
            ..task(7, 7, 1)
        };
        add(&mut executed, 7, 1, b"dd\0");
        assert!(executed.command_line(&writer).is_some());
        for pid in 10..100_000 {
            add(&mut executed, pid, 1, b"true\0");
            executed.command_line(&task(pid, pid, 1));
        }
        assert!(executed.command_line(&writer).is_some());
        assert!(executed.command_line(&task(10, 10, 1)).is_none());
        assert!(executed.command_line(&task(99_999, 99_999, 1)).is_some());
        assert!(executed.programs.len() * OVERHEAD <= 2 * MOST_BYTES);
        for pid in 10..100_000 {
            add(&mut executed, pid, 2, b"dd\0");
            let writer = Task {
                pid,
                tid: pid,
                start_boottime: 2,
                ..writer.clone()
            };
            executed.command_line(&writer);
        }
        assert!(executed.programs.len() * OVERHEAD <= 2 * MOST_BYTES);
    }
}
