//! The wake-ups of disks that happened lately, newest first.

use std::collections::VecDeque;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    escape::escape,
    output::wakes::{Wakes, how_often, silence, who},
    sample::{Sample, Suspect, System, Wake},
};

/// How many wake-ups are remembered.
const MOST: usize = 300;

/// A wake-up.
#[derive(Clone, Debug)]
pub struct Woken {
    /// The end of its interval.
    pub time: Timestamp,
    /// The disk.
    pub disk: String,
    /// How long it was silent.
    pub silence: String,
    /// Bytes of all suspects.
    pub bytes: u64,
    /// Who woke it, or how many may have done so and the first of them.
    pub by: String,
    /// The file, and how often that happens; empty if there are several suspects.
    pub what: String,
    /// The full text.
    pub text: Vec<String>,
}

/// The remembered wake-ups.
#[derive(Debug)]
pub struct WakeLog {
    /// Newest first.
    pub entries: VecDeque<Woken>,
    /// Writes the full text of each entry.
    pub format: Wakes,
}

impl WakeLog {
    /// An empty log. Times are shown in `zone`.
    pub fn new(zone: TimeZone) -> WakeLog {
        WakeLog {
            entries: VecDeque::new(),
            format: Wakes::new(zone),
        }
    }

    /// Adds an interval, and returns the number of new entries.
    pub fn add(&mut self, sample: &Sample) -> usize {
        for wake in &sample.wakes {
            let entry = self.entry(wake, &sample.system);
            self.entries.push_front(entry);
        }
        self.entries.truncate(MOST);
        sample.wakes.len()
    }

    fn entry(&self, wake: &Wake, system: &System) -> Woken {
        let mut text = String::new();
        self.format.wake(&mut text, wake, system);
        let silence = silence(wake.silence);
        let silence = silence.split(" of silence").next().unwrap_or_default();
        let several = wake.suspects.len() as u64 + wake.more.0;
        let first = wake.suspects.first();
        Woken {
            time: wake.end,
            disk: escape(&wake.disk_name).into_owned(),
            silence: silence.to_owned(),
            bytes: wake.bytes(),
            by: match (wake.culprit(), first) {
                (Some(culprit), _) => who(culprit),
                (None, Some(first)) => format!("one of {several}: {}", who(first)),
                (None, None) => "(unknown)".to_owned(),
            },
            what: wake.culprit().map_or(String::new(), what),
            text: text.lines().map(str::to_owned).collect(),
        }
    }
}

/// `every 30.0s, 12 times: /var/log/nginx/access.log`.
fn what(culprit: &Suspect) -> String {
    let often = how_often(&culprit.rhythm);
    let mut files = culprit.requests.iter().flat_map(|request| &request.files);
    match files.find_map(|file| file.path.as_deref()) {
        Some(path) => format!("{often}: {}", escape(path)),
        None => often,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn the_newest_wake_up_is_on_top_and_the_oldest_go() {
        let mut log = WakeLog::new(TimeZone::UTC);
        assert_eq!(log.add(&golden::woken(&[0])), 1);
        assert_eq!(log.add(&golden::woken(&[0, 3])), 1);
        let first = &log.entries[0];
        assert!(first.by.starts_with("one of 2: postgres"), "{first:?}");
        assert_eq!(first.bytes, (16 << 10) + 4096);
        assert_eq!(log.entries[1].silence, "at least 58.0s");
        for _ in 0..MOST {
            log.add(&golden::woken(&[]));
        }
        assert_eq!(log.entries.len(), MOST);
        assert_eq!(log.entries[MOST - 1].by, "(unknown)");
    }
}
