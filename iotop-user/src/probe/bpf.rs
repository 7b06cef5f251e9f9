//! The commands of bpf(2) that aya does not offer.

use std::{
    io, mem,
    os::fd::{AsRawFd as _, OwnedFd},
};

const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;

/// The member `info` of `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_prog_info` of include/uapi/linux/bpf.h, up to `recursion_misses`.
type ProgInfo = [u64; 27];

/// `offsetof(struct bpf_prog_info, recursion_misses)`, in words.
const RECURSION_MISSES: usize = 26;

/// Calls bpf(2) and returns its result.
///
/// # Errors
///
/// The kernel refuses the command.
///
/// # Safety
///
/// `attr` is the struct that the command takes, and its pointers are valid for that
/// command.
pub unsafe fn call<T>(command: libc::c_long, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the caller guarantees that the attribute fits the command; the size that
    // is passed is the attribute's own.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            mem::size_of::<T>(),
        )
    };
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How often the kernel skipped a program because it was already running on that CPU.
/// Kernels before 5.12 do not report this: the result is 0.
///
/// # Errors
///
/// The kernel refuses the command.
pub fn recursion_misses(program: &OwnedFd) -> io::Result<u64> {
    let mut info: ProgInfo = [0; 27];
    let mut attr = InfoAttr {
        bpf_fd: program.as_raw_fd().cast_unsigned(),
        info_len: mem::size_of::<ProgInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `info` has the size that the attribute states and lives until the call
    // returns. Its fields are 0, so the kernel fills no further buffer.
    unsafe { call(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info[RECURSION_MISSES])
}
