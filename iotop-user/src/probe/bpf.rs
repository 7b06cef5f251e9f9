//! bpf(2), for what aya does not have.

use std::{io, mem};

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
