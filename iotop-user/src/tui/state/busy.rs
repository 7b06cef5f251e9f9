//! Which columns had anything to show lately. The others give way where there is no room.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use crate::view::{Field, Row, Value};

/// How long a column counts as busy after its last value that is not 0.
const STAY: Duration = Duration::from_secs(30);
/// How many rows are looked at. The first rows are the busiest, and no screen is longer.
const ROWS: usize = 200;

/// When each column last had a value that was known and not 0.
#[derive(Debug, Default)]
pub struct Busy(HashMap<&'static str, Timestamp>);

impl Busy {
    /// Looks at the rows of an interval that ended at `time`.
    pub fn look<'a>(
        &mut self,
        time: Timestamp,
        rows: impl Iterator<Item = Row<'a>> + Clone,
        columns: impl Iterator<Item = &'static Field>,
    ) {
        for field in columns {
            let says = |row: Row<'_>| match field.value(row) {
                Value::Unknown => false,
                Value::Number(number) => number != 0,
                Value::Ratio(ratio) => ratio != 0.0,
                Value::Flag(flag) => flag,
                Value::Word(_) => true,
            };
            if rows.clone().take(ROWS).any(says) {
                self.0.insert(field.name, time);
            }
        }
        self.0
            .retain(|_, then| time.duration_since(*then).unsigned_abs() < STAY);
    }

    /// Whether the column had anything to show lately.
    pub fn has(&self, field: &Field) -> bool {
        self.0.contains_key(field.name)
    }
}

#[cfg(test)]
impl Busy {
    /// Every column has something to show.
    pub fn everything() -> Busy {
        let fields = crate::view::FIELDS.iter();
        Busy(fields.map(|field| (field.name, Timestamp::MAX)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        golden,
        view::{FIELDS, fields, sort},
    };

    #[test]
    fn a_column_is_busy_for_a_while_after_its_last_value() {
        let mut busy = Busy::default();
        let mut sample = golden::flushed();
        let mut look = |sample: &crate::sample::Sample, after| {
            let time = sample.time + Duration::from_secs(after);
            busy.look(time, sort::rows(sample).into_iter(), FIELDS.iter());
            ["caused_bytes", "amplification", "user"]
                .map(|name| busy.has(fields::find(name).expect("a field")))
        };
        // Nobody made a write call: the amplification is unknown for all.
        assert_eq!(look(&sample, 0), [true, false, true]);
        sample.tasks.truncate(0);
        assert_eq!(look(&sample, 29), [true, false, true]);
        assert_eq!(look(&sample, 30), [false, false, false]);
    }
}
