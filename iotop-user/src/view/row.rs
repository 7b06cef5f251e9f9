//! A row of an output, which is a task or a group, and the values that its fields may have.

use std::borrow::Cow;

use crate::sample::{Group, Task, TaskBlock, TaskCounters};

/// One line of a table.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// A thread or process.
    Task(&'a Task),
    /// Tasks or facts with something in common.
    Group(&'a Group),
}

impl<'a> Row<'a> {
    /// The task, if the row is one.
    pub fn task(self) -> Option<&'a Task> {
        match self {
            Row::Task(task) => Some(task),
            Row::Group(_) => None,
        }
    }

    /// The group, if the row is one.
    pub fn group(self) -> Option<&'a Group> {
        match self {
            Row::Task(_) => None,
            Row::Group(group) => Some(group),
        }
    }

    /// The task counters.
    pub fn stats(self) -> &'a TaskCounters {
        match self {
            Row::Task(task) => &task.stats,
            Row::Group(group) => &group.stats,
        }
    }

    /// The block I/O that the kernel half counted; `None` without eBPF.
    pub fn block(self) -> Option<&'a TaskBlock> {
        match self {
            Row::Task(task) => task.block.as_ref(),
            Row::Group(group) => group.block.as_ref(),
        }
    }
}

/// A field's value in a row, before it is formatted.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// The value is not known, or there is none.
    Unknown,
    /// Bytes, nanoseconds, a count or an identifier.
    Number(u64),
    /// How many times as much one thing is as another; finite.
    Ratio(f64),
    /// Yes or no.
    Flag(bool),
    /// Text, not escaped.
    Word(Cow<'a, str>),
}

impl From<Option<u64>> for Value<'_> {
    fn from(number: Option<u64>) -> Self {
        number.map_or(Value::Unknown, Value::Number)
    }
}

impl From<Option<u32>> for Value<'_> {
    fn from(number: Option<u32>) -> Self {
        number.map(u64::from).into()
    }
}

impl From<Option<bool>> for Value<'_> {
    fn from(flag: Option<bool>) -> Self {
        flag.map_or(Value::Unknown, Value::Flag)
    }
}

impl<'a> From<Option<Cow<'a, str>>> for Value<'a> {
    fn from(word: Option<Cow<'a, str>>) -> Self {
        word.map_or(Value::Unknown, Value::Word)
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(word: Option<&'a str>) -> Self {
        word.map(Cow::Borrowed).into()
    }
}
