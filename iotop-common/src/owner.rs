//! Owner slots: what is kept of a task so that it still has its name when it
//! is long gone.

use crate::Writing;

/// The task is a kernel thread (`PF_KTHREAD`).
pub const OWNER_KTHREAD: u32 = 1 << 0;
/// `sched_process_exit` has fired for the task.
pub const OWNER_EXITED: u32 = 1 << 1;
/// The task is a journal's thread (jbd2).
pub const OWNER_JOURNAL: u32 = 1 << 2;

/// One element of the `OWNERS` array. The kernel half fills it when a task is
/// first seen; the page counters only ever grow. What every event looks at comes
/// first: it is two cache lines in all.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Owner {
    /// `task_struct.start_boottime`, ns. With `tid` the task's identity.
    pub start_boottime: u64,
    /// Pages this task made dirty, less those whose tag a write that failed took
    /// back.
    pub tagged_pages: u64,
    /// Written by the task itself alone: the pages that it is writing.
    pub writing: Writing,
    /// `OWNER_*` bits.
    pub flags: u32,
    /// Written by the user half alone: not 0 once the slot is to be handed to
    /// no task any more, until it is handed out again.
    pub retired: u32,
    /// How many times the slot has been handed out; 0: never.
    pub generation: u32,
    /// Written by the task itself alone: the run of a writeback worker it is in,
    /// a [`crate::FlushId`].
    pub flush: u32,
    /// Of the tagged pages those that wait no longer without having been
    /// submitted: cancelled, made dirty again by another task, or of a file system
    /// whose pages never become bios (NFS, FUSE). The submitted ones are in the
    /// facts, so that flushers and writers do not share a cache line.
    pub cleaned_pages: u64,
    /// Of the tagged pages those dropped before they were submitted.
    pub cancelled_pages: u64,
    /// cgroup v2 id (the inode number of its cgroupfs directory).
    pub cgroup_id: u64,
    /// Jiffies that `balance_dirty_pages` had it sleep, because too much was
    /// dirty. It may begin again at 0.
    pub throttled: u32,
    /// How many times.
    pub throttles: u32,
    /// Written by the task itself alone: what tells the bio it submitted last from
    /// others, and in the lowest two bits, which of [`crate::TURNS`] programs has
    /// met it last. Before 5.12, the bio that `bio_remapped` has seen last.
    pub submitted: u32,
    /// Written by the task itself alone: that bio's partition.
    pub partition: u32,
    /// Thread id.
    pub tid: u32,
    /// Thread group id, what userspace calls PID.
    pub tgid: u32,
    /// The parent's thread group id.
    pub ppid: u32,
    /// Effective user id.
    pub uid: u32,
    /// `task_struct.comm`, NUL-terminated.
    pub comm: [u8; 16],
}

/// Ordinary file data on a file system that needs a block device.
pub const MAPPING_DATA: u32 = 1;
/// A block device's own page cache.
pub const MAPPING_BDEV: u32 = 2;
/// btrfs's tree pages.
pub const MAPPING_BTREE: u32 = 3;
/// A file system whose pages never become bios (NFS, FUSE).
pub const MAPPING_NO_BLOCK: u32 = 4;

/// File data where no event tells which pages of a large folio a task writes.
pub const MAPPING_WHOLE_FOLIOS: u32 = 5;

/// The key of `INODES`.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct InodeKey {
    /// `inode.i_ino`.
    pub ino: u64,
    /// `super_block.s_dev`, as the kernel encodes it (major << 20 | minor).
    pub dev: u32,
    /// Bits of the inode's address and generation: they tell subvolumes' inodes
    /// of one number apart, and a new file from a deleted one.
    pub file: u32,
}

/// The value of `INODES`: who answers for a page of the inode that lost its tag.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct InodeOwner {
    /// The slot of the task that dirtied the inode last.
    pub slot: u32,
    /// That slot's `generation`: another value means the slot has a new tenant.
    pub generation: u32,
    /// 1 when the inode already had dirty pages when it was first seen: a page
    /// of it without a tag may be older than the trace.
    pub had_dirty_pages: u32,
    /// The hash of the name under which it was told; 0: it was not.
    pub told: u32,
}

const _: () = assert!(size_of::<Owner>() == 128);
const _: () = assert!(size_of::<InodeKey>() == 16);
const _: () = assert!(size_of::<InodeOwner>() == 16);
