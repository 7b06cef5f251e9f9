//! Where things are on the screen.

use std::ops::Range;

use crate::view::Field;

/// Where things were drawn, for the mouse and for paging.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Line of the table's header.
    pub head: Option<u16>,
    /// First line of the part that scrolls.
    pub top: u16,
    /// Number of its visible lines.
    pub lines: usize,
    /// Number of all its lines.
    pub length: usize,
    /// Index of the first visible line.
    pub first: usize,
    /// The table's columns: where they are and what they show.
    pub columns: Vec<(Range<u16>, &'static Field)>,
}

impl Places {
    /// The field of the column at `x`.
    pub fn column_at(&self, x: u16) -> Option<&'static Field> {
        let column = self.columns.iter().find(|(range, _)| range.contains(&x));
        column.map(|(_, field)| *field)
    }

    /// The line at `y`, counted from the first visible one.
    pub fn line_at(&self, y: u16) -> Option<usize> {
        let line = usize::from(y.checked_sub(self.top)?);
        (line < self.lines).then_some(line)
    }
}
