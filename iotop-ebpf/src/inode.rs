//! Inodes: what they are, and who answers for their pages.

use aya_ebpf::bindings::BPF_ANY;
use iotop_common::{
    Class, Control, InodeKey, InodeOwner, Owner,
    owner::{MAPPING_BDEV, MAPPING_BTREE, MAPPING_DATA, MAPPING_NO_BLOCK, MAPPING_WHOLE_FOLIOS},
    tag::Slot,
};

use crate::{
    charge::{Charge, Known},
    count::control,
    kernel::{
        BDEVFS_MAGIC, BTRFS_BTREE_INODE, BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FS_REQUIRES_DEV,
        Typed, XFS_SUPER_MAGIC, layout, read, try_read,
    },
    maps::{INODES, OWNERS},
    names,
    owners::Asker,
};

/// The inode that a mapping belongs to.
#[derive(Clone, Copy)]
pub struct Inode(u64);

/// An inode whose type the verifier knows: read without a helper.
#[derive(Clone, Copy)]
pub struct TypedInode(Typed);

impl TypedInode {
    /// The host of a mapping.
    #[inline(always)]
    pub fn of(mapping: Typed) -> TypedInode {
        TypedInode(mapping.pointer(layout!(mapping_host)))
    }

    /// Its numbers.
    #[inline(always)]
    pub fn tell(self, known: &mut Known) {
        known.ino = self.ino();
        if known.wants_file != 0 {
            let inode = Inode::around_known(known.mapping);
            known.file = file(inode.0, self.generation());
        }
    }

    #[inline(always)]
    fn ino(self) -> u64 {
        self.0.field(layout!(inode_i_ino))
    }

    #[inline(always)]
    fn generation(self) -> u32 {
        self.0.field(layout!(inode_i_generation))
    }

    #[inline(always)]
    fn sb(self) -> Typed {
        self.0.pointer(layout!(inode_i_sb))
    }

    /// One of the `MAPPING_*` values.
    #[inline(always)]
    pub fn kind(self) -> u32 {
        let sb = self.sb();
        let fs_type = || sb.pointer(layout!(sb_s_type));
        let flags = || Some(fs_type().field(layout!(fs_type_fs_flags)));
        let magic = sb.field(layout!(sb_s_magic));
        kind(magic, || Some(self.ino()), flags).unwrap_or(0)
    }

    /// Remembers who dirties the inode now. `number` is where a pointer is made one.
    #[inline(always)]
    pub fn dirtied_by(self, slot: Slot, owner: *const Owner, asker: Asker, number: *mut u64) {
        let inode = self.0.number(number);
        let key = InodeKey {
            ino: self.ino(),
            dev: self.sb().field(layout!(sb_s_dev)),
            file: file(inode, self.generation()),
        };
        let marks = layout!(inode_i_data) + layout!(mapping_xa_flags);
        let dirtied = Dirtied {
            key,
            alias: self.0.pointer(layout!(inode_i_dentry)).number(number),
            had_dirty_pages: match layout!(xa_dirty_marks) {
                0 => Inode(inode).has_dirty_pages(),
                dirty => self.0.field::<u32>(marks) & dirty != 0,
            },
        };
        dirtied.by(slot, owner, asker as u32);
    }
}

/// An inode that becomes dirty.
struct Dirtied {
    key: InodeKey,
    /// Its first dentry's link.
    alias: u64,
    /// Before.
    had_dirty_pages: bool,
}

impl Dirtied {
    /// Remembers by whom.
    #[inline(always)]
    fn by(self, slot: Slot, owner: *const Owner, asker: u32) -> Option<()> {
        let mut had_dirty_pages = u32::from(self.had_dirty_pages);
        // SAFETY: a plain copy out of a map value; each field is one word.
        let known = unsafe { INODES.get(self.key) };
        let mut told = 0;
        if let Some(known) = known {
            had_dirty_pages &= known.had_dirty_pages;
            told = known.told;
        }
        if control().flushes != 0 {
            told = names::tell(self.alias, &self.key, told, asker);
        }
        let value = InodeOwner {
            slot,
            // SAFETY: the current task's own element.
            generation: unsafe { (*owner).generation },
            had_dirty_pages,
            told,
        };
        INODES.insert(self.key, value, u64::from(BPF_ANY)).ok()
    }
}

/// Whether events of a file system tell which pages of a large folio a task writes, or
/// its folios have one page.
#[inline(always)]
fn tells_ranges(magic: u64) -> bool {
    let file_system = match magic {
        EXT4_SUPER_MAGIC => Control::EXT4,
        XFS_SUPER_MAGIC => Control::XFS,
        BTRFS_SUPER_MAGIC => Control::BTRFS,
        _ => return false,
    };
    control().whole_folios & file_system == 0
}

/// What a mapping is, by its super block's magic number, its inode's number and its file
/// system's flags.
#[inline(always)]
fn kind(magic: u64, ino: impl Fn() -> Option<u64>, flags: impl Fn() -> Option<u32>) -> Option<u32> {
    if magic == BDEVFS_MAGIC {
        return Some(MAPPING_BDEV);
    }
    if magic == BTRFS_SUPER_MAGIC && ino()? == BTRFS_BTREE_INODE {
        return Some(MAPPING_BTREE);
    }
    if flags()? & FS_REQUIRES_DEV == 0 {
        return Some(MAPPING_NO_BLOCK);
    }
    Some(match tells_ranges(magic) {
        true => MAPPING_DATA,
        false => MAPPING_WHOLE_FOLIOS,
    })
}

/// See `InodeKey::file`. Inodes are larger than a cache line.
#[inline(always)]
fn file(inode: u64, generation: u32) -> u32 {
    (inode >> 6) as u32 ^ generation
}

impl Inode {
    /// The host of a mapping.
    #[inline(always)]
    pub fn of(mapping: u64) -> Option<Inode> {
        read::<u64>(mapping, layout!(mapping_host)).map(Inode)
    }

    /// The inode that a page-cache page's mapping is part of; `None` when the
    /// number is no such mapping. Anonymous memory has the lowest bits set, and
    /// slab pages keep other things in their place.
    #[inline(always)]
    pub fn around(mapping: u64) -> Option<Inode> {
        if mapping == 0 || mapping & 3 != 0 {
            return None;
        }
        let host = try_read::<u64>(mapping, layout!(mapping_host))?;
        let inode = Inode::around_known(mapping);
        (host == inode.0).then_some(inode)
    }

    /// The same for a mapping that was found to be one already.
    #[inline(always)]
    pub fn around_known(mapping: u64) -> Inode {
        Inode(mapping.wrapping_sub(u64::from(layout!(inode_i_data))))
    }

    /// `inode.i_ino`.
    #[inline(always)]
    pub fn ino(self) -> Option<u64> {
        read::<u64>(self.0, layout!(inode_i_ino))
    }

    /// One of the `MAPPING_*` values.
    #[inline(always)]
    pub fn kind(self) -> Option<u32> {
        let sb = read::<u64>(self.0, layout!(inode_i_sb))?;
        let magic = read::<u64>(sb, layout!(sb_s_magic))?;
        let flags = || {
            let fs_type = read::<u64>(sb, layout!(sb_s_type))?;
            read(fs_type, layout!(fs_type_fs_flags))
        };
        kind(magic, || self.ino(), flags)
    }

    /// See `InodeKey::file`.
    #[inline(always)]
    pub fn file(self) -> Option<u32> {
        let generation = read::<u32>(self.0, layout!(inode_i_generation))?;
        Some(file(self.0, generation))
    }

    #[inline(always)]
    fn key(self) -> Option<InodeKey> {
        let sb = read::<u64>(self.0, layout!(inode_i_sb))?;
        Some(InodeKey {
            ino: self.ino()?,
            dev: read::<u32>(sb, layout!(sb_s_dev))?,
            file: self.file()?,
        })
    }

    /// Whether pages of the inode may be dirty or under writeback. The dirty tracepoint
    /// fires before the page is marked in the xarray, and before `__mark_inode_dirty`:
    /// there it is about the pages that were dirty before.
    #[inline(always)]
    pub fn has_dirty_pages(self) -> bool {
        if layout!(xa_dirty_marks) != 0 {
            let at = layout!(inode_i_data) + layout!(mapping_xa_flags);
            let flags = read::<u32>(self.0, at).unwrap_or(u32::MAX);
            return flags & layout!(xa_dirty_marks) != 0;
        }
        // It stays set after an fsync. Where the flag is not known, nothing rules out
        // older pages.
        let state = read::<u32>(self.0, layout!(inode_i_state)).unwrap_or(u32::MAX);
        layout!(i_dirty_pages) == 0 || state & layout!(i_dirty_pages) != 0
    }

    /// Remembers who dirties the inode now.
    #[inline(always)]
    pub fn dirtied_by(self, slot: Slot, owner: *const Owner, asker: u32) -> Option<()> {
        let dirtied = Dirtied {
            key: self.key()?,
            alias: read(self.0, layout!(inode_i_dentry))?,
            had_dirty_pages: self.has_dirty_pages(),
        };
        dirtied.by(slot, owner, asker)
    }

    /// To whom a page of this file is charged that has no tag: its last dirtier answers,
    /// unless the page may have been dirtied before the trace began.
    #[inline(always)]
    pub fn last_dirtier(self) -> Charge {
        let Some(key) = self.key() else {
            return Charge::UNKNOWN;
        };
        // SAFETY: a plain copy out of a map value; each field is one word.
        let known = match unsafe { INODES.get(key) } {
            Some(known) if known.had_dirty_pages == 0 || control().young == 0 => *known,
            _ => return Charge::PRE_TRACE,
        };
        match OWNERS.get_ptr(known.slot) {
            // A retired slot may have its next tenant before the user half reads whose
            // it is.
            // SAFETY: a map value; the user half writes `retired`.
            Some(owner)
                if unsafe { (*owner).generation == known.generation && (*owner).retired == 0 } =>
            {
                Charge::to(known.slot, Class::Shared)
            }
            _ => Charge::UNKNOWN,
        }
    }
}
