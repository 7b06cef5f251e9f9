//! Runs that end in a later interval than the one with their last bytes.

use std::{collections::HashSet, mem};

use super::flush::LookUp;
use crate::sample::{Flush, Run, Task, Written};

/// Flushes whose runs had not ended when they were last reported. Their bytes are left out.
#[derive(Debug, Default)]
pub struct GoingOn(Vec<Flush>);

impl GoingOn {
    /// Adds the runs that have ended and are not in these flushes: to the flush that they
    /// belong to, or to a new flush without bytes. Remembers the runs that go on.
    pub fn add_ends(&mut self, flushes: &mut Vec<Flush>, names: &mut impl LookUp) {
        let present = flushes.iter().flat_map(|flush| &flush.runs);
        let present: HashSet<_> = present.map(|run| run.key).collect();
        let mut missing = mem::take(&mut self.0);
        for flush in &mut missing {
            let runs = flush.runs.iter().filter(|run| !present.contains(&run.key));
            flush.runs = runs.filter_map(|run| names.run(run.key)).collect();
        }
        let goes_on = |flush| with_runs(flush, |run| run.end.is_none());
        self.0 = flushes.iter().chain(&missing).filter_map(goes_on).collect();
        let ended = |flush| with_runs(flush, |run| run.end.is_some());
        for ended in missing.iter().filter_map(ended) {
            match flushes.iter_mut().find(|flush| is_same(&ended, flush)) {
                Some(flush) => flush.runs.extend(ended.runs),
                None => flushes.push(ended),
            }
        }
    }
}

/// The flush without its bytes and with only those runs that are wanted; `None` if no run is
/// left.
fn with_runs(flush: &Flush, wanted: impl Fn(&&Run) -> bool) -> Option<Flush> {
    let runs: Vec<Run> = flush.runs.iter().filter(wanted).cloned().collect();
    (!runs.is_empty()).then(|| Flush {
        device: flush.device,
        device_name: flush.device_name.clone(),
        reason: flush.reason.clone(),
        submitter: flush.submitter.clone(),
        runs,
        inodes: 0,
        written: Written::default(),
        logged: 0,
        commits: None,
    })
}

/// True if both flushes have the same key, by which `flush::flushes` groups facts.
fn is_same(one: &Flush, other: &Flush) -> bool {
    let key = |flush: &Flush| {
        let submitter = flush.submitter.as_ref().map(Task::key);
        let cgroup = flush.runs.first().map(|run| run.cgroup_id);
        (flush.device, submitter, cgroup)
    };
    key(one) == key(other) && one.reason == other.reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn flushes(end: bool) -> Vec<Flush> {
        let mut flushes = golden::flushed().flushes;
        flushes.retain(|flush| !flush.runs.is_empty());
        if !end {
            flushes[0].runs[0].end = None;
        }
        flushes
    }

    #[test]
    fn the_end_of_a_run_is_reported_after_its_last_bytes() {
        let (mut going_on, mut names) = (GoingOn::default(), golden::Named::default());
        let mut first = flushes(false);
        going_on.add_ends(&mut first, &mut names);
        assert_eq!(first.len(), 1);
        let mut second = Vec::new();
        going_on.add_ends(&mut second, &mut names);
        let [end] = &second[..] else {
            panic!("{second:?}");
        };
        assert_eq!((end.written.totals.write, end.runs.len()), (0, 1));
        assert!(end.runs[0].end.is_some());
        assert_eq!(end.submitter.as_ref().map(|task| task.tid), Some(77));
        let mut third = Vec::new();
        going_on.add_ends(&mut third, &mut names);
        assert!(third.is_empty());
    }

    #[test]
    fn an_ended_run_joins_the_next_flush_of_its_flusher() {
        let (mut going_on, mut names) = (GoingOn::default(), golden::Named::default());
        going_on.add_ends(&mut flushes(false), &mut names);
        let mut second = flushes(true);
        second[0].runs[0].key.1 = second[0].runs[0].key.1.next(2);
        going_on.add_ends(&mut second, &mut names);
        assert_eq!((second.len(), second[0].runs.len()), (1, 2));
    }

    #[test]
    fn the_end_of_a_run_is_reported_once() {
        let (mut going_on, mut names) = (GoingOn::default(), golden::Named::default());
        going_on.add_ends(&mut flushes(false), &mut names);
        let mut second = flushes(true);
        going_on.add_ends(&mut second, &mut names);
        assert_eq!(second.len(), 1);
        let mut third = Vec::new();
        going_on.add_ends(&mut third, &mut names);
        assert!(third.is_empty());
    }

    #[test]
    fn a_run_that_is_no_longer_known_is_dropped() {
        let (mut going_on, mut names) = (GoingOn::default(), golden::Named::default());
        going_on.add_ends(&mut flushes(false), &mut names);
        going_on.0[0].runs[0].key.1 = iotop_common::FlushId::NONE;
        let mut second = Vec::new();
        going_on.add_ends(&mut second, &mut names);
        assert!(second.is_empty() && going_on.0.is_empty());
    }
}
