//! bpf(2), for what aya does not have.

use std::{
    io, mem,
    os::fd::{AsRawFd as _, OwnedFd},
};

const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;

/// `union bpf_attr`, member `info`.
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

/// Makes a call; gives what the kernel answers.
///
/// # Errors
///
/// The kernel's answer.
///
/// # Safety
///
/// `attr` is what the command takes, and its pointers are valid for it.
pub unsafe fn call<T>(command: libc::c_long, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: the caller vouches for the attribute; the size is its own.
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

/// How often a program was not run because it ran on that CPU already. 0 before 5.12,
/// which does not tell.
///
/// # Errors
///
/// The kernel's answer.
pub fn recursion_misses(program: &OwnedFd) -> io::Result<u64> {
    let mut info: ProgInfo = [0; 27];
    let mut attr = InfoAttr {
        bpf_fd: program.as_raw_fd().cast_unsigned(),
        info_len: mem::size_of::<ProgInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `info` has as many bytes as are told of, is alive during the call, and asks
    // with its zeros for no other buffer to be filled.
    unsafe { call(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info[RECURSION_MISSES])
}
