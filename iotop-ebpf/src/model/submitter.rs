//! The submitter: the task that handed a bio to the block layer.

use iotop_common::{FlushId, tag::Slot};

use super::epoch::CpuEpoch;
use crate::kernel::syscall::current_syscall;

/// The submitter of a bio.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Submitter {
    pub slot: Slot,
    /// The run that a writeback worker is in. For a task whose bio was held back, the
    /// system call that it was in.
    pub flush: FlushId,
    /// The partition that the bio no longer names (before 5.12); 0 where the bio names
    /// its device itself.
    pub partition: u32,
    pub kthread: bool,
    /// The submitter is not the current task.
    pub absent: bool,
    /// The submitter commits a transaction of a journal.
    pub commits: bool,
}

impl Submitter {
    /// What it writes page cache for, see `FactKey::flush`.
    #[inline(always)]
    pub fn flush(&self, epoch: &CpuEpoch) -> u32 {
        if !self.kthread && !self.absent && epoch.wants_flushes() {
            return current_syscall().0;
        }
        self.flush.0
    }

    /// Whether it may submit on behalf of a flusher.
    #[inline(always)]
    pub fn may_be_for_a_flusher(&self, epoch: &CpuEpoch) -> bool {
        self.kthread && self.flush == FlushId::NONE && epoch.wants_flushes()
    }
}
