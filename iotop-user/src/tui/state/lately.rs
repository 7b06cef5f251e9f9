//! What was lost lately. Missing names are a note that goes once they are old.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

use crate::sample::Lost;

/// How long a loss is remembered.
const STAY: Duration = Duration::from_secs(60);

/// The losses of the last minute.
#[derive(Debug, Default)]
pub struct Lately(VecDeque<(Timestamp, Lost)>);

impl Lately {
    /// Adds an interval that ended at `time`.
    pub fn add(&mut self, time: Timestamp, lost: Lost) {
        if !lost.is_nothing() {
            self.0.push_back((time, lost));
        }
        let is_old = |then: Timestamp| time.duration_since(then).unsigned_abs() >= STAY;
        while self.0.front().is_some_and(|(then, _)| is_old(*then)) {
            self.0.pop_front();
        }
    }

    /// Everything that was lost in this time.
    pub fn sum(&self) -> Lost {
        let lost = self.0.iter().map(|(_, lost)| *lost);
        lost.fold(Lost::default(), |sum, lost| sum + lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Loss;

    #[test]
    fn a_loss_is_forgotten_after_a_minute() {
        let mut lately = Lately::default();
        let start = Timestamp::new(1_790_000_000, 0).expect("in range");
        let after = |seconds| start + Duration::from_secs(seconds);
        lately.add(start, Lost::from([(Loss::Paths, 3)]));
        lately.add(after(30), Lost::from([(Loss::Paths, 4)]));
        assert_eq!(lately.sum()[Loss::Paths], Some(7));
        lately.add(after(60), Lost::default());
        assert_eq!(lately.sum()[Loss::Paths], Some(4));
        lately.add(after(90), Lost::default());
        assert!(lately.sum().is_nothing());
    }
}
