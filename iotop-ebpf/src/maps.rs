//! The maps that the user half shares. A map that only the kernel half uses stands in
//! the file that uses it.
//!
//! The user half sizes `TAGS` and `SEEN` and fills `FREE` and `LOWER_DEVICES`.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, Stack},
};
use iotop_common::{
    CauseKey, Control, EpochPart, Fact, FactKey, FlushRun, Lost, Owner, Seen,
    owner::{Crowd, CrowdKey},
    tag::{SLOT_CROWD, SLOT_SPARE, SLOT_WIDE, SLOTS, TagChunk},
};

const BPF_F_MMAPABLE: u32 = 1 << 10;
const FACTS: u32 = 16 * 1024;
const CAUSES: u32 = 2 * 1024;
/// The number of facts that a table takes from every task.
pub const FACTS_OF_ALL: u64 = FACTS as u64 - 4 * 1024;
/// The number of facts up to which a crowd's facts keep their files. The rest is for facts without
/// an inode: the owner, or its crowd, stays known, however many files are written.
pub const FACTS_WITH_INODE: u64 = FACTS as u64 - 1024;
const FILES_BYTES: u32 = 256 << 10;
pub const EXITS_BYTES: u32 = 2 << 20;
const CGROUPS_BYTES: u32 = 64 << 10;
const EXECUTED_BYTES: u32 = 256 << 10;

/// One tag per page frame.
#[map]
pub static TAGS: Array<TagChunk> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One element per owner slot.
#[map]
pub static OWNERS: Array<Owner> = Array::with_max_entries(SLOTS, BPF_F_MMAPABLE);

/// The slot of each task that has one, by tid.
#[map]
pub static SLOT_OF: HashMap<u32, u32> = HashMap::with_max_entries(SLOTS, 0);

/// The free slots of the first range, see `iotop_common::tag::RANGES`. Last in, first out: the
/// slots in use stay dense.
#[map]
pub static FREE: Stack<u32> = Stack::with_max_entries(SLOT_SPARE, 0);

/// The free slots of the second range: for single tasks, while `FREE` is empty.
#[map]
pub static FREE_SPARE: Stack<u32> = Stack::with_max_entries(SLOT_CROWD - SLOT_SPARE, 0);

/// The free slots of the third range: for crowds.
#[map]
pub static FREE_CROWD: Stack<u32> = Stack::with_max_entries(SLOT_WIDE - SLOT_CROWD, 0);

/// The free slots of the fourth range: for users in cgroups.
#[map]
pub static FREE_WIDE: Stack<u32> = Stack::with_max_entries(SLOTS - SLOT_WIDE, 0);

/// The crowds of the current shortage of slots. The user half empties the map after it.
#[map]
pub static CROWDS: LruHashMap<CrowdKey, Crowd> = LruHashMap::with_max_entries(2 * 1024, 0);

/// The facts of even epochs.
#[map]
pub static FACTS_EVEN: HashMap<FactKey, Fact> = HashMap::with_max_entries(FACTS, 0);

/// The facts of odd epochs.
#[map]
pub static FACTS_ODD: HashMap<FactKey, Fact> = HashMap::with_max_entries(FACTS, 0);

/// The number of facts in `FACTS_EVEN` and in `FACTS_ODD`. The user half resets it to
/// 0 when it has drained the table.
#[map]
pub static ENTERED: Array<u64> = Array::with_max_entries(2, 0);

/// Each CPU's part of even and of odd epochs, one for each program on
/// `block_bio_queue`.
#[map]
pub static EPOCHS: PerCpuArray<EpochPart> = PerCpuArray::with_max_entries(EpochPart::COUNT, 0);

/// Wakes the user half: a table or a buffer is filling. The records say nothing.
#[map]
pub static WAKE: RingBuf = RingBuf::with_byte_size(4096, 0);

/// One [`iotop_common::TaskRecord`] or [`iotop_common::IdleExit`] for each task that exited.
#[map]
pub static EXITS: RingBuf = RingBuf::with_byte_size(EXITS_BYTES, 0);

/// The beginning of an [`iotop_common::FileName`] for each file that was seen for
/// the first time.
#[map]
pub static FILES: RingBuf = RingBuf::with_byte_size(FILES_BYTES, 0);

/// The beginning of an [`iotop_common::CgroupPath`] for each new cgroup.
#[map]
pub static CGROUPS: RingBuf = RingBuf::with_byte_size(CGROUPS_BYTES, 0);

/// The beginning of an [`iotop_common::Executed`] for each program that is executed.
#[map]
pub static EXECUTED: RingBuf = RingBuf::with_byte_size(EXECUTED_BYTES, 0);

/// The current run of each writeback worker, by the worker's slot.
#[map]
pub static RUNS: HashMap<u32, FlushRun> = HashMap::with_max_entries(256, 0);

/// One [`FlushRun`] for each run that has ended. The record ends before the asker
/// where there is none.
#[map]
pub static FLUSHES: RingBuf = RingBuf::with_byte_size(FLUSHES_BYTES, 0);
pub const FLUSHES_BYTES: u32 = 128 << 10;

/// The state in which each task was last handed to the user half. If two tasks share
/// an element, they are only handed over more often than necessary.
#[map]
pub static SEEN: Array<Seen> = Array::with_max_entries(1, 0);

/// What was lost since the start.
#[map]
pub static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(Lost::COUNT, 0);

/// The user half's current requests.
#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Devices below another one (dm, md): their bios are copies. Multipath has
/// thousands of them, most machines none, so the entries are not preallocated. Only
/// tracing programs may use such a map.
#[map]
pub static LOWER_DEVICES: HashMap<u32, u8> = HashMap::with_max_entries(8 * 1024, BPF_F_NO_PREALLOC);

/// How often each cause of a commit was seen in even epochs. Few file systems commit in one
/// interval, each for a few tasks.
#[map]
pub static CAUSES_EVEN: HashMap<CauseKey, u64> = HashMap::with_max_entries(CAUSES, 0);

/// The same for odd epochs.
#[map]
pub static CAUSES_ODD: HashMap<CauseKey, u64> = HashMap::with_max_entries(CAUSES, 0);
