//! Our own memory, and what we may lock of it.

use super::clock;

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

/// Has large buffers returned to the kernel as soon as they are freed, and all
/// threads share one heap, whose holes all of them fill. glibc would raise its
/// threshold with each large buffer (mallopt(3)) and give each thread a heap. To be
/// called before there are threads.
pub fn keep_heap_small() {
    /// What glibc begins with.
    #[cfg(target_env = "gnu")]
    const LARGE: libc::c_int = 128 << 10;
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes plain numbers, and no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// How many bytes of ours are in memory (`statm`, proc_pid_statm(5)).
pub fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * clock::page_size())
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
