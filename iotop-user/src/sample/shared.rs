//! Rows that samples share. An idle task has the same row in every sample, which saves
//! memory and copying.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::Task;

/// A task's row. Cloning it copies a pointer; writing to it copies the row first if it is
/// shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SharedTask(Arc<Task>);

impl SharedTask {
    /// The row itself, or a copy if it is shared.
    pub fn into_task(self) -> Task {
        Arc::unwrap_or_clone(self.0)
    }

    /// True if both point to the same row.
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
    fn writing_to_a_shared_row_does_not_change_the_other_samples_row() {
        let idle = SharedTask::from(Task::default());
        let mut busy = idle.clone();
        busy.tid = 7;
        assert_eq!((idle.tid, busy.tid), (0, 7));
    }
}
