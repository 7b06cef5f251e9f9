//! Socket options that the netlink crate does not offer.

use std::{io, os::fd::AsRawFd, time::Duration};

/// The index of the drop counter in `SO_MEMINFO` (include/uapi/linux/sock_diag.h).
const SK_MEMINFO_DROPS: usize = 8;
const SK_MEMINFO_VARS: usize = 9;

/// Limits how long a receive waits.
pub fn set_receive_timeout(socket: &impl AsRawFd, timeout: Duration) -> io::Result<()> {
    let time = libc::timeval {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_usec: timeout.subsec_micros() as libc::suseconds_t,
    };
    set(socket, libc::SO_RCVTIMEO, &time)
}

/// Sets the room for messages that have not been read yet. More than net.core.rmem_max
/// needs `CAP_NET_ADMIN`.
pub fn set_receive_buffer(socket: &impl AsRawFd, size: libc::c_int) -> io::Result<()> {
    set(socket, libc::SO_RCVBUFFORCE, &size).or_else(|_| set(socket, libc::SO_RCVBUF, &size))
}

/// How many messages the kernel has dropped since the socket was opened, because there was
/// no room (4.12). The number wraps.
pub fn dropped(socket: &impl AsRawFd) -> Option<u32> {
    let mut numbers = [0u32; SK_MEMINFO_VARS];
    let mut size = size_of_val(&numbers) as libc::socklen_t;
    // SAFETY: the socket is open, and the buffer has the size that is passed with it.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            numbers.as_mut_ptr().cast(),
            &mut size,
        )
    };
    let known = size as usize / size_of::<u32>();
    (answer == 0 && known > SK_MEMINFO_DROPS).then_some(numbers[SK_MEMINFO_DROPS])
}

fn set<T>(socket: &impl AsRawFd, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the socket is open; the value has the size that is passed with it and outlives
    // the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
