//! Our own memory, and what we may lock of it.

/// Gives freed memory back to the kernel: parsing its BTF takes twice as much
/// as all that follows, and a busy minute leaves holes between what is kept. Only
/// glibc keeps it for itself.
pub fn return_free() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a plain number and is thread-safe (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Before 5.11 maps count as locked memory, and page tags exceed its default
/// limit. Where it can't be lifted the maps are refused, and that is an error.
pub fn lift_lock_limit() {
    let unlimited = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: setrlimit reads the struct it is given.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
}
