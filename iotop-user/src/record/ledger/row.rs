//! The rows of a day's totals.

use std::sync::Arc;

use crate::sample::{BlockTotals, Metadata, Number, Reason, Task, sum};

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// What a command wrote and read in a directory of a device, or what was written there
    /// without an owner.
    Row,
    /// What a command itself counted: it is not known for which directory or device.
    Task,
    /// The sum of rows that were too small and too many to be kept, on a device.
    Other,
    /// Written bytes in no row: neither owner nor directory is known.
    Unattributed,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Row, Kind::Task, Kind::Other, Kind::Unattributed];

    /// Its name in the lines.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Row => "row",
            Kind::Task => "task",
            Kind::Other => "other",
            Kind::Unattributed => "unattributed",
        }
    }
}

/// What tells rows apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// What the row is.
    pub kind: Kind,
    /// The systemd unit of the owner.
    pub unit: Option<Arc<str>>,
    /// Its container.
    pub container: Option<Arc<str>>,
    /// The name of its program. `None`: the bytes have no owner.
    pub command: Option<Arc<str>>,
    /// The directory of the files, or the metadata of a file system. `None`: the path of the
    /// file is not known.
    pub directory: Option<Arc<str>>,
    /// The device.
    pub device: Option<Number>,
    /// Why written bytes have no owner.
    pub reason: Option<Reason>,
}

impl RowKey {
    /// A row of this kind, with nothing else.
    pub(super) const fn of(kind: Kind) -> RowKey {
        RowKey {
            kind,
            unit: None,
            container: None,
            command: None,
            directory: None,
            device: None,
            reason: None,
        }
    }

    /// The row to which this one is added if there are too many.
    pub(super) fn other(&self) -> RowKey {
        RowKey {
            device: self.device,
            reason: self.reason,
            ..RowKey::of(Kind::Other)
        }
    }

    /// True if the row is already a sum of what can't be told apart.
    pub(super) fn is_sum(&self) -> bool {
        matches!(self.kind, Kind::Other | Kind::Unattributed)
    }
}

/// What was written and read. In bytes unless stated otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Written data with an owner that is known exactly.
    pub exact: u64,
    /// Written data with an estimated owner.
    pub shared: u64,
    /// Written journals and metadata, by kind.
    pub metadata: Metadata,
    /// Written without an owner.
    pub without_owner: u64,
    /// Read from devices.
    pub read: u64,
    /// Number of bios that wrote.
    pub bios: u64,
    /// Page cache that became dirty. This and the following are known of [`Kind::Task`] rows.
    pub dirtied: Option<u64>,
    /// Dirty page cache that was dropped before it was written.
    pub dropped: Option<u64>,
    /// Bytes that passed through write(2) and similar calls.
    pub write_char: Option<u64>,
    /// Number of these calls.
    pub write_syscalls: Option<u64>,
}

impl Row {
    /// Written bytes with an owner.
    pub fn caused(&self) -> u64 {
        self.exact + self.shared + self.metadata.total()
    }

    /// All written bytes.
    pub fn written(&self) -> u64 {
        self.caused() + self.without_owner
    }

    /// True if nothing was counted. A counter that is known to be 0 is something.
    pub fn is_nothing(&self) -> bool {
        let counters = [self.dirtied, self.dropped, self.write_char];
        let mut counted = counters.into_iter().chain([self.write_syscalls]);
        self.written() == 0 && self.read == 0 && counted.all(|n| n.is_none())
    }

    /// What ranks rows.
    pub(super) fn weight(&self) -> u64 {
        let counters = [self.dirtied, self.write_char].into_iter().flatten();
        counters.fold(self.written().max(self.read), u64::max)
    }

    /// Adds the totals of a fact.
    pub(super) fn count(&mut self, one: &BlockTotals, bios: u64) {
        self.exact += one.attributed;
        self.shared += one.shared - one.metadata.total();
        self.metadata = self.metadata + one.metadata;
        self.without_owner += one.unattributed.in_total();
        self.read += one.read;
        if one.write != 0 {
            self.bios += bios;
        }
    }

    /// Adds a task's own counters, which no fact has.
    pub(super) fn count_task(&mut self, task: &Task) {
        let block = task.block.as_ref();
        self.dirtied = sum(self.dirtied, block.and_then(|block| block.dirtied));
        self.dropped = sum(self.dropped, block.and_then(|block| block.cancelled));
        self.write_char = sum(self.write_char, task.stats.write_char);
        self.write_syscalls = sum(self.write_syscalls, task.stats.write_syscalls);
    }

    /// Adds another row.
    pub(super) fn merge(&mut self, other: &Row) {
        self.exact += other.exact;
        self.shared += other.shared;
        self.metadata = self.metadata + other.metadata;
        self.without_owner += other.without_owner;
        self.read += other.read;
        self.bios += other.bios;
        self.dirtied = sum(self.dirtied, other.dirtied);
        self.dropped = sum(self.dropped, other.dropped);
        self.write_char = sum(self.write_char, other.write_char);
        self.write_syscalls = sum(self.write_syscalls, other.write_syscalls);
    }
}
