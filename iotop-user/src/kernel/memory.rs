//! Our own memory.

/// Gives freed memory back to the kernel: parsing its BTF takes twice as much
/// as all that follows. Only glibc keeps it for itself.
pub fn return_free() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a plain number and is thread-safe (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
