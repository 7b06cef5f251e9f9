//! Constants of the kernel that its BTF does not have, because they are macros.

/// `PF_KTHREAD` of include/linux/sched.h.
pub const PF_KTHREAD: u32 = 0x0020_0000;
/// `PF_EXITING` of include/linux/sched.h.
pub const PF_EXITING: u32 = 0x0000_0004;
/// `FS_REQUIRES_DEV` of include/linux/fs.h.
pub const FS_REQUIRES_DEV: u32 = 1;
/// `BDEVFS_MAGIC` of include/uapi/linux/magic.h, as the next three.
pub const BDEVFS_MAGIC: u64 = 0x6264_6576;
pub const BTRFS_SUPER_MAGIC: u64 = 0x9123_683e;
pub const EXT4_SUPER_MAGIC: u64 = 0xef53;
pub const XFS_SUPER_MAGIC: u64 = 0x5846_5342;
/// `BTRFS_BTREE_INODE_OBJECTID` of include/uapi/linux/btrfs_tree.h.
pub const BTRFS_BTREE_INODE: u64 = 1;
/// `REQ_OP_MASK`, `REQ_OP_READ` and `REQ_OP_WRITE` of include/linux/blk_types.h.
pub const REQ_OP_MASK: u32 = 0xff;
pub const REQ_OP_READ: u32 = 0;
pub const REQ_OP_WRITE: u32 = 1;
/// `BLK_STS_AGAIN` of include/linux/blk_types.h.
pub const BLK_STS_AGAIN: u8 = 12;
