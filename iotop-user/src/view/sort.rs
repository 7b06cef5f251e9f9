//! The order in which rows are shown.

use std::{
    cmp::{Ordering, Reverse},
    fmt,
    str::FromStr,
};

use super::{
    Row, Value,
    fields::{self, Field, NoField},
};
use crate::sample::Sample;

/// What the rows are sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The field to sort by.
    pub field: &'static Field,
    /// The direction; `None` is the field's default: text rises, all else falls.
    pub direction: Option<Direction>,
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.direction {
            None => "",
            Some(Direction::Rising) => "+",
            Some(Direction::Falling) => "-",
        };
        write!(f, "{sign}{}", self.field.name)
    }
}

/// The direction of sorting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first, A to Z.
    Rising,
    /// Largest first, Z to A.
    Falling,
}

impl FromStr for Sort {
    type Err = NoField;

    /// `KEY`, `+KEY` (rising) or `-KEY` (falling), as in ps.
    fn from_str(text: &str) -> Result<Sort, NoField> {
        let (direction, name) = if let Some(name) = text.strip_prefix('+') {
            (Some(Direction::Rising), name)
        } else if let Some(name) = text.strip_prefix('-') {
            (Some(Direction::Falling), name)
        } else {
            (None, text)
        };
        Ok(Sort {
            field: fields::find(name)?,
            direction,
        })
    }
}

/// The sample's groups, or its tasks if it is not grouped, in the sample's order.
pub fn rows(sample: &Sample) -> Vec<Row<'_>> {
    match &sample.groups {
        Some(groups) => groups.iter().map(Row::Group).collect(),
        None => sample.tasks.iter().map(|task| Row::Task(task)).collect(),
    }
}

/// Sorts by a field. Unknown values come last in both directions.
pub fn by_key(rows: &mut [Row], sort: &Sort) {
    rows.sort_by(|a, b| compare(*a, *b, sort));
}

/// Compares two rows by a field. Unknown values come last in both directions.
pub fn compare(a: Row, b: Row, sort: &Sort) -> Ordering {
    let known = match (sort.field.value(a), sort.field.value(b)) {
        (Value::Unknown, Value::Unknown) => Ordering::Equal,
        (Value::Unknown, _) => Ordering::Greater,
        (_, Value::Unknown) => Ordering::Less,
        (a, b) => directed(&a, &b, sort.direction),
    };
    known.then_with(|| identity(a).cmp(&identity(b)))
}

fn directed(a: &Value, b: &Value, direction: Option<Direction>) -> Ordering {
    let (rising, default) = match (a, b) {
        (Value::Number(a), Value::Number(b)) => (a.cmp(b), Direction::Falling),
        (Value::Ratio(a), Value::Ratio(b)) => (a.total_cmp(b), Direction::Falling),
        (Value::Flag(a), Value::Flag(b)) => (a.cmp(b), Direction::Falling),
        (Value::Word(a), Value::Word(b)) => (a.cmp(b), Direction::Rising),
        // Not reached: all values of a field are of one kind.
        _ => (Ordering::Equal, Direction::Rising),
    };
    match direction.unwrap_or(default) {
        Direction::Rising => rising,
        Direction::Falling => rising.reverse(),
    }
}

/// Sorts by [`weight`], heaviest first. Rows that moved nothing of their own but submitted for
/// others come before the idle ones.
pub fn by_weight(rows: &mut [Row]) {
    let for_others = |row: Row| row.block().map_or(0, |block| block.submitted_for_others);
    rows.sort_by_key(|row| {
        let moved = (weight(*row), for_others(*row));
        (Reverse(moved), identity(*row))
    });
}

/// How many bytes a row wrote, read, dirtied or has pending, added up.
pub fn weight(row: Row) -> u64 {
    let block = row.block().copied().unwrap_or_default();
    let unattributed = row.group().and_then(|group| group.unattributed);
    let moved = [
        block.caused(),
        row.stats().write_bytes.unwrap_or(0),
        row.stats().read_bytes.unwrap_or(block.read),
        block.dirty_pending.unwrap_or(0),
        unattributed.map_or(0, |part| part.in_total()),
    ];
    moved.into_iter().fold(0, u64::saturating_add)
}

/// The order of rows that are otherwise equal.
pub fn identity<'a>(row: Row<'a>) -> (Option<u32>, Option<&'a str>) {
    (
        row.task().map(|task| task.tid),
        row.group().and_then(|group| group.name.as_deref()),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{golden, view::FIELDS};

    fn tids(key: &str) -> Vec<u32> {
        let sample = golden::sample();
        let mut rows = rows(&sample);
        by_key(&mut rows, &key.parse().expect("a key"));
        rows.iter()
            .filter_map(|row| Some(row.task()?.tid))
            .collect()
    }

    #[test]
    fn numbers_fall_and_words_rise_unless_the_sign_says_otherwise() {
        assert_eq!(tids("pid"), [1200, 900, 901, 666, 80, 77]);
        assert_eq!(tids("+tid"), [77, 80, 666, 900, 901, 1200]);
        assert_eq!(tids("-tid"), [1200, 901, 900, 666, 80, 77]);
        assert_eq!(tids("user"), [900, 901, 77, 80, 666, 1200]);
        assert_eq!(tids("-user"), [77, 80, 666, 1200, 900, 901]);
        assert_eq!(tids("exited")[0], 1200);
    }

    #[test]
    fn unknown_values_come_last_in_both_directions() {
        assert_eq!(tids("prio").last(), Some(&1200));
        assert_eq!(tids("-prio").last(), Some(&1200));
        assert_eq!(tids("+lag")[..2], [900, 1200]);
    }

    #[test]
    fn a_key_that_is_not_a_field_is_refused() {
        for key in ["", "-", "+", "--tid", "no_such"] {
            assert!(key.parse::<Sort>().is_err(), "{key}");
        }
    }

    proptest! {
        #[test]
        fn a_sign_and_a_field_are_a_key(at in 0..FIELDS.len(), sign in "[+-]?") {
            let key = format!("{sign}{}", FIELDS[at].name);
            let sort: Sort = key.parse().expect("a key");
            prop_assert_eq!(sort.field, &FIELDS[at]);
            prop_assert_eq!(sort.direction.is_some(), !sign.is_empty());
            prop_assert_eq!(sort.to_string(), key);
        }

        #[test]
        fn sorting_loses_no_row(at in 0..FIELDS.len(), falling: bool) {
            let sample = golden::sample();
            let mut sorted = rows(&sample);
            let direction = if falling { Direction::Falling } else { Direction::Rising };
            by_key(&mut sorted, &Sort { field: &FIELDS[at], direction: Some(direction) });
            let mut tids: Vec<_> = sorted.iter().filter_map(|row| row.task()).map(|t| t.tid).collect();
            tids.sort_unstable();
            prop_assert_eq!(tids, [77, 80, 666, 900, 901, 1200]);
        }
    }
}
