//! The tasks' own counters: a pass over all live tasks, and the final records of tasks
//! that have exited.

use std::{
    io::{self, BufReader},
    mem,
};

use aya::programs::Iter;
use iotop_common::{IdleExit, TaskRecord};

use super::{Probe, ProbeError, plain::plain, programs::TASK_COUNTERS};
use crate::host::kernel::counted::Counted;

/// The most that one read of an iterator returns (`bpf_seq_read` of
/// kernel/bpf/bpf_iter.c).
const BUFFER: usize = 32 * 1024;

/// The length of the record of an idle task.
const IDLE_EXIT: usize = size_of::<IdleExit>();

/// A task that has exited.
#[derive(Clone, Copy, Debug)]
pub enum Exit {
    /// Its last counters are those of the last pass.
    Idle(IdleExit),
    /// Its last counters.
    Record(TaskRecord),
}

impl Probe {
    /// Which counters the task records hold.
    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// Walks all live tasks of our pid namespace, and calls `each` for those whose
    /// counters have changed since the last pass. In the first pass these are all tasks.
    /// Returns how many tasks there are, if the pass reported it.
    ///
    /// # Errors
    ///
    /// The kernel does not run the pass.
    pub fn changed_tasks(
        &mut self,
        mut each: impl FnMut(&TaskRecord),
    ) -> Result<Option<u64>, ProbeError> {
        let failed = |source| ProbeError::Pass { source };
        let mut records = self.pass().map_err(failed)?;
        let mut total = None;
        while let Some(record) = next(&mut records).map_err(failed)? {
            if record.tid == 0 {
                total = Some(record.task);
            } else {
                each(&record);
            }
        }
        Ok(total)
    }

    /// Calls `each` for every task that has exited since the last call.
    pub fn exited_tasks(&mut self, mut each: impl FnMut(Exit)) {
        while let Some(item) = self.exits.next() {
            let exit = match item.len() {
                IDLE_EXIT => plain(&item).map(Exit::Idle),
                _ => plain(&item).map(Exit::Record),
            };
            exit.into_iter().for_each(&mut each);
        }
    }

    fn pass(&mut self) -> io::Result<BufReader<std::fs::File>> {
        let program: &mut Iter = self
            .ebpf
            .program_mut(TASK_COUNTERS)
            .and_then(|program| program.try_into().ok())
            .ok_or(io::ErrorKind::NotFound)?;
        let attached = program.attach().map_err(io::Error::other)?;
        let link = program.take_link(attached).map_err(io::Error::other)?;
        let file = link.into_file().map_err(io::Error::other)?;
        Ok(BufReader::with_capacity(BUFFER, file))
    }
}

fn next(records: &mut impl io::BufRead) -> io::Result<Option<TaskRecord>> {
    if records.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let mut bytes = [0; mem::size_of::<TaskRecord>()];
    records.read_exact(&mut bytes)?;
    Ok(plain(&bytes))
}
