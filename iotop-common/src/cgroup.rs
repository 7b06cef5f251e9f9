//! The path of a cgroup, from its creation.

/// The bytes of a path that are kept, with its NUL: as many as the kernel's own event has
/// (`TRACE_CGROUP_PATH_LEN` of kernel/cgroup/cgroup-internal.h).
pub const PATH: usize = 1024;

/// A cgroup of version 2 that was just created. A record ends with the path's NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CgroupPath {
    /// Its id: the inode number of its directory.
    pub id: u64,
    /// Its path from the root of the hierarchy, NUL-terminated.
    pub path: [u8; PATH],
}

const _: () = assert!(size_of::<CgroupPath>() == 8 + PATH);
