//! The flushes and spikes that happened lately, newest first.

use std::collections::{HashMap, VecDeque};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    escape::{escape, task_name},
    output::{
        Explain,
        explain::{FLUSHES, alike, who},
    },
    sample::{Flush, FlushOwner, Number, Owned, Sample, Spike, Written},
};

/// How many flushes are remembered, and how many spikes.
const MOST: usize = 300;
const MOST_SPIKES: usize = 100;

/// A spike, or the flushes of one interval that are alike.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it was seen, or when the spike began.
    pub time: Timestamp,
    /// The device.
    pub device: String,
    /// The submitter; for a spike the word SPIKE, and whether it goes on.
    pub who: String,
    /// The reason in a word.
    pub reason: String,
    /// Bytes.
    pub bytes: u64,
    /// The owners of the data, with their shares.
    pub owners: String,
    /// It is a spike, or a flush that is not only data of the process that wrote it.
    pub others: bool,
    /// It is a spike.
    pub spike: bool,
    /// The full text.
    pub text: Vec<String>,
    spike_on: Option<Number>,
}

/// The remembered entries.
#[derive(Debug)]
pub struct Log {
    /// Newest first.
    pub entries: VecDeque<Entry>,
    /// Writes the full text of each entry.
    pub explain: Explain,
}

impl Log {
    /// An empty log. Times are shown in `zone`.
    pub fn new(zone: TimeZone) -> Log {
        Log {
            entries: VecDeque::new(),
            explain: Explain::new(zone, Vec::new()),
        }
    }

    /// Adds an interval, and returns the number of new entries.
    pub fn add(&mut self, sample: &Sample) -> usize {
        let before = self.entries.len();
        let mut flushes = alike(&sample.flushes);
        flushes.retain(|(flush, _)| flush.written.totals.write != 0);
        // The largest flush of an interval goes on top.
        for (flush, submitters) in flushes.iter().take(FLUSHES).rev() {
            self.entries
                .push_front(self.flush(flush, *submitters, sample));
        }
        let mut new = self.entries.len() - before;
        for spike in &sample.spikes {
            let entry = self.spike(spike);
            let same =
                |known: &&mut Entry| known.spike_on == entry.spike_on && known.time == entry.time;
            match self.entries.iter_mut().find(same) {
                Some(known) => *known = entry,
                None => {
                    self.entries.push_front(entry);
                    new += 1;
                }
            }
        }
        self.forget();
        new
    }

    /// Flushes and spikes have limits of their own, so that many flushes don't push out
    /// a spike of last night.
    fn forget(&mut self) {
        let (mut flushes, mut spikes) = (0, 0);
        self.entries.retain(|entry| {
            let (count, most) = match entry.spike {
                true => (&mut spikes, MOST_SPIKES),
                false => (&mut flushes, MOST),
            };
            *count += 1;
            *count <= most
        });
    }

    fn flush(&self, flush: &Flush, submitters: usize, sample: &Sample) -> Entry {
        let mut text = String::new();
        self.explain.flush(&mut text, flush, submitters, sample);
        Entry {
            time: sample.time,
            device: escape(&flush.device_name).into_owned(),
            who: who(flush, submitters),
            reason: escape(flush.reason.name()).into_owned(),
            bytes: flush.written.totals.write,
            owners: owners(&flush.written),
            others: !is_own(flush),
            spike: false,
            text: lines(&text),
            spike_on: None,
        }
    }

    fn spike(&self, spike: &Spike) -> Entry {
        let mut text = String::new();
        self.explain.spike(&mut text, spike);
        let reasons = spike.parts.first().map(|part| part.reason.name());
        Entry {
            time: spike.start,
            device: escape(&spike.device_name).into_owned(),
            who: match spike.open {
                true => "SPIKE, ongoing".to_owned(),
                false => "SPIKE".to_owned(),
            },
            reason: escape(reasons.unwrap_or("-")).into_owned(),
            bytes: spike.written.totals.write,
            owners: owners(&spike.written),
            others: true,
            spike: true,
            text: lines(&text),
            spike_on: Some(spike.device),
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Whether a process, not a kernel thread, wrote only its own data.
fn is_own(flush: &Flush) -> bool {
    let written = &flush.written;
    flush.submitter.as_ref().is_some_and(|submitter| {
        let own = |owner: &FlushOwner| owner.task.pid == submitter.pid;
        !submitter.kthread && written.owners.iter().all(own)
    })
}

/// `dd 81%, rsyslogd ~12%, (metadata) 7%`. A share with `~` is partly estimated.
fn owners(written: &Written) -> String {
    let all = written.totals.write.max(1) as f64;
    let none = &written.totals.unattributed;
    let in_total = none.parts().filter(|(reason, _)| reason.is_in_total());
    let mut parts: HashMap<String, Owned> = in_total
        .map(|(reason, bytes)| (format!("({})", reason.label()), Owned::new(bytes, 0)))
        .collect();
    for owner in &written.owners {
        let owned = parts
            .entry(task_name(&owner.task.comm, owner.task.kthread).into_owned())
            .or_default();
        *owned = *owned + Owned::new(owner.bytes, owner.shared);
    }
    let mut parts: Vec<(String, f64, Owned)> = parts
        .into_iter()
        .map(|(name, owned)| (name, 100.0 * owned.bytes as f64 / all, owned))
        .filter(|(_, percent, _)| *percent >= 0.5)
        .collect();
    parts.sort_by(|(a, x, _), (b, y, _)| y.total_cmp(x).then_with(|| a.cmp(b)));
    let parts: Vec<String> = parts
        .iter()
        .take(3)
        .map(|(name, percent, owned)| format!("{} {}{percent:.0}%", escape(name), owned.mark()))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn the_newest_and_largest_is_on_top_and_the_oldest_go() {
        let mut log = Log::new(TimeZone::UTC);
        let sample = golden::flushed();
        let new = log.add(&sample);
        assert_eq!(new, log.entries.len());
        assert_eq!(log.entries[0].owners, "dd 100%");
        assert!(log.entries[0].text.len() > 2);
        for _ in 0..MOST {
            log.add(&sample);
        }
        assert_eq!(log.entries.len(), MOST);
    }

    #[test]
    fn many_flushes_do_not_push_out_a_spike() {
        let mut log = Log::new(TimeZone::UTC);
        log.add(&golden::spiked(false));
        for _ in 0..MOST {
            log.add(&golden::flushed());
        }
        let oldest = log.entries.back().expect("some");
        assert!(oldest.spike && log.entries.len() == MOST + 1);
    }

    #[test]
    fn a_task_that_writes_its_own_data_does_not_write_for_others() {
        let mut log = Log::new(TimeZone::UTC);
        log.add(&golden::flushed());
        let others = |who: &str| {
            let entry = log.entries.iter().find(|entry| entry.who.contains(who));
            entry.expect("there").others
        };
        assert!(others("kworker") && others("jbd2"));
        assert!(!others("postgres (PID 900)"));
    }
}
