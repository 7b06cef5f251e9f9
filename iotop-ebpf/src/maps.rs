//! The maps. The user half sizes `TAGS` and `SEEN` and fills `FREE` and
//! `LOWER_DEVICES`.

use crate::owners::{Asker, Last};
use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, Stack},
};
use iotop_common::{
    Control, EpochPart, Fact, FactKey, FlushRun, Flushed, InodeKey, InodeOwner, Lost, Owner, Seen,
    tag::{SLOTS, TagChunk},
};

const BPF_F_MMAPABLE: u32 = 1 << 10;
const FACTS: u32 = 16 * 1024;
/// The rest is for facts without an inode: however many files are written, it is known
/// by whom.
pub const FACTS_WITH_INODE: u64 = FACTS as u64 - 1024;
const FILES_BYTES: u32 = 256 << 10;
const EXITS_BYTES: u32 = 1 << 20;

/// One tag per page frame.
#[map]
pub static TAGS: Array<TagChunk> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One element per owner slot.
#[map]
pub static OWNERS: Array<Owner> = Array::with_max_entries(SLOTS, BPF_F_MMAPABLE);

/// The slot of each task that has one, by tid.
#[map]
pub static SLOT_OF: HashMap<u32, u32> = HashMap::with_max_entries(SLOTS, 0);

/// Slots that no task has. Last in, first out: the slots in use stay dense.
#[map]
pub static FREE: Stack<u32> = Stack::with_max_entries(SLOTS, 0);

/// Who dirtied each inode last, for pages that lost their tag.
#[map]
pub static INODES: LruHashMap<InodeKey, InodeOwner> = LruHashMap::with_max_entries(16 * 1024, 0);

/// The facts of even epochs.
#[map]
pub static FACTS_EVEN: HashMap<FactKey, Fact> = HashMap::with_max_entries(FACTS, 0);

/// The facts of odd epochs.
#[map]
pub static FACTS_ODD: HashMap<FactKey, Fact> = HashMap::with_max_entries(FACTS, 0);

/// How many facts there are in each of them. The user half begins anew when it has
/// taken them.
#[map]
pub static ENTERED: Array<u64> = Array::with_max_entries(2, 0);

/// Each CPU's part of even and of odd epochs, for each program that meets bios.
#[map]
pub static EPOCHS: PerCpuArray<EpochPart> = PerCpuArray::with_max_entries(EpochPart::COUNT, 0);

/// The task each CPU saw last, for each program of its own: the kernel never
/// runs one program twice at once on one CPU.
#[map]
pub static LAST: PerCpuArray<Last> = PerCpuArray::with_max_entries(Asker::COUNT, 0);

/// Tasks that exited, one [`iotop_common::TaskRecord`] each.
#[map]
pub static EXITS: RingBuf = RingBuf::with_byte_size(EXITS_BYTES, 0);

/// Files that were seen for the first time, the beginning of an
/// [`iotop_common::FileName`] each.
#[map]
pub static FILES: RingBuf = RingBuf::with_byte_size(FILES_BYTES, 0);

/// The run that each writeback worker is in, by the worker's slot.
#[map]
pub static RUNS: HashMap<u32, FlushRun> = HashMap::with_max_entries(256, 0);

/// Runs that have ended, one [`FlushRun`] each, without the asker where there is
/// none.
#[map]
pub static FLUSHES: RingBuf = RingBuf::with_byte_size(128 << 10, 0);

/// Who queued each piece of work that no worker has begun, by its address.
/// Work may be dropped without a word.
#[map]
pub static QUEUED: LruHashMap<u64, Owner> = LruHashMap::with_max_entries(256, 0);

/// In which run each btrfs inode was flushed last, by its address.
#[map]
pub static FLUSHED: LruHashMap<u64, Flushed> = LruHashMap::with_max_entries(512, 0);

/// In which state each task was handed to the user half. Two tasks may share a
/// place: they are only handed over more often than they need be.
#[map]
pub static SEEN: Array<Seen> = Array::with_max_entries(1, 0);

/// What was lost since start.
#[map]
pub static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(Lost::COUNT, 0);

/// What the user half tells us.
#[map]
pub static CONTROL: Array<Control> = Array::with_max_entries(1, 0);

/// Devices that lie below another one (dm, md): their bios are copies. Multipath
/// has thousands of them, most machines none. Only tracing programs may use a map
/// whose entries are not allocated beforehand.
#[map]
pub static LOWER_DEVICES: HashMap<u32, u8> = HashMap::with_max_entries(8 * 1024, BPF_F_NO_PREALLOC);
