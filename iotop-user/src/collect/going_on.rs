//! Runs that end after their last bytes.

use std::{collections::HashSet, mem};

use super::flush::LookUp;
use crate::sample::{Flush, Run, Task, Written};

/// Flushes, without their bytes, whose runs went on when they were last told of.
#[derive(Debug, Default)]
pub struct GoingOn(Vec<Flush>);

impl GoingOn {
    /// Takes in an interval's flushes, and adds the runs that have ended by now and
    /// are in none of them: to the flush that they belong to, or one without bytes.
    pub fn add_ends(&mut self, flushes: &mut Vec<Flush>, names: &mut impl LookUp) {
        let told = flushes.iter().flat_map(|flush| &flush.runs);
        let told: HashSet<_> = told.map(|run| run.key).collect();
        let mut untold = mem::take(&mut self.0);
        for flush in &mut untold {
            let runs = flush.runs.iter().filter(|run| !told.contains(&run.key));
            flush.runs = runs.filter_map(|run| names.run(run.key)).collect();
        }
        let goes_on = |flush| with_runs(flush, |run| run.end.is_none());
        self.0 = flushes.iter().chain(&untold).filter_map(goes_on).collect();
        let ended = |flush| with_runs(flush, |run| run.end.is_some());
        for ended in untold.iter().filter_map(ended) {
            match flushes.iter_mut().find(|flush| is_part_of(&ended, flush)) {
                Some(flush) => flush.runs.extend(ended.runs),
                None => flushes.push(ended),
            }
        }
    }
}

/// A flush without its bytes and with some of its runs; `None` where none is left.
fn with_runs(flush: &Flush, which: impl Fn(&&Run) -> bool) -> Option<Flush> {
    let runs: Vec<Run> = flush.runs.iter().filter(which).cloned().collect();
    (!runs.is_empty()).then(|| Flush {
        device: flush.device,
        device_name: flush.device_name.clone(),
        reason: flush.reason.clone(),
        submitter: flush.submitter.clone(),
        runs,
        inodes: 0,
        written: Written::default(),
    })
}

/// As the facts of an interval are put together.
fn is_part_of(one: &Flush, other: &Flush) -> bool {
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
    fn a_run_that_ends_after_its_last_bytes_has_its_end_told() {
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
    fn an_end_is_part_of_what_the_worker_writes_next() {
        let (mut going_on, mut names) = (GoingOn::default(), golden::Named::default());
        going_on.add_ends(&mut flushes(false), &mut names);
        let mut second = flushes(true);
        second[0].runs[0].key.1 = second[0].runs[0].key.1.next(2);
        going_on.add_ends(&mut second, &mut names);
        assert_eq!((second.len(), second[0].runs.len()), (1, 2));
    }

    #[test]
    fn an_end_is_told_once() {
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
    fn a_run_of_which_nothing_is_known_any_more_is_forgotten() {
        let (mut going_on, mut names) = (GoingOn::default(), golden::Named::default());
        going_on.add_ends(&mut flushes(false), &mut names);
        going_on.0[0].runs[0].key.1 = iotop_common::FlushId::NONE;
        let mut second = Vec::new();
        going_on.add_ends(&mut second, &mut names);
        assert!(second.is_empty() && going_on.0.is_empty());
    }
}
