//! Socket options that the netlink crate does not have.

use std::{io, os::fd::AsRawFd, time::Duration};

/// The place of the drop counter among the numbers of `SO_MEMINFO`
/// (include/uapi/linux/sock_diag.h).
const SK_MEMINFO_DROPS: usize = 8;
const SK_MEMINFO_VARS: usize = 9;

/// Lets every receive end in time.
pub fn set_receive_timeout(socket: &impl AsRawFd, timeout: Duration) -> io::Result<()> {
    let time = libc::timeval {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_usec: timeout.subsec_micros() as libc::suseconds_t,
    };
    set(socket, libc::SO_RCVTIMEO, &time)
}

/// Makes room for what has arrived and was not read yet. Beyond
/// net.core.rmem_max only with `CAP_NET_ADMIN`.
pub fn set_receive_buffer(socket: &impl AsRawFd, size: libc::c_int) -> io::Result<()> {
    set(socket, libc::SO_RCVBUFFORCE, &size).or_else(|_| set(socket, libc::SO_RCVBUF, &size))
}

/// How many messages the kernel dropped for want of room since the socket was
/// opened (4.12); the number wraps.
pub fn dropped(socket: &impl AsRawFd) -> Option<u32> {
    let mut numbers = [0u32; SK_MEMINFO_VARS];
    let mut size = size_of_val(&numbers) as libc::socklen_t;
    // SAFETY: an open socket, room of the size that is passed with it.
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
    // SAFETY: an open socket, a value that outlives the call and its size.
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
