//! The kind of a mapping, one of the `MAPPING_*` values.

use iotop_common::{
    Control,
    owner::{
        MAPPING_BDEV, MAPPING_BTREE, MAPPING_DATA, MAPPING_HOME, MAPPING_NO_BLOCK,
        MAPPING_WHOLE_FOLIOS,
    },
};

use super::{control::control, journal};
use crate::kernel::constants::{
    BDEVFS_MAGIC, BTRFS_BTREE_INODE, BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FS_REQUIRES_DEV,
    XFS_SUPER_MAGIC,
};

/// The kind of a mapping, from its super block's magic number, its inode's number and
/// device (`i_rdev`), and its file system's flags.
#[inline(always)]
pub fn mapping_kind(
    magic: u64,
    ino: impl Fn() -> Option<u64>,
    rdev: impl Fn() -> Option<u32>,
    flags: impl Fn() -> Option<u32>,
) -> Option<u32> {
    match metadata_kind(magic, ino, rdev)? {
        0 => {}
        kind => return Some(kind),
    }
    if flags()? & FS_REQUIRES_DEV == 0 {
        return Some(MAPPING_NO_BLOCK);
    }
    Some(match tells_ranges(magic) {
        true => MAPPING_DATA,
        false => MAPPING_WHOLE_FOLIOS,
    })
}

/// The kind of a mapping that is no file's: a block device's, or that of btrfs's trees; 0 for a
/// file's.
#[inline(always)]
pub fn metadata_kind(
    magic: u64,
    ino: impl Fn() -> Option<u64>,
    rdev: impl Fn() -> Option<u32>,
) -> Option<u32> {
    if magic == BDEVFS_MAGIC {
        return Some(match journal::exists(rdev()?) {
            true => MAPPING_HOME,
            false => MAPPING_BDEV,
        });
    }
    if magic == BTRFS_SUPER_MAGIC && ino()? == BTRFS_BTREE_INODE {
        return Some(MAPPING_BTREE);
    }
    Some(0)
}

/// True if events of a file system tell which pages of a large folio a task writes, or
/// if its folios have one page.
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
