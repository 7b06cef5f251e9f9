//! Where a file lies, as its dentries tell it.

/// How many names of a path are kept; the rest is above them.
pub const NAMES: usize = 12;
/// How much of each name, with its NUL.
pub const NAME: usize = 128;

/// The path of an inode below its file system's root, at the time when it was
/// first seen becoming dirty. A record ends where its last name does.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FileName {
    /// Which inode, and what is told of it.
    pub head: FileHead,
    /// The file's own name first. NUL-terminated, and cut off where they are longer.
    pub names: [[u8; NAME]; NAMES],
}

/// What a record begins with.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FileHead {
    /// `inode.i_ino`.
    pub ino: u64,
    /// `super_block.s_dev`, as the kernel encodes it (major << 20 | minor).
    pub dev: u32,
    /// How many names there are.
    pub count: u32,
    /// How much of the path that is, one of the values below.
    pub whole: u32,
    /// As in [`crate::InodeKey`].
    pub file: u32,
    /// The address of its directory's dentry.
    pub dir: u64,
}

/// There are more names above the last one.
pub const CUT: u32 = 0;
/// The last name lies below the root.
pub const WHOLE: u32 = 1;
/// The directory is the one of a whole path that was told a moment ago.
pub const SIBLING: u32 = 2;
/// For so many ticks of the tags' clock a directory is not told again: about a second.
pub const SIBLING_TICKS: u32 = 64;

const _: () = assert!(size_of::<FileHead>() == 32);
