//! Rows that samples share: a task that does nothing has the same row in each.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::Task;

/// A task's row. Cloning it copies a pointer. Whoever writes to it gets a row of
/// its own first, if another sample has it too.
#[derive(Clone, Debug, Default)]
pub struct SharedTask(Arc<Task>);

impl SharedTask {
    /// The row itself; a copy where another sample has it too.
    pub fn into_task(self) -> Task {
        Arc::unwrap_or_clone(self.0)
    }

    /// Whether both are one.
    pub fn is(&self, other: &SharedTask) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<Task> for SharedTask {
    fn from(task: Task) -> SharedTask {
        SharedTask(Arc::new(task))
    }
}

impl Deref for SharedTask {
    type Target = Task;

    fn deref(&self) -> &Task {
        &self.0
    }
}

impl DerefMut for SharedTask {
    fn deref_mut(&mut self) -> &mut Task {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_written_to_leaves_the_other_sample_s_as_it_is() {
        let idle = SharedTask::from(Task::default());
        let mut busy = idle.clone();
        busy.tid = 7;
        assert_eq!((idle.tid, busy.tid), (0, 7));
    }
}
