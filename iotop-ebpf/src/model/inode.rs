//! Inodes: their numbers, and what kind of mapping they have.

use iotop_common::{
    Class, InodeKey,
    owner::{MAPPING_BTREE, MAPPING_HOME},
};

use super::mapping_kind::{mapping_kind, metadata_kind};
use crate::kernel::{
    layout::layout,
    memory::{read, try_read},
    typed::Typed,
};

/// What the pages of an inode hold, if that is metadata.
#[derive(Clone, Copy)]
pub struct Metadata {
    /// [`Class::Home`] or [`Class::Tree`]; [`Class::Exact`] for data.
    pub class: u32,
    /// The device of the file system whose metadata it is.
    pub file_system: u32,
}

impl Metadata {
    /// Ordinary file data.
    pub const NONE: Metadata = Metadata {
        class: Class::Exact as u32,
        file_system: 0,
    };

    #[inline(always)]
    fn of(
        magic: u64,
        ino: impl Fn() -> Option<u64>,
        rdev: impl Fn() -> Option<u32>,
        dev: impl Fn() -> Option<u32>,
    ) -> Option<Metadata> {
        Some(match metadata_kind(magic, ino, &rdev)? {
            MAPPING_HOME => Metadata {
                class: Class::Home as u32,
                file_system: rdev()?,
            },
            MAPPING_BTREE => Metadata {
                class: Class::Tree as u32,
                file_system: dev()?,
            },
            _ => Metadata::NONE,
        })
    }
}

/// An inode, by its address.
#[derive(Clone, Copy)]
pub struct Inode(u64);

impl Inode {
    /// The host of a mapping.
    #[inline(always)]
    pub fn of(mapping: u64) -> Option<Inode> {
        read::<u64>(mapping, layout!(mapping_host)).map(Inode)
    }

    /// The inode at an address.
    #[inline(always)]
    pub fn at(address: u64) -> Inode {
        Inode(address)
    }

    /// The inode that contains a page-cache page's mapping; `None` when the number is
    /// no such mapping. Anonymous memory has the lowest bits set, and slab pages keep
    /// other data in this field.
    #[inline(always)]
    pub fn around(mapping: u64) -> Option<Inode> {
        if mapping == 0 || mapping & 3 != 0 {
            return None;
        }
        let host = try_read::<u64>(mapping, layout!(mapping_host))?;
        let inode = Inode::around_known(mapping);
        (host == inode.0).then_some(inode)
    }

    /// The same for a number that is known to be such a mapping.
    #[inline(always)]
    pub fn around_known(mapping: u64) -> Inode {
        Inode(mapping.wrapping_sub(u64::from(layout!(inode_i_data))))
    }

    /// Its address.
    #[inline(always)]
    pub fn address(self) -> u64 {
        self.0
    }

    /// `inode.i_ino`.
    #[inline(always)]
    pub fn ino(self) -> Option<u64> {
        read::<u64>(self.0, layout!(inode_i_ino))
    }

    /// The kind of its mapping, one of the `MAPPING_*` values.
    #[inline(always)]
    pub fn mapping_kind(self) -> Option<u32> {
        let sb = read::<u64>(self.0, layout!(inode_i_sb))?;
        let magic = read::<u64>(sb, layout!(sb_s_magic))?;
        let flags = || {
            let fs_type = read::<u64>(sb, layout!(sb_s_type))?;
            read(fs_type, layout!(fs_type_fs_flags))
        };
        mapping_kind(magic, || self.ino(), || self.rdev(), flags)
    }

    /// Its file system's magic number.
    #[inline(always)]
    pub fn magic(self) -> Option<u64> {
        let sb = read::<u64>(self.0, layout!(inode_i_sb))?;
        read(sb, layout!(sb_s_magic))
    }

    /// `inode.i_rdev`.
    #[inline(always)]
    fn rdev(self) -> Option<u32> {
        read(self.0, layout!(inode_i_rdev))
    }

    /// What its pages hold besides data: a class, and the file system.
    #[inline(always)]
    pub fn metadata(self) -> Option<Metadata> {
        let sb = read::<u64>(self.0, layout!(inode_i_sb))?;
        let magic = read::<u64>(sb, layout!(sb_s_magic))?;
        Metadata::of(
            magic,
            || self.ino(),
            || self.rdev(),
            || read(sb, layout!(sb_s_dev)),
        )
    }

    /// See `InodeKey::file`.
    #[inline(always)]
    pub fn file(self) -> Option<u32> {
        let generation = read::<u32>(self.0, layout!(inode_i_generation))?;
        Some(file(self.0, generation))
    }

    /// The key of `INODES`.
    #[inline(always)]
    pub fn key(self) -> Option<InodeKey> {
        let sb = read::<u64>(self.0, layout!(inode_i_sb))?;
        Some(InodeKey {
            ino: self.ino()?,
            dev: read::<u32>(sb, layout!(sb_s_dev))?,
            file: self.file()?,
        })
    }

    /// The link of the inode's first dentry (`i_dentry.first`).
    #[inline(always)]
    pub fn alias(self) -> Option<u64> {
        read(self.0, layout!(inode_i_dentry))
    }

    /// Whether pages of the inode may be dirty or under writeback. The dirty
    /// tracepoint fires before the kernel marks the page in the xarray, and before
    /// `__mark_inode_dirty`. There the answer is about pages that were dirty before.
    #[inline(always)]
    pub fn has_dirty_pages(self) -> bool {
        if layout!(xa_dirty_marks) != 0 {
            let at = layout!(inode_i_data) + layout!(mapping_xa_flags);
            let flags = read::<u32>(self.0, at).unwrap_or(u32::MAX);
            return flags & layout!(xa_dirty_marks) != 0;
        }
        // `I_DIRTY_PAGES` stays set after an fsync. Where its value is not known,
        // nothing rules out older dirty pages.
        let state = read::<u32>(self.0, layout!(inode_i_state)).unwrap_or(u32::MAX);
        layout!(i_dirty_pages) == 0 || state & layout!(i_dirty_pages) != 0
    }
}

/// An inode whose type the verifier knows. It is read without a helper.
#[derive(Clone, Copy)]
pub struct TypedInode(Typed);

impl TypedInode {
    /// An inode from an event's arguments.
    #[inline(always)]
    pub fn new(inode: Typed) -> TypedInode {
        TypedInode(inode)
    }

    /// The host of a mapping.
    #[inline(always)]
    pub fn of(mapping: Typed) -> TypedInode {
        TypedInode(mapping.pointer(layout!(mapping_host)))
    }

    /// `inode.i_ino`.
    #[inline(always)]
    pub fn ino(self) -> u64 {
        self.0.field(layout!(inode_i_ino))
    }

    /// See `InodeKey::file`. `address` is the inode's.
    #[inline(always)]
    pub fn file(self, address: u64) -> u32 {
        file(address, self.0.field(layout!(inode_i_generation)))
    }

    /// The inode's address, see [`Typed::address`].
    #[inline(always)]
    pub fn address(self, scratch: *mut u64) -> u64 {
        self.0.address(scratch)
    }

    /// The key of `INODES`. `address` is the inode's.
    #[inline(always)]
    pub fn key(self, address: u64) -> InodeKey {
        InodeKey {
            ino: self.ino(),
            dev: self.file_system(),
            file: self.file(address),
        }
    }

    /// The link of the inode's first dentry (`i_dentry.first`).
    #[inline(always)]
    pub fn alias(self, scratch: *mut u64) -> u64 {
        self.0.pointer(layout!(inode_i_dentry)).address(scratch)
    }

    #[inline(always)]
    fn sb(self) -> Typed {
        self.0.pointer(layout!(inode_i_sb))
    }

    /// The kind of its mapping, one of the `MAPPING_*` values.
    #[inline(always)]
    pub fn mapping_kind(self) -> u32 {
        let sb = self.sb();
        let fs_type = || sb.pointer(layout!(sb_s_type));
        let flags = || Some(fs_type().field(layout!(fs_type_fs_flags)));
        let magic = sb.field(layout!(sb_s_magic));
        let (ino, rdev) = (|| Some(self.ino()), || Some(self.rdev()));
        mapping_kind(magic, ino, rdev, flags).unwrap_or(0)
    }

    /// `inode.i_rdev`.
    #[inline(always)]
    pub fn rdev(self) -> u32 {
        self.0.field(layout!(inode_i_rdev))
    }

    /// Its file system's magic number.
    #[inline(always)]
    pub fn magic(self) -> u64 {
        self.sb().field(layout!(sb_s_magic))
    }

    /// The device of its file system (`super_block.s_dev`).
    #[inline(always)]
    pub fn file_system(self) -> u32 {
        self.sb().field(layout!(sb_s_dev))
    }

    /// See [`Inode::metadata`].
    #[inline(always)]
    pub fn metadata(self) -> Option<Metadata> {
        let sb = self.sb();
        Metadata::of(
            sb.field(layout!(sb_s_magic)),
            || Some(self.ino()),
            || Some(self.rdev()),
            || Some(sb.field(layout!(sb_s_dev))),
        )
    }

    /// See [`Inode::has_dirty_pages`]. `address` is the inode's.
    #[inline(always)]
    pub fn has_dirty_pages(self, address: u64) -> bool {
        let marks = layout!(inode_i_data) + layout!(mapping_xa_flags);
        match layout!(xa_dirty_marks) {
            0 => Inode(address).has_dirty_pages(),
            dirty => self.0.field::<u32>(marks) & dirty != 0,
        }
    }
}

/// See `InodeKey::file`. Inodes are larger than a cache line, so the lowest bits of the
/// address say nothing.
#[inline(always)]
fn file(inode: u64, generation: u32) -> u32 {
    (inode >> 6) as u32 ^ generation
}
