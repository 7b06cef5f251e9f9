//! The runs of writeback workers.

use iotop_common::FlushRun;

use super::{Probe, ProbeError, not_mapped, plain::plain, typed};

impl Probe {
    /// The runs that are under way, and those that have ended since the last
    /// call; some may be both.
    ///
    /// # Errors
    ///
    /// A map call failed.
    pub fn flush_runs(&mut self) -> Result<(Vec<FlushRun>, Vec<FlushRun>), ProbeError> {
        let mut running = Vec::new();
        let mut left_over = Vec::new();
        for item in self.runs.iter() {
            let (slot, run) = typed("RUNS", item)?;
            self.owners.reach(slot).map_err(not_mapped)?;
            let tenant = self.owners.get(slot);
            // A worker whose slot was taken back runs under another one now.
            match tenant.is_some_and(|owner| owner.start_boottime == run.worker_start) {
                true => running.push(run),
                false => left_over.push(slot),
            }
        }
        for slot in left_over {
            let _ = self.runs.remove(&slot);
        }
        let mut ended = Vec::new();
        while let Some(item) = self.flushes.next() {
            ended.extend(run(&item));
        }
        Ok((running, ended))
    }
}

/// A run that has ended; of most only what comes before the asker is handed over.
fn run(bytes: &[u8]) -> Option<FlushRun> {
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
    fn a_run_that_nobody_asked_for_has_no_asker() {
        let bytes = [1; FlushRun::WITHOUT_ASKER];
        let run = run(&bytes).expect("a run");
        assert_eq!((run.asker.generation, run.worker_tid), (0, 0x0101_0101));
        assert!(super::run(&bytes[1..]).is_none());
    }
}
