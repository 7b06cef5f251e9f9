//! The priority of this process's CPU time.

/// The highest priority of tasks that are not real-time.
const HIGHEST: libc::c_int = -20;

/// Gives this thread, and all that it creates later, the highest priority that is not real-time,
/// so that intervals keep their length while others use all CPUs. This takes `CAP_SYS_NICE`, which
/// is dropped later. Without it, the priority stays as it is: rates are right, because they are
/// those of the interval's true length.
///
/// Not a real-time policy: a pass over very many tasks would block a CPU for all others.
pub fn raise() {
    // SAFETY: setpriority takes plain numbers; 0 is the calling thread (setpriority(2), NOTES).
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, HIGHEST) };
}
