//! Clocks and sizes from the C library.

use std::time::Duration;

/// Clock ticks a second in /proc (`USER_HZ`).
pub const USER_HZ: u64 = 100;

/// Nanoseconds of one clock tick.
pub const TICK_NS: u64 = 1_000_000_000 / USER_HZ;

/// The CPU time that this process has used.
pub fn process_cpu() -> Option<Duration> {
    ask(libc::clock_gettime, libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The time since boot in ns (`CLOCK_BOOTTIME`), the clock of tasks' start times.
pub fn boottime() -> u64 {
    let now = ask(libc::clock_gettime, libc::CLOCK_BOOTTIME).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// How long a jiffy is: the resolution of the coarse clocks
/// (`KTIME_LOW_RES` of include/linux/hrtimer_defs.h, 1 s / HZ).
pub fn jiffy() -> Option<Duration> {
    ask(libc::clock_getres, libc::CLOCK_MONOTONIC_COARSE)
}

type Call = unsafe extern "C" fn(libc::clockid_t, *mut libc::timespec) -> libc::c_int;

fn ask(call: Call, clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to our own timespec.
    let result = unsafe { call(clock, &raw mut time) };
    if result != 0 {
        return None;
    }
    Some(Duration::new(
        u64::try_from(time.tv_sec).ok()?,
        u32::try_from(time.tv_nsec).ok()?,
    ))
}

/// The size of a page frame, bytes.
pub fn page_size() -> u64 {
    // SAFETY: sysconf takes a plain number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}
