//! Which tasks a sample keeps.

use super::{Rows, Wanted};
use crate::sample::{Sample, Task};

/// Leaves the tasks of the wanted processes and users. The system's totals
/// stay those of the whole machine.
pub fn of_wanted(sample: &mut Sample, wanted: &Wanted) {
    let Wanted { pids, uids, .. } = wanted;
    if pids.is_empty() && uids.is_empty() {
        return;
    }
    let by_pid = |task: &Task| pids.is_empty() || pids.contains(&task.pid);
    let by_user = |task: &Task| uids.is_empty() || task.uid.is_some_and(|uid| uids.contains(&uid));
    sample.keep_tasks(|task| by_pid(task) && by_user(task));
}

/// Leaves the tasks that are worth a row.
pub fn worth_a_row(sample: &mut Sample, rows: Rows) {
    let disk = |task: &Task| task.did_io() || task.has_dirty_pages();
    match rows {
        Rows::All => {}
        Rows::Disk => sample.keep_tasks(disk),
        Rows::Any => sample.keep_tasks(|task| disk(task) || task.stats.any()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn left(rows: Rows) -> Vec<u32> {
        let mut sample = golden::sample();
        sample.tasks[2].stats.read_char = Some(5);
        worth_a_row(&mut sample, rows);
        sample.tasks.iter().map(|task| task.tid).collect()
    }

    #[test]
    fn only_shows_whatever_is_not_zero_in_the_columns_shown() {
        assert_eq!(left(Rows::All), [1200, 77, 80, 900, 901, 666]);
        assert_eq!(left(Rows::Disk), [1200, 77, 900, 901, 666]);
        assert_eq!(left(Rows::Any), [1200, 77, 80, 900, 901, 666]);
    }
}
