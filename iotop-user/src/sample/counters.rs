//! The kernel's own counters of a task.

/// The kernel's own counters of a task (`task_struct.ioac` and `delays`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounters {
    /// Bytes read from storage.
    pub read_bytes: Option<u64>,
    /// Bytes of page cache dirtied, and of direct writes.
    pub write_bytes: Option<u64>,
    /// Bytes of dirty page cache this task truncated away.
    pub cancelled_write_bytes: Option<u64>,
    /// Bytes passed to read(2) and its like.
    pub read_char: Option<u64>,
    /// Bytes passed to write(2) and its like.
    pub write_char: Option<u64>,
    /// Read system calls.
    pub read_syscalls: Option<u64>,
    /// Write system calls.
    pub write_syscalls: Option<u64>,
    /// Waits for synchronous block I/O.
    pub blkio_count: Option<u64>,
    /// Time spent in them.
    pub blkio_delay_ns: Option<u64>,
    /// Waits for swap-in.
    pub swapin_count: Option<u64>,
    /// Time spent in them.
    pub swapin_delay_ns: Option<u64>,
}

impl TaskCounters {
    /// What a task has done that was just born.
    pub fn zero() -> TaskCounters {
        TaskCounters::default().map2(&TaskCounters::default(), |_, _| Some(0))
    }

    /// No growth of the counters that are known here.
    pub fn nothing(&self) -> TaskCounters {
        self.since(self)
    }

    /// The growth since `before`. A counter that fell gives 0: it was reset.
    pub fn since(&self, before: &TaskCounters) -> TaskCounters {
        self.map2(before, |now, before| Some(now?.saturating_sub(before?)))
    }

    /// The sum, as far as both are known.
    pub fn plus(&self, other: &TaskCounters) -> TaskCounters {
        self.map2(other, |one, other| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        })
    }

    /// Whether any I/O is known.
    pub fn any(&self) -> bool {
        self.fields().into_iter().flatten().any(|n| n != 0)
    }

    /// How many there are.
    pub(crate) const COUNT: usize = 11;

    pub(crate) fn fields(&self) -> [Option<u64>; Self::COUNT] {
        [
            self.read_bytes,
            self.write_bytes,
            self.cancelled_write_bytes,
            self.read_char,
            self.write_char,
            self.read_syscalls,
            self.write_syscalls,
            self.blkio_count,
            self.blkio_delay_ns,
            self.swapin_count,
            self.swapin_delay_ns,
        ]
    }

    fn map2(
        &self,
        other: &TaskCounters,
        f: impl Fn(Option<u64>, Option<u64>) -> Option<u64>,
    ) -> TaskCounters {
        let (a, b) = (self.fields(), other.fields());
        TaskCounters::from_fn(|n| f(a[n], b[n]))
    }

    /// From each counter's number among the fields.
    pub(crate) fn from_fn(of: impl Fn(usize) -> Option<u64>) -> TaskCounters {
        TaskCounters {
            read_bytes: of(0),
            write_bytes: of(1),
            cancelled_write_bytes: of(2),
            read_char: of(3),
            write_char: of(4),
            read_syscalls: of(5),
            write_syscalls: of(6),
            blkio_count: of(7),
            blkio_delay_ns: of(8),
            swapin_count: of(9),
            swapin_delay_ns: of(10),
        }
    }
}
