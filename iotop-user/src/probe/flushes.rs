//! The runs of writeback workers.

use iotop_common::FlushRun;

use super::{Probe, ProbeError, plain::plain, typed};

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
            let tenant = self.owners.get(slot as usize);
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
            ended.extend(plain::<FlushRun>(&item));
        }
        Ok((running, ended))
    }
}
