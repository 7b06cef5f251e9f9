//! What a row, or a part of it, wrote and read in a span.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    clock::{Clock, During},
    series::{Room, Series},
    times::ROW,
};
use crate::sample::{BlockFact, BlockTotals, Metadata, Number, Task, sum};

/// At most this many reasons, calls or devices are told apart. No machine has as many; a
/// recording that was tampered with may.
const KINDS: usize = 256;

/// Bytes on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnOneDevice {
    /// Data, exact or estimated.
    pub data: u64,
    /// Journals and metadata.
    pub metadata: u64,
}

/// What was written and read. In bytes unless stated otherwise.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Written data with an owner that is known exactly.
    pub exact: u64,
    /// Written data with an estimated owner.
    pub shared: u64,
    /// Written journals and metadata, by kind.
    pub metadata: Metadata,
    /// Written without an owner. Only files, directories and devices have such bytes.
    pub without_owner: u64,
    /// Read from devices.
    pub read: u64,
    /// Page cache that became dirty. Like the four fields below, it is not known for a file,
    /// a directory or a device.
    pub dirtied: Option<u64>,
    /// Dirty page cache that was dropped before it was written.
    pub dropped: Option<u64>,
    /// Bytes that passed through write(2) and similar calls.
    pub write_char: Option<u64>,
    /// Number of these calls.
    pub write_syscalls: Option<u64>,
    /// Number of times that it waited for a file to be written.
    pub syncs: Option<u64>,
    /// Number of bios that wrote.
    pub bios: u64,
    /// The written bytes with an owner, by device.
    pub devices: BTreeMap<Number, OnOneDevice>,
    /// The written bytes with an owner by what asked for the write ([`FlushReason::name`]),
    /// as far as it is known.
    ///
    /// [`FlushReason::name`]: crate::sample::FlushReason::name
    pub reasons: BTreeMap<Arc<str>, u64>,
    /// How often commits of a journal were asked for, by system call.
    pub commits: BTreeMap<Arc<str>, u64>,
    /// When bytes with or without an owner were written.
    pub when: Series,
    /// The same by the time of the clock, if that is wanted.
    pub clock: Clock,
}

impl Usage {
    /// Written bytes with an owner.
    pub fn caused(&self) -> u64 {
        self.exact + self.shared + self.metadata.total()
    }

    /// All written bytes.
    pub fn written(&self) -> u64 {
        self.caused() + self.without_owner
    }

    /// What ranks rows: written bytes first, and those only read after them.
    pub(super) fn weight(&self) -> (u64, u64) {
        (self.written(), self.read)
    }

    /// True if nothing was counted.
    pub fn is_nothing(&self) -> bool {
        self.weight() == (0, 0) && self.dirtied.unwrap_or(0) == 0
    }

    /// Adds a fact of the interval with this number.
    pub(super) fn count(&mut self, fact: &BlockFact, interval: u64, room: Room) {
        let one = BlockTotals::of([fact]);
        let metadata = one.metadata.total();
        let data = one.attributed + one.shared - metadata;
        let without_owner = one.unattributed.in_total();
        self.exact += one.attributed;
        self.shared += one.shared - metadata;
        self.metadata = self.metadata + one.metadata;
        self.without_owner += without_owner;
        self.read += one.read;
        if one.write != 0 {
            self.bios += fact.bios;
        }
        if (self.devices.len() < KINDS || self.devices.contains_key(&fact.device))
            && data + metadata != 0
        {
            let device = self.devices.entry(fact.device).or_default();
            device.data += data;
            device.metadata += metadata;
        }
        self.when.add(interval, one.write, room);
    }

    /// Adds when the bytes of a fact were written.
    pub(super) fn count_time(&mut self, fact: &BlockFact, during: During) {
        self.clock.add(during, BlockTotals::of([fact]).write, ROW);
    }

    /// Adds a task's own counters, which no fact has.
    pub(super) fn count_task(&mut self, task: &Task) {
        let block = task.block.as_ref();
        self.dirtied = sum(self.dirtied, block.and_then(|block| block.dirtied));
        self.dropped = sum(self.dropped, block.and_then(|block| block.cancelled));
        self.write_char = sum(self.write_char, task.stats.write_char);
        self.write_syscalls = sum(self.write_syscalls, task.stats.write_syscalls);
        self.syncs = sum(self.syncs, block.and_then(|block| block.syncs));
    }

    /// Adds bytes that were written for this reason.
    pub(super) fn count_reason(&mut self, reason: &Arc<str>, bytes: u64) {
        add_kind(&mut self.reasons, reason, bytes);
    }

    /// Adds requests for commits by this system call.
    pub(super) fn count_commits(&mut self, call: &Arc<str>, count: u64) {
        add_kind(&mut self.commits, call, count);
    }

    /// Adds another row.
    pub(super) fn merge(&mut self, other: &Usage, room: Room) {
        self.exact += other.exact;
        self.shared += other.shared;
        self.metadata = self.metadata + other.metadata;
        self.without_owner += other.without_owner;
        self.read += other.read;
        self.dirtied = sum(self.dirtied, other.dirtied);
        self.dropped = sum(self.dropped, other.dropped);
        self.write_char = sum(self.write_char, other.write_char);
        self.write_syscalls = sum(self.write_syscalls, other.write_syscalls);
        self.syncs = sum(self.syncs, other.syncs);
        self.bios += other.bios;
        for (device, more) in &other.devices {
            let known = self.devices.entry(*device).or_default();
            known.data += more.data;
            known.metadata += more.metadata;
        }
        for (reason, bytes) in &other.reasons {
            add_kind(&mut self.reasons, reason, *bytes);
        }
        for (call, count) in &other.commits {
            add_kind(&mut self.commits, call, *count);
        }
        self.when.merge(&other.when, room);
        self.clock.merge(&other.clock, ROW);
    }

    /// How many bytes reached devices for each byte of its write calls. `None` if it is not
    /// known what it wrote with calls, and if that was nothing.
    pub fn amplification(&self) -> Option<f64> {
        let written = self.write_char.filter(|bytes| *bytes != 0)?;
        Some(self.caused() as f64 / written as f64)
    }

    /// The dropped part of the dirtied page cache, at most 1: pages may have become dirty
    /// before the span.
    pub fn dropped_share(&self) -> Option<f64> {
        let dirtied = self.dirtied.filter(|bytes| *bytes != 0)?;
        Some((self.dropped? as f64 / dirtied as f64).min(1.0))
    }
}

fn add_kind(kinds: &mut BTreeMap<Arc<str>, u64>, kind: &Arc<str>, n: u64) {
    if let Some(known) = kinds.get_mut(kind) {
        *known = known.saturating_add(n);
    } else if kinds.len() < KINDS && n != 0 {
        kinds.insert(kind.clone(), n);
    }
}
