//! The last dirtier of each inode. It answers for pages that lost their tag.

use aya_ebpf::{bindings::BPF_ANY, macros::map, maps::LruHashMap};
use iotop_common::{
    Class, InodeKey, InodeOwner, Owner,
    tag::{SLOT_FIRST, Slot},
};

use super::{
    acts_for,
    charge::Charge,
    control::control,
    inode::{Inode, TypedInode},
    numbered, path,
    slot::is_kthread,
};
use crate::{
    kernel::{constants::XFS_SUPER_MAGIC, layout::layout},
    maps::OWNERS,
};

/// The last dirtier of each inode.
#[map]
static INODES: LruHashMap<InodeKey, InodeOwner> = LruHashMap::with_max_entries(16 * 1024, 0);

/// Records that the task of a slot dirties the inode now.
#[inline(always)]
pub fn record(inode: Inode, slot: Slot, owner: *const Owner, program: u32) -> Option<()> {
    let dirtied = Dirtied {
        key: inode.key()?,
        alias: inode.alias()?,
        had_dirty_pages: inode.has_dirty_pages(),
        is_numbered: are_numbered() && inode.magic()? == XFS_SUPER_MAGIC,
    };
    dirtied.record(slot, owner, program)
}

/// The same for an inode whose type the verifier knows. `scratch` is for
/// [`crate::kernel::typed::Typed::address`].
#[inline(always)]
pub fn record_typed(
    inode: TypedInode,
    slot: Slot,
    owner: *const Owner,
    program: u32,
    scratch: *mut u64,
) {
    let address = inode.address(scratch);
    let dirtied = Dirtied {
        key: inode.key(address),
        alias: inode.alias(scratch),
        had_dirty_pages: inode.has_dirty_pages(address),
        is_numbered: are_numbered() && inode.magic() == XFS_SUPER_MAGIC,
    };
    dirtied.record(slot, owner, program);
}

/// Whether xfs's inodes are looked up by number: its types are not known.
#[inline(always)]
fn are_numbered() -> bool {
    layout!(xfs_mount_m_super) == 0
}

/// An inode that becomes dirty.
struct Dirtied {
    key: InodeKey,
    /// The link of its first dentry.
    alias: u64,
    /// Whether pages were dirty before.
    had_dirty_pages: bool,
    /// Whether its last dirtier is looked up by number too.
    is_numbered: bool,
}

impl Dirtied {
    #[inline(always)]
    fn record(self, slot: Slot, owner: *const Owner, program: u32) -> Option<()> {
        let mut had_dirty_pages = u32::from(self.had_dirty_pages);
        // SAFETY: a plain copy out of a map value; each field is one word.
        let known = unsafe { INODES.get(self.key) };
        let mut sent_hash = 0;
        let mut slot = slot;
        // SAFETY: the current task's own element.
        let mut generation = unsafe { (*owner).generation };
        if let Some(known) = known {
            had_dirty_pages &= known.had_dirty_pages;
            sent_hash = known.sent_hash;
            // A flusher that redirties a page is not its dirtier. Other kernel threads are: a
            // loop device's, nfsd.
            // SAFETY: as above.
            if unsafe { is_kthread(owner) }
                && is_tenant(known)
                && acts_for::task_of(slot, self.key.dev).is_some()
            {
                (slot, generation) = (known.slot, known.generation);
            }
        }
        if self.is_numbered {
            numbered::record(&self.key, slot);
        }
        if control().flushes != 0 {
            sent_hash = path::send_if_new(self.alias, &self.key, sent_hash, program);
        }
        let value = InodeOwner {
            slot,
            generation,
            had_dirty_pages,
            sent_hash,
        };
        INODES.insert(self.key, value, u64::from(BPF_ANY)).ok()
    }
}

/// The task that dirtied the inode last, if it is known.
#[inline(always)]
pub fn slot_of(key: &InodeKey) -> Option<Slot> {
    // SAFETY: a plain copy out of a map value; each field is one word.
    let known = unsafe { INODES.get(key) }?;
    (known.slot >= SLOT_FIRST && is_tenant(known)).then_some(known.slot)
}

/// Whether the slot still is that of the task that dirtied the inode. A retired slot may get
/// its next tenant before the user half reads who owned it.
#[inline(always)]
fn is_tenant(known: &InodeOwner) -> bool {
    OWNERS.get_ptr(known.slot).is_some_and(|owner| {
        // SAFETY: a map value; the user half writes `retired`.
        unsafe { (*owner).generation == known.generation && (*owner).retired == 0 }
    })
}

/// The charge of a page of this file that has no tag. The file's last dirtier answers
/// for it, unless the page may have been dirtied before the trace began.
#[inline(always)]
pub fn last_dirtier(inode: Inode) -> Charge {
    let Some(key) = inode.key() else {
        return Charge::UNKNOWN;
    };
    // SAFETY: a plain copy out of a map value; each field is one word.
    let known = match unsafe { INODES.get(key) } {
        Some(known) if known.had_dirty_pages == 0 || control().pre_trace == 0 => *known,
        _ => return Charge::PRE_TRACE,
    };
    match is_tenant(&known) {
        true => Charge::to(known.slot, Class::Shared),
        false => Charge::UNKNOWN,
    }
}
