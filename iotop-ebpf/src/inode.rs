//! What a mapping is, and who answers for an inode's pages.

use aya_ebpf::bindings::BPF_ANY;
use iotop_common::{
    InodeKey, InodeOwner, Owner,
    owner::{MAPPING_BDEV, MAPPING_BTREE, MAPPING_DATA, MAPPING_NO_BLOCK},
    tag::Slot,
};

use crate::{
    kernel::{
        BDEVFS_MAGIC, BTRFS_BTREE_INODE, BTRFS_SUPER_MAGIC, FS_REQUIRES_DEV, I_DIRTY_PAGES, layout,
        read,
    },
    maps::{INODES, OWNERS},
};

/// The inode that a mapping belongs to.
pub struct Inode {
    address: u64,
    sb: u64,
    magic: u64,
    /// `inode.i_ino`.
    pub ino: u64,
}

impl Inode {
    /// The host of a mapping that is known to be one.
    #[inline(always)]
    pub fn of(mapping: u64) -> Option<Inode> {
        let address = read::<u64>(mapping, layout!(mapping_host))?;
        let sb = read::<u64>(address, layout!(inode_i_sb))?;
        Some(Inode {
            address,
            sb,
            magic: read::<u64>(sb, layout!(sb_s_magic))?,
            ino: read::<u64>(address, layout!(inode_i_ino))?,
        })
    }

    /// One of the `MAPPING_*` values.
    #[inline(always)]
    pub fn kind(&self) -> u32 {
        if self.magic == BDEVFS_MAGIC {
            return MAPPING_BDEV;
        }
        if self.magic == BTRFS_SUPER_MAGIC && self.ino == BTRFS_BTREE_INODE {
            return MAPPING_BTREE;
        }
        let fs_type = read::<u64>(self.sb, layout!(sb_s_type)).unwrap_or(0);
        match read::<u32>(fs_type, layout!(fs_type_fs_flags)) {
            Some(flags) if flags & FS_REQUIRES_DEV == 0 => MAPPING_NO_BLOCK,
            _ => MAPPING_DATA,
        }
    }

    #[inline(always)]
    fn key(&self) -> InodeKey {
        InodeKey {
            ino: self.ino,
            dev: read::<u32>(self.sb, layout!(sb_s_dev)).unwrap_or(0),
            _reserved: 0,
        }
    }

    /// Remembers who dirties the inode now. The dirty tracepoint fires before
    /// `__mark_inode_dirty`, so an inode that has `I_DIRTY_PAGES` at its first
    /// event had dirty pages before.
    #[inline(always)]
    pub fn dirtied_by(&self, slot: Slot, owner: *const Owner) {
        let key = self.key();
        let state = read::<u32>(self.address, layout!(inode_i_state)).unwrap_or(I_DIRTY_PAGES);
        let mut had_dirty_pages = u32::from(state & I_DIRTY_PAGES != 0);
        // SAFETY: a plain copy out of a map value; each field is one word.
        if let Some(known) = unsafe { INODES.get(key) } {
            had_dirty_pages &= known.had_dirty_pages;
        }
        let value = InodeOwner {
            slot,
            // SAFETY: the current task's own element.
            generation: unsafe { (*owner).generation },
            had_dirty_pages,
            _reserved: 0,
        };
        let _ = INODES.insert(key, value, u64::from(BPF_ANY));
    }

    /// Who answers for a page of this inode that has no tag; `None` when the
    /// page may have been dirtied before the trace began.
    #[inline(always)]
    pub fn last_dirtier(&self) -> Option<Slot> {
        // SAFETY: a plain copy out of a map value; each field is one word.
        let known = *unsafe { INODES.get(self.key()) }?;
        if known.had_dirty_pages != 0 {
            return None;
        }
        let owner = OWNERS.get_ptr(known.slot)?;
        // SAFETY: a map value; one word is read.
        (unsafe { (*owner).generation } == known.generation).then_some(known.slot)
    }
}
