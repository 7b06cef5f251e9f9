//! What woke the disks, by the samples of a recording.

use jiff::tz::TimeZone;

use crate::{
    collect::recorded::ReplayedWakes,
    output::Wakes,
    sample::{Sample, WakeRule},
};

/// Counts wake-ups.
pub(super) struct Woken {
    replayed: ReplayedWakes,
    words: Wakes,
    /// The newest sample: whether it is the last one is not known yet.
    newest: Option<Sample>,
}

impl Woken {
    pub fn new(rule: WakeRule) -> Woken {
        Woken {
            replayed: ReplayedWakes::new(rule),
            words: Wakes::new(TimeZone::system()),
            newest: None,
        }
    }

    /// Adds a sample, from which nothing was taken away.
    pub fn add(&mut self, sample: Sample) {
        if let Some(before) = self.newest.replace(sample) {
            self.look(before, false);
        }
    }

    fn look(&mut self, mut sample: Sample, ending: bool) {
        sample.wakes = self.replayed.look(&mut sample, ending);
        self.words.count(&sample);
    }

    /// What woke each disk, in lines.
    pub fn finish(mut self) -> String {
        if let Some(last) = self.newest.take() {
            self.look(last, true);
        }
        let mut text = String::new();
        self.words.summary(&mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::silent_and_woken;

    /// The summary of `replay --explain-wakeups` for the same samples.
    #[test]
    fn a_report_counts_what_a_replay_explains() {
        let rule = WakeRule::default();
        let (mut woken, mut replayed) = (Woken::new(rule), ReplayedWakes::new(rule));
        let (mut words, mut text) = (Wakes::new(TimeZone::system()), String::new());
        let samples = silent_and_woken(&[0], 5);
        let last = samples.len() - 1;
        for (n, mut sample) in samples.into_iter().enumerate() {
            woken.add(sample.clone());
            sample.wakes = replayed.look(&mut sample, n == last);
            words.add(&mut text, &sample, n == last);
        }
        let report = woken.finish();
        assert!(text.ends_with(&report), "{text} and {report}");
        assert!(report.contains("woken 5 times"), "{report}");
    }
}
