//! A value as one word of text.

use std::time::Duration;

use super::units;
use crate::{
    escape::escape,
    view::{
        Row, Value,
        fields::{Field, Kind},
    },
};

/// How the counters of an interval are shown.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Length of the interval.
    pub interval: Duration,
    /// The counters are totals, which are not divided by the interval.
    pub accumulated: bool,
    /// All bytes in kilobytes.
    pub kilobytes: bool,
}

impl Scale {
    /// A field of a row as text. `last` says that nothing follows on the line, so that
    /// a name may contain spaces.
    pub fn cell(&self, field: &Field, row: Row, last: bool) -> String {
        match (field.kind, field.value(row)) {
            (Kind::Flag, Value::Flag(true)) => field.header.to_lowercase(),
            (_, Value::Word(word)) => name(&word, last),
            (kind, Value::Number(number)) => self.number(kind, number),
            (_, Value::Ratio(ratio)) => units::ratio(ratio),
            _ => units::UNKNOWN.to_owned(),
        }
    }

    fn number(&self, kind: Kind, number: u64) -> String {
        match kind {
            Kind::Bytes => self.rate(Some(number)),
            Kind::Level => self.bytes(number as f64),
            Kind::Count if self.accumulated => number.to_string(),
            Kind::Count if self.interval.is_zero() => units::UNKNOWN.to_owned(),
            Kind::Count => format!("{:.1}/s", number as f64 / self.interval.as_secs_f64()),
            Kind::Share => units::percent(Duration::from_nanos(number), self.interval),
            Kind::Span => units::duration(Duration::from_nanos(number)),
            Kind::Id | Kind::Word | Kind::Flag | Kind::Ratio => number.to_string(),
        }
    }

    /// Bytes per second, or all bytes if the counters are totals.
    pub fn rate(&self, bytes: Option<u64>) -> String {
        let Some(bytes) = bytes else {
            return units::UNKNOWN.to_owned();
        };
        if self.accumulated {
            return self.bytes(bytes as f64);
        }
        if self.interval.is_zero() {
            return units::UNKNOWN.to_owned();
        }
        format!(
            "{}/s",
            self.bytes(bytes as f64 / self.interval.as_secs_f64())
        )
    }

    fn bytes(&self, bytes: f64) -> String {
        units::bytes(bytes, self.kilobytes)
    }
}

/// A name without characters that could move the cursor. It is one word, unless
/// `spaces` allows spaces. A name of blanks alone is always made one word: it would be
/// none otherwise.
fn name(name: &str, spaces: bool) -> String {
    if name.is_empty() {
        units::UNKNOWN.to_owned()
    } else if spaces && !name.trim().is_empty() {
        escape(name).into_owned()
    } else {
        escape(name).replace(char::is_whitespace, "_")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        golden,
        sample::Task,
        view::{FIELDS, fields},
    };

    const SCALE: Scale = Scale {
        interval: Duration::from_secs(2),
        accumulated: false,
        kilobytes: false,
    };

    #[test]
    fn counts_are_rates_or_totals() {
        let task = Task {
            stats: crate::sample::TaskCounters {
                read_syscalls: Some(3),
                ..Default::default()
            },
            ..Task::default()
        };
        let field = fields::find("read_syscalls").expect("a field");
        assert_eq!(SCALE.cell(field, Row::Task(&task), false), "1.5/s");
        let all = Scale {
            accumulated: true,
            ..SCALE
        };
        assert_eq!(all.cell(field, Row::Task(&task), false), "3");
    }

    #[test]
    fn every_field_of_every_row_is_one_word() {
        for task in &golden::sample().tasks {
            for field in FIELDS {
                let cell = SCALE.cell(field, Row::Task(task), false);
                assert_eq!(cell.split_whitespace().count(), 1, "{field:?}: {cell:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_name_is_one_word(text in any::<String>()) {
            let name = name(&text, false);
            prop_assert_eq!(name.split_whitespace().count(), 1, "{:?}", name);
        }

        #[test]
        fn any_last_name_is_at_least_one_word(text in "\\PC*|[ \u{a0}\u{3000}]*") {
            let name = name(&text, true);
            prop_assert!(name.split_whitespace().count() >= 1, "{:?}", name);
        }
    }
}
