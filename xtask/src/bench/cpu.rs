//! CPU time of the whole machine, kernel threads included.

use std::time::Duration;

use anyhow::{Context, Result};

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

#[cfg(test)]
mod tests {
    #[test]
    fn idle_and_stolen_time_is_not_busy() {
        let stat = "cpu  1 20 300 9999 9999 4000 50000 9999 0 0\ncpu0 7 7 7 7\n";
        assert_eq!(super::busy_ticks(stat), Some(54_321));
        assert_eq!(super::busy_ticks("intr 5"), None);
    }
}
