//! Rows that would repeat what they said before. An exited task stays in the samples while its
//! pages are dirty, for half a minute and longer; after some thousand forks, such rows would be
//! most of the output.

use std::collections::HashMap;

use crate::{
    sample::{Sample, Task, TaskKey},
    view::Row,
};

/// What the last line of each exited task said.
#[derive(Debug, Default)]
pub struct Repeated(HashMap<TaskKey, Option<u64>>);

impl Repeated {
    /// Takes out the exited tasks of which nothing changed: no counter moved, and as much is
    /// pending as in the last line. Expects every sample that is printed.
    pub fn take_out(&mut self, sample: &Sample, rows: &mut Vec<Row>) {
        let before = std::mem::take(&mut self.0);
        let exited = sample.tasks.iter().filter(|task| task.exited);
        self.0 = exited.map(|task| (task.key(), pending(task))).collect();
        rows.retain(|row| {
            row.task().is_none_or(|task| {
                !task.exited || is_active(task) || before.get(&task.key()) != Some(&pending(task))
            })
        });
    }
}

fn pending(task: &Task) -> Option<u64> {
    task.block.and_then(|block| block.dirty_pending)
}

fn is_active(task: &Task) -> bool {
    let counts = task.block.map(|block| [block.throttles, block.syncs]);
    let counts = counts.into_iter().flatten().flatten();
    task.is_active() || counts.sum::<u64>() != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden, sample::TaskBlock, view::sort};

    /// A sample of one exited task with these pending bytes.
    fn sample(pending: u64, dirtied: u64) -> Sample {
        let mut sample = golden::sample();
        sample.facts.clear();
        sample.tasks.truncate(1);
        let task = &mut sample.tasks[0];
        task.exited = true;
        task.stats = task.stats.nothing();
        task.block = Some(TaskBlock {
            dirty_pending: Some(pending),
            dirtied: Some(dirtied),
            ..TaskBlock::zero()
        });
        sample
    }

    /// 52,500 forks made 867,119 lines in 42 s.
    #[test]
    fn an_exited_task_has_a_line_only_if_something_of_it_changed() {
        let mut repeated = Repeated::default();
        let mut lines = |sample: Sample| {
            let mut rows = sort::rows(&sample);
            repeated.take_out(&sample, &mut rows);
            rows.len()
        };
        let first = lines(sample(8192, 8192));
        assert_eq!((first, lines(sample(8192, 0))), (1, 0));
        assert_eq!(lines(sample(4096, 0)), 1, "some pages were written");
        assert_eq!(lines(sample(4096, 4096)), 1, "as many were dirtied");
        assert_eq!(lines(sample(4096, 0)), 0);
        assert_eq!(lines(sample(0, 0)), 1, "the last line");
        assert_eq!(lines(sample(0, 0)), 0);
    }

    #[test]
    fn a_live_task_and_a_group_have_a_line_in_each_interval() {
        let mut live = sample(8192, 0);
        live.tasks[0].exited = false;
        let grouped = golden::grouped(sample(8192, 0), crate::view::By::User);
        for sample in [live, grouped] {
            let mut repeated = Repeated::default();
            for _ in 0..2 {
                let mut rows = sort::rows(&sample);
                repeated.take_out(&sample, &mut rows);
                assert_eq!(rows.len(), 1);
            }
        }
    }
}
