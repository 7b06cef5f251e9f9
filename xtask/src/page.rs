//! The place of a table that a task makes, in a page of docs/.

use anyhow::{Context, Result, ensure};

const END: &str = "<!-- end -->\n";

/// A table's place.
pub struct Place {
    /// The page.
    pub page: &'static str,
    /// The line before the table.
    pub begin: &'static str,
}

impl Place {
    /// The page's text with this table in place of the one it has.
    pub fn put(&self, text: &str, table: &str) -> Result<String> {
        let Place { page, begin } = self;
        let (before, rest) = text
            .split_once(begin)
            .with_context(|| format!("{page} has no place for the table"))?;
        let (_, behind) = rest
            .split_once(END)
            .with_context(|| format!("the table in {page} does not end"))?;
        ensure!(!behind.contains(begin), "{page} has two tables");
        Ok(format!("{before}{begin}{table}{END}{behind}"))
    }
}
