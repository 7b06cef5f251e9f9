//! What is done with a Sample: text and machine-readable lines.

mod escape;
mod ndjson;
mod table;
mod units;

use std::io;

pub use escape::escape;
pub use ndjson::{SCHEMA, ndjson};
pub use table::Table;

/// Whether a write failed because nobody reads any more.
pub fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

#[cfg(test)]
mod golden;
