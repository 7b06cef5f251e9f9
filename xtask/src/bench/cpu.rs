//! CPU time: of the whole machine, kernel threads included, and of one process.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// A tick of /proc/stat: USER_HZ is 100 on every architecture that Debian has.
const TICK: Duration = Duration::from_millis(10);

/// Time that all CPUs together have been busy since the machine started.
pub fn busy() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").context("could not read /proc/stat")?;
    let ticks = busy_ticks(&stat).context("/proc/stat does not begin with the sum of all CPUs")?;
    Ok(TICK * ticks)
}

fn busy_ticks(stat: &str) -> Option<u32> {
    let fields: Vec<u32> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq
    let [user, nice, system, _, _, irq, softirq, ..] = fields[..] else {
        return None;
    };
    Some(user + nice + system + irq + softirq)
}

/// Time that a process has used so far, all of its threads together, those
/// that have exited as well. Its ticks in /proc would be too coarse.
pub fn of_process(pid: u32) -> Result<Duration> {
    let mut clock = 0;
    // SAFETY: writes `clock`.
    let error = unsafe { libc::clock_getcpuclockid(libc::pid_t::try_from(pid)?, &mut clock) };
    ensure!(
        error == 0,
        "process {pid}: {}",
        io::Error::from_raw_os_error(error)
    );
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes `time`.
    let done = unsafe { libc::clock_gettime(clock, &mut time) };
    ensure!(done == 0, "process {pid}: {}", io::Error::last_os_error());
    Ok(Duration::new(
        u64::try_from(time.tv_sec)?,
        u32::try_from(time.tv_nsec)?,
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::{Result, ensure};

    #[test]
    fn a_thread_that_has_exited_is_in_its_process_s_time() -> Result<()> {
        const WORK: Duration = Duration::from_millis(30);
        let before = super::of_process(std::process::id())?;
        let spin = || {
            let start = super::of_process(std::process::id());
            let start = start.unwrap_or_default();
            while super::of_process(std::process::id()).unwrap_or_default() < start + WORK {}
        };
        std::thread::spawn(spin).join().expect("it panicked");
        let spent = super::of_process(std::process::id())? - before;
        ensure!(spent >= WORK, "{spent:?}");
        Ok(())
    }

    #[test]
    fn idle_and_stolen_time_is_not_busy() {
        let stat = "cpu  1 20 300 9999 9999 4000 50000 9999 0 0\ncpu0 7 7 7 7\n";
        assert_eq!(super::busy_ticks(stat), Some(54_321));
        assert_eq!(super::busy_ticks("intr 5"), None);
    }
}
