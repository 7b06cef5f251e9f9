//! This process's memory, and its limit of locked memory.

use super::clock;

/// Returns freed memory to the kernel. Parsing BTF takes twice as much memory as everything
/// that follows, and a busy minute leaves holes between live allocations. Only glibc keeps
/// freed memory.
pub fn return_free() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a plain number and is thread-safe (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Makes glibc return large buffers to the kernel as soon as they are freed, and use one heap
/// for all threads, so that each thread can fill its holes. By default, glibc raises its
/// threshold with each large buffer (mallopt(3)) and gives each thread a heap. Must be called
/// before there are other threads.
pub fn keep_heap_small() {
    /// glibc's initial threshold.
    #[cfg(target_env = "gnu")]
    const LARGE: libc::c_int = 128 << 10;
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes plain numbers, and no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
    keep_one_heap();
}

/// Makes glibc use one heap for all threads. Must be called before there are other threads.
pub fn keep_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes plain numbers, and no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// How many bytes of this process are in memory (`statm`, proc_pid_statm(5)).
pub fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * clock::page_size())
}

/// Lifts the limit of locked memory. Before 5.11, maps count as locked memory, and the page
/// tags exceed the default limit. A failure is not reported here: the kernel then refuses the
/// maps, which is an error.
pub fn lift_lock_limit() {
    let unlimited = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: setrlimit reads the struct it is given.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
}
