//! Times in the form that the exports use.

use std::time::Duration;

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};

const TIME: DateTimePrinter = DateTimePrinter::new().precision(Some(6));

/// RFC 3339 in UTC with microseconds.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    TIME.timestamp_to_string(&time)
}

/// Nanoseconds, at most `u64::MAX`.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
