//! Everything that was measured, as `--json` has it and as it is recorded.

use serde::{Deserialize, Serialize};

use super::row::Row;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub kernel: String,
    pub rows: Vec<Row>,
    /// What went wrong, for each row that could not be measured.
    pub failed: Vec<String>,
    pub not_run: Vec<NotRun>,
}

/// A load whose program is missing.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRun {
    pub load: String,
    pub program: String,
    /// Debian's package that has the program.
    pub package: String,
}
