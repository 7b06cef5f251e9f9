//! The kernel's own counters of a task.

use std::ops::Add;

use super::sum;

/// Defines [`TaskCounters`], and with it what goes over all of them.
macro_rules! counters {
    ($($(#[$doc:meta])* $counter:ident,)*) => {
        /// The kernel's own counters of a task (`task_struct.ioac` and `delays`).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct TaskCounters {
            $($(#[$doc])* pub $counter: Option<u64>,)*
        }

        impl TaskCounters {
            /// How many there are.
            pub(crate) const COUNT: usize = [$(stringify!($counter)),*].len();

            /// All of them, in the order of their definition.
            pub(crate) fn fields(&self) -> [Option<u64>; Self::COUNT] {
                [$(self.$counter),*]
            }

            /// The reverse.
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
    /// Bytes of page cache dirtied, and of direct writes.
    write_bytes,
    /// Bytes of dirty page cache this task truncated away.
    cancelled_write_bytes,
    /// Bytes passed to read(2) and its like.
    read_char,
    /// Bytes passed to write(2) and its like.
    write_char,
    /// Read system calls.
    read_syscalls,
    /// Write system calls.
    write_syscalls,
    /// Waits for synchronous block I/O.
    blkio_count,
    /// Time spent in them.
    blkio_delay_ns,
    /// Waits for swap-in.
    swapin_count,
    /// Time spent in them.
    swapin_delay_ns,
}

impl TaskCounters {
    /// What a task has done that was just born.
    pub fn zero() -> TaskCounters {
        TaskCounters::from_fields([Some(0); TaskCounters::COUNT])
    }

    /// No growth of the counters that are known here.
    pub fn nothing(&self) -> TaskCounters {
        self.since(self)
    }

    /// The growth since `before`. A counter that fell gives 0: it was reset.
    pub fn since(&self, before: &TaskCounters) -> TaskCounters {
        self.map2(before, |now, before| Some(now?.saturating_sub(before?)))
    }

    /// Whether any I/O is known.
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
