//! The kernel's own counters of each task's I/O.

/// The task is a kernel thread (`PF_KTHREAD`).
pub const TASK_KTHREAD: u32 = 1 << 0;
/// The task has exited, so these counters are final.
pub const TASK_EXITED: u32 = 1 << 1;
/// The kernel counts delays for this task (`task_struct.delays` is set).
pub const TASK_DELAYS: u32 = 1 << 2;

/// A task and its counters since it started: `task_struct.ioac`
/// (include/linux/task_io_accounting.h) and `task_struct.delays`
/// (include/linux/delayacct.h). The counters never decrease.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct TaskRecord {
    /// The address of the `task_struct`. A thread that executes a program takes over its
    /// leader's number and start time (`de_thread` of fs/exec.c). The address tells to
    /// which of the two tasks the counters belong.
    pub task: u64,
    /// `task_struct.start_boottime`, ns. With `tid` the task's identity.
    pub start_boottime: u64,
    /// cgroup v2 id (the inode number of its cgroupfs directory).
    pub cgroup_id: u64,
    /// Bytes read by system calls.
    pub rchar: u64,
    /// Bytes written by system calls.
    pub wchar: u64,
    /// Read system calls.
    pub syscr: u64,
    /// Write system calls.
    pub syscw: u64,
    /// Bytes read from storage.
    pub read_bytes: u64,
    /// Bytes of page cache that the task dirtied, and of its direct writes.
    pub write_bytes: u64,
    /// Bytes of dirty page cache that this task truncated.
    pub cancelled_write_bytes: u64,
    /// Time spent waiting for block I/O, ns.
    pub blkio_delay: u64,
    /// Time spent waiting for swap-in, ns.
    pub swapin_delay: u64,
    /// The number of waits for block I/O.
    pub blkio_count: u32,
    /// The number of waits for swap-in.
    pub swapin_count: u32,
    /// Thread id. 0 in the record that ends a pass over all tasks; in that record `task`
    /// is the number of tasks.
    pub tid: u32,
    /// Thread group id, what userspace calls PID.
    pub tgid: u32,
    /// The parent's thread group id.
    pub ppid: u32,
    /// Effective user id.
    pub uid: u32,
    /// `TASK_*` bits.
    pub flags: u32,
    /// Always 0.
    pub _reserved: u32,
    /// `task_struct.comm`, NUL-terminated.
    pub comm: [u8; 16],
}

impl TaskRecord {
    /// A number that changes whenever a counter does.
    #[inline(always)]
    pub fn mark(&self) -> u64 {
        self.rchar
            + self.wchar
            + self.syscr
            + self.syscw
            + self.read_bytes
            + self.write_bytes
            + self.cancelled_write_bytes
            + self.blkio_delay
            + self.swapin_delay
            + self.blkio_count as u64
            + self.swapin_count as u64
    }
}

/// The record of a task that exits with the counters that the user half already has. A process
/// may have thousands of idle threads, which exit at once.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct IdleExit {
    /// See [`TaskRecord::task`].
    pub task: u64,
    /// `task_struct.start_boottime`, ns.
    pub start_boottime: u64,
    /// Thread id.
    pub tid: u32,
    /// Always 0.
    pub _reserved: u32,
}

/// The state of a task when it was last handed to the user half.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Seen {
    /// [`TaskRecord::mark`] plus 1.
    pub mark: u64,
    /// The lower half of `task_struct.start_boottime`. It repeats every four seconds, but a
    /// tid is not reused after exactly that time, to the nanosecond.
    pub start_boottime: u32,
    /// The lower half of the number of switches away from the task, plus 1.
    pub switches: u32,
}

const _: () = assert!(size_of::<TaskRecord>() == 144);
const _: () = assert!(size_of::<IdleExit>() == 24);
const _: () = assert!(size_of::<Seen>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_counter_moves_the_mark() {
        let before = TaskRecord::default();
        let after = [
            TaskRecord { rchar: 1, ..before },
            TaskRecord { wchar: 1, ..before },
            TaskRecord { syscr: 1, ..before },
            TaskRecord { syscw: 1, ..before },
            TaskRecord {
                read_bytes: 1,
                ..before
            },
            TaskRecord {
                write_bytes: 1,
                ..before
            },
            TaskRecord {
                cancelled_write_bytes: 1,
                ..before
            },
            TaskRecord {
                blkio_delay: 1,
                ..before
            },
            TaskRecord {
                swapin_delay: 1,
                ..before
            },
            TaskRecord {
                blkio_count: 1,
                ..before
            },
            TaskRecord {
                swapin_count: 1,
                ..before
            },
        ];
        assert!(
            after
                .iter()
                .all(|record| record.mark() == before.mark() + 1)
        );
    }
}
