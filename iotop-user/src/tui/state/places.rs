//! Where things are on the screen.

use std::ops::Range;

use crate::view::Field;

/// Where things were drawn, for the mouse and for paging.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// The table's head.
    pub head: Option<u16>,
    /// The first line of what can be moved.
    pub top: u16,
    /// How many lines of it are visible.
    pub lines: usize,
    /// How many there are.
    pub length: usize,
    /// The first that is visible.
    pub first: usize,
    /// The columns of the table.
    pub columns: Vec<(Range<u16>, &'static Field)>,
}

impl Places {
    /// The field of the column there.
    pub fn column_at(&self, x: u16) -> Option<&'static Field> {
        let column = self.columns.iter().find(|(range, _)| range.contains(&x));
        column.map(|(_, field)| *field)
    }

    /// The line there, counted from the first visible one.
    pub fn line_at(&self, y: u16) -> Option<usize> {
        let line = usize::from(y.checked_sub(self.top)?);
        (line < self.lines).then_some(line)
    }
}
