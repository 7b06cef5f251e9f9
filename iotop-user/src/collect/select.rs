//! Which tasks are shown.

use super::{Sample, Task};
use crate::cli::Select;

/// Leaves out the tasks that are not wanted. The system's totals stay those of
/// the whole machine.
pub fn select(sample: &mut Sample, wanted: &Select) {
    let keep: Vec<bool> = sample
        .tasks
        .iter()
        .map(|task| is_wanted(task, wanted))
        .collect();
    sample.retain_tasks(&keep);
}

fn is_wanted(task: &Task, wanted: &Select) -> bool {
    let Select { only, pids, uids } = wanted;
    let by_pid = pids.is_empty() || pids.contains(&task.pid) || pids.contains(&task.tid);
    let by_user = uids.is_empty() || task.uid.is_some_and(|uid| uids.contains(&uid));
    let pending = task
        .block
        .is_some_and(|block| block.dirty_pending.unwrap_or(0) != 0);
    by_pid && by_user && (!only || task.did_io() || pending)
}
