//! Formats samples as text and as machine-readable lines.

pub(crate) mod cell;
mod commits;
pub(crate) mod contributors;
mod csv;
pub(crate) mod dirty_for;
pub(crate) mod explain;
pub(crate) mod flush_line;
mod form;
mod how;
mod losses;
pub(crate) mod moved_lines;
pub(crate) mod ndjson;
mod outlet;
pub(crate) mod raw;
pub(crate) mod reached;
mod repeated;
pub mod run;
pub(crate) mod table;
pub(crate) mod units;
mod wake_line;
pub(crate) mod wakes;
pub(crate) mod whom;
pub(crate) mod why;

use std::io::{self, Write as _};

pub(crate) use contributors::Entry;
pub use csv::Csv;
pub(crate) use csv::harmless;
pub use explain::Explain;
pub use form::{Export, Form};
pub(crate) use losses::grouped;
pub use losses::{losses_named, missing_intervals, nameless};
pub(crate) use ndjson::{ByName, Line, bounded, write_line};
pub use ndjson::{SCHEMA, ndjson};
pub use outlet::{Block, Outlet};
pub use repeated::Repeated;
pub use table::{Table, Text, process_ended};
pub use wakes::Wakes;

/// Whether a write failed because the reader closed the pipe.
pub fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Prints a message to standard error. A failure is ignored: a closed standard error
/// must not end the program.
pub fn say(message: &str) {
    let _ = writeln!(io::stderr(), "iotop-trace: {message}");
}
