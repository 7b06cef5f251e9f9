//! `/proc/PID/task/TID/io` (proc_pid_io(5)): the fallback without eBPF and taskstats. Any
//! user may read it for their own tasks. The file of a process includes the bytes of its
//! reaped children; the file of a thread does not.

use std::{fs, path::Path};

use crate::sample::TaskCounters;

/// A thread's counters since its start. `thread` is its directory in /proc. A counter that
/// can't be read is unknown, and so are delays, which the file does not have.
pub fn read(thread: &Path) -> TaskCounters {
    fs::read_to_string(thread.join("io"))
        .map(|text| parse(&text))
        .unwrap_or_default()
}

pub(crate) fn parse(text: &str) -> TaskCounters {
    let mut counters = TaskCounters::default();
    for (name, number) in text.lines().filter_map(|line| line.split_once(": ")) {
        let field = match name {
            "rchar" => &mut counters.read_char,
            "wchar" => &mut counters.write_char,
            "syscr" => &mut counters.read_syscalls,
            "syscw" => &mut counters.write_syscalls,
            "read_bytes" => &mut counters.read_bytes,
            "write_bytes" => &mut counters.write_bytes,
            "cancelled_write_bytes" => &mut counters.cancelled_write_bytes,
            _ => continue,
        };
        *field = number.trim().parse().ok();
    }
    counters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_lines_are_read_and_missing_ones_are_unknown() {
        let counters = parse("rchar: 5\nwchar: 6\nsyscr: 1\nread_bytes: 4096\nnew: 1\nwrite_by");
        assert_eq!(counters.read_char, Some(5));
        assert_eq!(counters.read_bytes, Some(4096));
        assert_eq!(counters.write_bytes, None);
        assert_eq!(counters.blkio_delay_ns, None);
    }

    #[test]
    fn garbage_and_absence_are_unknown() {
        assert_eq!(
            parse("rchar: -1\nwchar: x\n\0\n: 3"),
            TaskCounters::default()
        );
        assert_eq!(read(Path::new("/nonexistent")), TaskCounters::default());
    }

    #[test]
    fn our_own_thread_is_read() {
        let itself = Path::new("/proc/thread-self");
        // A new thread has not read anything yet.
        read(itself);
        let counters = read(itself);
        assert!(counters.read_char > Some(0));
    }
}
