//! Why the bytes of a fact were written. A fact has the number of a run or a system call; what it
//! means is known from the flushes of its sample.

use std::collections::HashMap;

use crate::sample::{BlockFact, Flush, Number, Sample, TaskKey};

/// The submitter and the device of flushes.
type By = (Option<TaskKey>, Number);

/// The reasons of a sample's flushes.
pub(super) struct Reasons<'a> {
    flushes: HashMap<By, Vec<&'a Flush>>,
    /// The reason why an owner's file was written, if there is only one.
    files: HashMap<(By, TaskKey, u64, u32), Option<&'a str>>,
}

impl<'a> Reasons<'a> {
    pub fn of(sample: &'a Sample) -> Reasons<'a> {
        let mut flushes: HashMap<By, Vec<&Flush>> = HashMap::new();
        for flush in &sample.flushes {
            let submitter = flush.submitter.as_ref().map(|task| task.key());
            let by = (submitter, flush.device);
            flushes.entry(by).or_default().push(flush);
        }
        let mut files = HashMap::new();
        for (by, flushes) in flushes.iter().filter(|(_, flushes)| flushes.len() > 1) {
            for flush in flushes {
                let reason = flush.reason.name();
                for owner in &flush.written.owners {
                    for file in &owner.files {
                        let key = (*by, owner.task.key(), file.ino, file.file);
                        let known = files.entry(key).or_insert(Some(reason));
                        *known = known.filter(|known| *known == reason);
                    }
                }
            }
        }
        Reasons { flushes, files }
    }

    /// Why the bytes of a fact of the sample were written; `None` if it can't be told.
    pub fn of_fact(&self, fact: &BlockFact, sample: &Sample) -> Option<&'a str> {
        let key = |index: usize| sample.tasks.get(index).map(|task| task.key());
        let by = (fact.submitter.and_then(key), fact.device);
        let flushes = self.flushes.get(&by)?;
        let is_run = |flush: &&&Flush| flush.runs.iter().any(|run| run.key.1 == fact.flush);
        let of_run = only(flushes.iter().filter(is_run).map(|flush| &**flush));
        let by_file = || {
            let owner = fact.owner.and_then(key)?;
            *self.files.get(&(by, owner, fact.ino, fact.file))?
        };
        only(flushes.iter().copied()).or(of_run).or_else(by_file)
    }
}

/// The reason of all these flushes, if there is only one.
fn only<'a>(mut flushes: impl Iterator<Item = &'a Flush>) -> Option<&'a str> {
    let first = flushes.next()?.reason.name();
    flushes
        .all(|flush| flush.reason.name() == first)
        .then_some(first)
}
