//! The path of a file, from its dentries.

/// The number of names that are kept of a path, from the file's own name upwards.
pub const NAMES: usize = 12;
/// The bytes that are kept of each name, with its NUL.
pub const NAME: usize = 128;

/// The path of an inode below its file system's root, when it was first seen becoming
/// dirty. A record ends after its last name.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FileName {
    /// The inode, and what the record has of its path.
    pub head: FileHead,
    /// The names, the file's own one first. NUL-terminated; a longer name is cut off.
    pub names: [[u8; NAME]; NAMES],
}

/// The beginning of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FileHead {
    /// `inode.i_ino`.
    pub ino: u64,
    /// `super_block.s_dev`, as the kernel encodes it (major << 20 | minor).
    pub dev: u32,
    /// The number of names.
    pub count: u32,
    /// How much of the path the names are: [`CUT`], [`WHOLE`] or [`SIBLING`].
    pub whole: u32,
    /// See [`crate::InodeKey::file`].
    pub file: u32,
    /// The address of the directory's dentry.
    pub dir: u64,
}

/// The path has more names above the last one.
pub const CUT: u32 = 0;
/// The last name is directly below the root.
pub const WHOLE: u32 = 1;
/// Only the file's own name: a whole path with the same directory was sent a moment ago.
pub const SIBLING: u32 = 2;
/// A directory is not sent again for so many ticks of the tags' clock: about a second.
pub const SIBLING_TICKS: u32 = 64;

const _: () = assert!(size_of::<FileHead>() == 32);
