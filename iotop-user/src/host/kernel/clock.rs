//! Clocks and sizes from the C library.

use std::{fs, sync::LazyLock, time::Duration};

use jiff::Timestamp;

/// Clock ticks a second in /proc (`USER_HZ`).
pub const USER_HZ: u64 = 100;

/// Nanoseconds of one clock tick.
pub const TICK_NS: u64 = 1_000_000_000 / USER_HZ;

/// The CPU time that this process has used.
pub fn process_cpu() -> Option<Duration> {
    ask(libc::clock_gettime, libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// The CPU time that this thread has used.
pub fn thread_cpu() -> Option<Duration> {
    ask(libc::clock_gettime, libc::CLOCK_THREAD_CPUTIME_ID)
}

/// What the kernel adds to its own time since boot before it shows it to us, ns: in a time
/// namespace, /proc and `CLOCK_BOOTTIME` are shifted (time_namespaces(7)). The kernel half
/// reads the kernel's own.
static SHIFT: LazyLock<i64> = LazyLock::new(|| {
    let offsets = fs::read_to_string("/proc/self/timens_offsets");
    offsets.map_or(0, |text| boottime_shift(&text))
});

pub(crate) fn boottime_shift(offsets: &str) -> i64 {
    let of_boottime = |line: &str| {
        let mut words = line.split_whitespace();
        let is_it = words.next()? == "boottime";
        let (seconds, ns): (i64, i64) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        is_it.then(|| seconds.checked_mul(1_000_000_000)?.checked_add(ns))?
    };
    offsets.lines().find_map(of_boottime).unwrap_or(0)
}

/// The kernel's time since boot in ns (`CLOCK_BOOTTIME`), the clock of tasks' start times.
pub fn boottime() -> u64 {
    let now = ask(libc::clock_gettime, libc::CLOCK_BOOTTIME).unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    now.wrapping_add_signed(SHIFT.wrapping_neg())
}

/// A time since boot in ns, of a number of ticks as /proc shows it.
pub fn of_ticks(ticks: u64) -> u64 {
    let shown = ticks.wrapping_mul(TICK_NS);
    shown.wrapping_add_signed(SHIFT.wrapping_neg())
}

/// What /proc shows for a time since boot in ns. A shifted time may be before 0: the kernel
/// wraps it around, too.
pub fn ticks(boottime: u64) -> u64 {
    boottime.wrapping_add_signed(*SHIFT) / TICK_NS
}

/// When the machine was booted, by the wall clock as it is set now, rounded to ms.
pub fn boot_time() -> Option<Timestamp> {
    // A task may be preempted between two clocks: the closest reading counts.
    let reading = |_| {
        let since_boot = boottime();
        let now = Timestamp::now();
        (boottime().saturating_sub(since_boot), now, since_boot)
    };
    let (_, now, since_boot) = (0..3).map(reading).min_by_key(|reading| reading.0)?;
    let boot = now.checked_sub(Duration::from_nanos(since_boot)).ok()?;
    boot.round(jiff::Unit::Millisecond).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_of_a_time_namespace_is_read() {
        let offsets = "monotonic       86400         0\nboottime        -3600 500000000\n";
        assert_eq!(boottime_shift(offsets), -3_599_500_000_000);
        assert_eq!(boottime_shift("monotonic 1 0\nboottime x 0\n"), 0);
        assert_eq!(boottime_shift(""), 0);
    }

    #[test]
    fn ticks_of_proc_and_times_since_boot_agree() {
        for number in [0, 1, 250, u64::MAX / TICK_NS] {
            assert_eq!(ticks(of_ticks(number)), number);
        }
        let own = fs::read("/proc/self/stat").expect("there");
        let own = crate::host::identity::Stat::parse(&own).expect("whole");
        let lived = boottime().saturating_sub(of_ticks(own.start_ticks));
        assert!(lived < 3_600_000_000_000, "{lived} ns");
        let boot = boot_time().expect("a time");
        let second = |time: Timestamp| time.as_second();
        let text = fs::read_to_string("/proc/stat").expect("there");
        let shown = text.lines().find_map(|line| line.strip_prefix("btime "));
        let shown: i64 = shown.expect("there").trim().parse().expect("a number");
        let shift = *SHIFT / 1_000_000_000;
        assert!((second(boot) - shown - shift).abs() <= 1, "{boot} {shown}");
    }
}
