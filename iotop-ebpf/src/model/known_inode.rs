//! The inode of the page-cache page that was looked at last.

use super::inode::{Inode, Metadata, TypedInode};

/// The mapping of the last page-cache page, and its inode's numbers. The next page of
/// the same file needs no further look.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct KnownInode {
    pub mapping: u64,
    /// 0: read the numbers again, because the mapping may belong to another file now.
    pub ino: u64,
    /// See `FactKey::file`.
    pub file: u32,
    /// 1: the user half wants `file`.
    pub wants_file: u32,
    /// What the pages hold besides data.
    pub metadata: Metadata,
}

impl KnownInode {
    /// A mapping that was found to be the page cache's before.
    #[inline(always)]
    pub fn mapping(mapping: u64, wants_file: bool) -> KnownInode {
        KnownInode {
            mapping,
            ino: 0,
            file: 0,
            wants_file: u32::from(wants_file),
            metadata: Metadata::NONE,
        }
    }

    /// Forgets the numbers.
    #[inline(always)]
    pub fn forget(&mut self) {
        self.ino = 0;
        self.file = 0;
        self.metadata = Metadata::NONE;
    }

    /// Takes the numbers of the mapping's inode.
    #[inline(always)]
    pub fn read(&mut self, inode: Inode) -> Option<()> {
        self.ino = inode.ino()?;
        if self.wants_file != 0 {
            self.file = inode.file()?;
        }
        self.metadata = inode.metadata()?;
        Some(())
    }

    /// Takes the numbers of the mapping's inode, where the verifier knows its type.
    #[inline(always)]
    pub fn read_typed(&mut self, inode: TypedInode) {
        self.ino = inode.ino();
        if self.wants_file != 0 {
            self.file = inode.file(Inode::around_known(self.mapping).address());
        }
        self.metadata = inode.metadata().unwrap_or(Metadata::NONE);
    }
}
