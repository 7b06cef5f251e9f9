//! The kernel's own counters for a task.

use std::ops::Add;

use super::sum;

/// Defines [`TaskCounters`] and the conversions between its fields and an array.
macro_rules! counters {
    ($($(#[$doc:meta])* $counter:ident,)*) => {
        /// The kernel's own counters for a task (`task_struct.ioac` and `delays`).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct TaskCounters {
            $($(#[$doc])* pub $counter: Option<u64>,)*
        }

        impl TaskCounters {
            /// Number of counters.
            pub(crate) const COUNT: usize = [$(stringify!($counter)),*].len();

            /// Their names, in the order of their definition.
            pub(crate) const NAMES: [&'static str; Self::COUNT] = [$(stringify!($counter)),*];

            /// All counters, in the order of their definition.
            pub(crate) fn fields(&self) -> [Option<u64>; Self::COUNT] {
                [$(self.$counter),*]
            }

            /// The reverse of [`TaskCounters::fields`].
            pub(crate) fn from_fields(fields: [Option<u64>; Self::COUNT]) -> TaskCounters {
                let [$($counter),*] = fields;
                TaskCounters { $($counter),* }
            }
        }
    };
}

counters! {
    /// Bytes read from storage.
    read_bytes,
    /// Bytes of page cache made dirty, and bytes of direct writes.
    write_bytes,
    /// Bytes of dirty page cache that this task truncated.
    cancelled_write_bytes,
    /// Bytes that passed through read(2) and similar calls.
    read_char,
    /// Bytes that passed through write(2) and similar calls.
    write_char,
    /// Number of read system calls.
    read_syscalls,
    /// Number of write system calls.
    write_syscalls,
    /// Number of waits for synchronous block I/O.
    blkio_count,
    /// Time spent in these waits.
    blkio_delay_ns,
    /// Number of waits for swap-in.
    swapin_count,
    /// Time spent in these waits.
    swapin_delay_ns,
}

impl TaskCounters {
    /// The counters of a new task: all are known and 0.
    pub fn zero() -> TaskCounters {
        TaskCounters::from_fields([Some(0); TaskCounters::COUNT])
    }

    /// 0 for each counter that is known here, `None` for the others.
    pub fn nothing(&self) -> TaskCounters {
        self.since(self)
    }

    /// The growth since `before`. A counter that fell was reset and gives 0.
    pub fn since(&self, before: &TaskCounters) -> TaskCounters {
        self.map2(before, |now, before| Some(now?.saturating_sub(before?)))
    }

    /// True if any counter is known and not 0.
    pub fn any(&self) -> bool {
        self.fields().into_iter().flatten().any(|n| n != 0)
    }

    fn map2(
        &self,
        other: &TaskCounters,
        f: impl Fn(Option<u64>, Option<u64>) -> Option<u64>,
    ) -> TaskCounters {
        let (a, b) = (self.fields(), other.fields());
        TaskCounters::from_fields(std::array::from_fn(|n| f(a[n], b[n])))
    }
}

impl Add for TaskCounters {
    type Output = TaskCounters;

    fn add(self, other: TaskCounters) -> TaskCounters {
        self.map2(&other, sum)
    }
}
