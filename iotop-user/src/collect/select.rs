//! Drops the tasks that are not wanted from a sample.

use super::{Chosen, Rows};
use crate::sample::{Sample, Task};

/// Keeps only the tasks of the chosen processes and users; of all, if none is chosen. The
/// system's totals remain those of the whole machine.
pub fn of_wanted(sample: &mut Sample, chosen: &[Chosen], uids: &[u32]) {
    if chosen.is_empty() && uids.is_empty() {
        return;
    }
    let by_pid = |task: &Task| chosen.is_empty() || chosen.iter().any(|one| one.has(task));
    let by_user = |task: &Task| uids.is_empty() || task.uid.is_some_and(|uid| uids.contains(&uid));
    sample.keep_tasks(|task| by_pid(task) && by_user(task));
}

/// Keeps only the tasks that are worth a row.
pub fn worth_a_row(sample: &mut Sample, rows: Rows) {
    if rows != Rows::All {
        sample.keep_tasks(|task| rows.has(task));
    }
}

/// Leaves at most `most` exited tasks a row of their own.
pub fn few_exited(sample: &mut Sample, most: usize) {
    let Some(index) = sample.share_rows_of_exited(most) else {
        return;
    };
    for fact in &mut sample.facts {
        fact.owner = fact.owner.map(|n| index[n]);
        fact.submitter = fact.submitter.map(|n| index[n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn kept(rows: Rows) -> Vec<u32> {
        let mut sample = golden::sample();
        sample.tasks[2].stats.read_char = Some(5);
        worth_a_row(&mut sample, rows);
        sample.tasks.iter().map(|task| task.tid).collect()
    }

    #[test]
    fn facts_follow_the_tasks_that_share_a_row() {
        let mut sample = golden::sample();
        for task in &mut sample.tasks {
            task.exited = true;
        }
        let written = |sample: &Sample| {
            let written = |n| {
                let facts = sample
                    .facts
                    .iter()
                    .filter(move |fact| fact.owner == Some(n));
                facts.map(|fact| fact.of_owner().write()).sum::<u64>()
            };
            let by_facts: Vec<u64> = (0..sample.tasks.len()).map(written).collect();
            let blocks = sample.tasks.iter().map(|task| task.block);
            let by_rows: Vec<u64> = blocks.map(|block| block.map_or(0, |b| b.write())).collect();
            (by_facts, by_rows)
        };
        let before: u64 = written(&sample).1.iter().sum();
        few_exited(&mut sample, 1);
        let (by_facts, by_rows) = written(&sample);
        assert!(
            sample.tasks.len() < 5 && by_facts == by_rows,
            "{by_facts:?} {by_rows:?}"
        );
        assert_eq!(by_rows.iter().sum::<u64>(), before);
    }

    #[test]
    fn each_choice_of_rows_keeps_its_tasks() {
        assert_eq!(kept(Rows::All), [1200, 77, 80, 900, 901, 666]);
        assert_eq!(kept(Rows::Disk), [1200, 77, 900, 901, 666]);
        assert_eq!(kept(Rows::Any), [1200, 77, 80, 900, 901, 666]);
    }
}
