//! Owner slots: the data that is kept about a task. The task's name stays known after
//! its exit.

use crate::Writing;

/// The task is a kernel thread (`PF_KTHREAD`).
pub const OWNER_KTHREAD: u16 = 1 << 0;
/// `sched_process_exit` has fired for the task.
pub const OWNER_EXITED: u16 = 1 << 1;
/// The task commits a transaction of a journal: what it submits is the journal's log.
pub const OWNER_COMMITS: u16 = 1 << 2;

/// One element of the `OWNERS` array. The kernel half fills it when it first sees a task.
///
/// An element of a crowd ([`crate::tag::is_crowd`]) stands for several tasks. Its `tid`, `tgid`
/// and `ppid` are 0, and `start_boottime` is when the first task joined it.
///
/// The page counters only grow, except that `tagged_pages` shrinks when tags are taken
/// back. The fields that every event reads come first. The element has two cache lines.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Owner {
    /// `task_struct.start_boottime`, ns. With `tid` the task's identity.
    pub start_boottime: u64,
    /// Pages that this task dirtied, less those whose tag was taken back because the write
    /// failed.
    pub tagged_pages: u64,
    /// The pages that the task is writing. Only the task itself writes this field.
    pub writing: Writing,
    /// `OWNER_*` bits.
    pub flags: u16,
    /// When the slot was assigned, on the tags' clock modulo 2^16. A tag that is older is the
    /// old tenant's.
    pub assigned: u16,
    /// Not 0 while the slot is retired: no longer its old task's, and not yet assigned
    /// again. Only the user half sets this field.
    pub retired: u16,
    /// Changes when the task joins a journal's transaction; 0 until then. Metadata of an
    /// exited task may still be written after that.
    pub joined: u16,
    /// How many times the slot has been assigned; 0: never.
    pub generation: u32,
    /// The run that a writeback worker is in, a [`crate::FlushId`]. Only the task itself
    /// writes this field.
    pub flush: u32,
    /// Tagged pages that no longer wait although they were not submitted: they were
    /// cancelled, dirtied again by another task, or belong to a file system whose pages
    /// never become bios (NFS, FUSE). The submitted pages are counted in the facts, so
    /// that flushers and writers do not share a cache line.
    pub cleaned_pages: u64,
    /// Tagged pages that were dropped before they were submitted.
    pub cancelled_pages: u64,
    /// cgroup v2 id (the inode number of its cgroupfs directory).
    pub cgroup_id: u64,
    /// Jiffies that the task slept in `balance_dirty_pages`, because too much was dirty.
    /// The counter may wrap.
    pub throttled: u32,
    /// How many times it slept there.
    pub throttles: u32,
    /// The fingerprint of the bio that the task submitted last. The lowest two bits say
    /// which of the [`crate::BIO_PROGRAMS`] programs saw the bio last. Before 5.12, the
    /// fingerprint of the bio that `bio_remapped` saw last. Only the task itself writes
    /// this field.
    pub submitted: u32,
    /// That bio's partition. Only the task itself writes this field. In the element of a
    /// crowd, the least number of tasks that have joined it.
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

/// What the tasks of a crowd have in common.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash)]
pub struct CrowdKey {
    /// `task_struct.comm`; all zeroes for all commands.
    pub comm: [u64; 2],
    /// cgroup v2 id.
    pub cgroup_id: u64,
    /// Effective user id.
    pub uid: u32,
    /// Always 0.
    pub _reserved: u32,
}

/// What a crowd has while slots or facts are short.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// The slot that its tasks share; 0: none yet.
    pub slot: u32,
    /// How many of its tasks got a slot of their own in the shortage.
    pub own: u32,
    /// The epoch of `facts`.
    pub epoch: u32,
    /// How many facts of its tasks found the table of facts nearly full.
    pub facts: u32,
}

/// Ordinary file data on a file system that needs a block device.
pub const MAPPING_DATA: u32 = 1;
/// A block device's own page cache.
pub const MAPPING_BDEV: u32 = 2;
/// The pages of btrfs's trees.
pub const MAPPING_BTREE: u32 = 3;
/// File data on a file system whose pages never become bios (NFS, FUSE).
pub const MAPPING_NO_BLOCK: u32 = 4;
/// File data where no event tells which pages of a large folio a task writes.
pub const MAPPING_WHOLE_FOLIOS: u32 = 5;
/// A block device's own page cache, with a journalled file system on the device: the homes
/// of its metadata.
pub const MAPPING_HOME: u32 = 6;

/// The key of `INODES`.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct InodeKey {
    /// `inode.i_ino`.
    pub ino: u64,
    /// `super_block.s_dev`, as the kernel encodes it (major << 20 | minor).
    pub dev: u32,
    /// A mix of the inode's address and its generation (`i_generation`). It tells inodes
    /// with the same number in different subvolumes apart, and a new file from a deleted
    /// one.
    pub file: u32,
}

/// The value of `INODES`: the last dirtier, who answers for a page that lost its tag.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct InodeOwner {
    /// The slot of the task that dirtied the inode last.
    pub slot: u32,
    /// That slot's `generation`. If the slot now has another one, it has a new tenant.
    pub generation: u32,
    /// 1 if the inode already had dirty pages when it was first seen. A page without a tag
    /// may then be older than the trace.
    pub had_dirty_pages: u32,
    /// The hash of the file's name when its path was last sent; 0: never sent.
    pub sent_hash: u32,
}

const _: () = assert!(size_of::<Owner>() == 128);
const _: () = assert!(size_of::<CrowdKey>() == 32);
const _: () = assert!(size_of::<Crowd>() == 16);
const _: () = assert!(size_of::<InodeKey>() == 16);
const _: () = assert!(size_of::<InodeOwner>() == 16);
