//! The system calls in which tasks write data to a device.

/// The number of fsync(2). It writes what the task itself changed, as fdatasync does.
pub const FSYNC: u32 = libc::SYS_fsync as u32;
/// The number of fdatasync(2).
pub const FDATASYNC: u32 = libc::SYS_fdatasync as u32;
/// The number of sync(2). It writes what other tasks left dirty, as the next two do.
pub const SYNC: u32 = libc::SYS_sync as u32;
/// The number of syncfs(2).
pub const SYNCFS: u32 = libc::SYS_syncfs as u32;
/// The number of umount2(2).
pub const UMOUNT2: u32 = libc::SYS_umount2 as u32;

/// The name of a system call that can make a task submit writes. `None` for any other one.
pub fn name(number: u32) -> Option<&'static str> {
    let number = libc::c_long::from(i32::try_from(number).ok()?);
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_rename {
        return Some("rename");
    }
    Some(match number {
        libc::SYS_fsync => "fsync",
        libc::SYS_fdatasync => "fdatasync",
        libc::SYS_sync => "sync",
        libc::SYS_syncfs => "syncfs",
        libc::SYS_sync_file_range => "sync_file_range",
        libc::SYS_msync => "msync",
        libc::SYS_umount2 => "umount",
        libc::SYS_write => "write",
        libc::SYS_pwrite64 => "pwrite",
        libc::SYS_writev => "writev",
        libc::SYS_pwritev | libc::SYS_pwritev2 => "pwritev",
        libc::SYS_io_submit => "io_submit",
        libc::SYS_io_uring_enter => "io_uring",
        libc::SYS_ftruncate => "ftruncate",
        libc::SYS_fallocate => "fallocate",
        // ext4 writes out a file that is renamed over another one (auto_da_alloc).
        libc::SYS_renameat | libc::SYS_renameat2 => "rename",
        libc::SYS_close => "close",
        libc::SYS_exit_group => "exit",
        libc::SYS_ioctl => "ioctl",
        libc::SYS_fadvise64 => "fadvise",
        _ => return None,
    })
}

/// The system call with this name, if [`name`] knows it.
pub fn find(wanted: &str) -> Option<&'static str> {
    // The highest number that any architecture has is below it.
    (0..1024).filter_map(name).find(|name| *name == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_and_any_other_word_is_not() {
        for call in ["fsync", "rename", "io_uring", "fadvise"] {
            assert_eq!(find(call), Some(call));
        }
        assert_eq!(find("getpid"), None);
    }

    #[test]
    fn only_calls_that_write_have_names() {
        let number = |call| u32::try_from(call).expect("a number");
        assert_eq!(name(number(libc::SYS_fsync)), Some("fsync"));
        assert_eq!(name(number(libc::SYS_getpid)), None);
        assert_eq!(name(u32::MAX), None);
    }
}
