//! The runs of flushers.

use std::mem;

use iotop_common::FlushRun;

use super::{Probe, ProbeError, not_mapped, plain::plain, with_map_name};

/// How many ended runs are kept for the next sample. Further ones are lost, unless they wrote
/// no page.
const MOST: usize = 32 * 1024;

/// Runs that ended, and were taken before the end of the interval because their buffer was
/// filling.
#[derive(Debug, Default)]
pub(super) struct EndedRuns {
    runs: Vec<FlushRun>,
    /// How many there was no room for.
    pub lost: u64,
}

impl EndedRuns {
    fn add(&mut self, run: FlushRun) {
        if self.runs.len() < MOST {
            self.runs.push(run);
        } else if run.requested != run.left {
            // A program that calls sync(2) in a loop has thousands of runs that write nothing.
            self.lost += 1;
        }
    }
}

impl Probe {
    /// Takes the runs that have ended out of their buffer and keeps them for the next sample.
    pub(super) fn take_ended_runs(&mut self) {
        while let Some(item) = self.flushes.next() {
            match run(&item) {
                Some(run) if self.control_value.flushes != 0 => self.ended_runs.add(run),
                _ => {}
            }
        }
    }

    /// Returns the runs that are under way, and the runs that have ended since the last
    /// call. A run that ends during the call may be in both lists.
    ///
    /// # Errors
    ///
    /// A map call failed.
    pub fn flush_runs(&mut self) -> Result<(Vec<FlushRun>, Vec<FlushRun>), ProbeError> {
        let mut running = Vec::new();
        let mut stale = Vec::new();
        for item in self.runs.iter() {
            let (slot, run) = with_map_name("RUNS", item)?;
            self.owners.reach(slot).map_err(not_mapped)?;
            let owner = self.owners.get(slot);
            // A flusher that lost its slot has another one now, and this entry is stale.
            match owner.is_some_and(|owner| owner.start_boottime == run.worker_start) {
                true => running.push(run),
                false => stale.push(slot),
            }
        }
        for slot in stale {
            let _ = self.runs.remove(&slot);
        }
        let mut ended = mem::take(&mut self.ended_runs.runs);
        while let Some(item) = self.flushes.next() {
            ended.extend(run(&item));
        }
        Ok((running, ended))
    }
}

/// Reads a run that has ended. The record of a run that no task asked for stops before
/// the asker.
pub(crate) fn run(bytes: &[u8]) -> Option<FlushRun> {
    let mut whole = [0; size_of::<FlushRun>()];
    let known = bytes.len().min(whole.len());
    whole[..known].copy_from_slice(&bytes[..known]);
    match known >= FlushRun::WITHOUT_ASKER {
        true => plain(&whole),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_runs_are_bounded_and_only_those_that_wrote_are_lost() {
        let (idle, wrote) = (
            FlushRun::default(),
            FlushRun {
                requested: 9,
                ..FlushRun::default()
            },
        );
        let mut ended = EndedRuns::default();
        for _ in 0..MOST {
            ended.add(wrote);
        }
        ended.add(idle);
        assert_eq!((ended.runs.len(), ended.lost), (MOST, 0));
        ended.add(wrote);
        assert_eq!((ended.runs.len(), ended.lost), (MOST, 1));
    }

    #[test]
    fn a_record_that_stops_before_the_asker_is_a_run_without_one() {
        let bytes = [1; FlushRun::WITHOUT_ASKER];
        let run = run(&bytes).expect("a run");
        assert_eq!((run.asker.generation, run.worker_tid), (0, 0x0101_0101));
        assert!(super::run(&bytes[1..]).is_none());
    }
}
