//! When tasks started, by the clock on the wall.

use jiff::{SignedDuration, Timestamp};

use crate::host::kernel::clock;

/// The start times of tasks.
#[derive(Debug)]
pub struct StartTimes {
    boot: Option<Timestamp>,
}

impl StartTimes {
    /// By the clock as it is set now.
    pub fn new() -> StartTimes {
        StartTimes::since(clock::boot_time())
    }

    /// Of a machine that was booted at this time.
    pub fn since(boot: Option<Timestamp>) -> StartTimes {
        StartTimes { boot }
    }

    /// When a task started: exact to the tick, which is all that /proc tells.
    pub fn of(&self, start_boottime: u64) -> Option<Timestamp> {
        let whole_ticks = clock::of_ticks(clock::ticks(start_boottime));
        let since_boot = SignedDuration::from_nanos(i64::try_from(whole_ticks).ok()?);
        self.boot?.checked_add(since_boot).ok()
    }

    /// Takes the time of boot again if the clock on the wall was set.
    pub fn follow_clock(&mut self) {
        let now = clock::boot_time();
        let tick = SignedDuration::from_nanos(clock::TICK_NS as i64);
        let was_set = |(now, then): (Timestamp, Timestamp)| now.duration_since(then).abs() > tick;
        if now.zip(self.boot).is_none_or(was_set) {
            self.boot = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_follow_the_clock_when_it_is_set() {
        let mut starts = StartTimes::since(Timestamp::from_second(1000).ok());
        starts.follow_clock();
        let boot = clock::boot_time().expect("a time");
        let start = starts.of(clock::of_ticks(300)).expect("a time");
        let since_boot = start.duration_since(boot) - SignedDuration::from_secs(3);
        assert!(
            since_boot.abs() <= SignedDuration::from_millis(20),
            "{since_boot}"
        );
        // The difference of two clocks is not always the same. That alone moves nothing.
        let known = boot.checked_sub(SignedDuration::from_millis(3)).ok();
        starts.boot = known;
        starts.follow_clock();
        assert_eq!(starts.boot, known);
    }
}
