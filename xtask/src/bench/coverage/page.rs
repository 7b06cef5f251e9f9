//! The record, and the table of it in docs/coverage.md. The table is made from the
//! record, never by hand.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::report::Report;
use super::table;
use crate::workspace;

const PAGE: &str = "docs/coverage.md";
const RECORD: &str = "tests/coverage.json";

/// Where the table stands in the page.
const BEGIN: &str = "<!-- made by `cargo xtask bench coverage --record` -->\n";
const END: &str = "<!-- end -->\n";

pub fn record(report: &Report) -> Result<()> {
    write(RECORD, &(serde_json::to_string_pretty(report)? + "\n"))?;
    write(PAGE, &put(&read(PAGE)?, &table::markdown(report))?)
}

fn file(name: &str) -> PathBuf {
    workspace::root().join(name)
}

fn read(name: &str) -> Result<String> {
    fs::read_to_string(file(name)).with_context(|| format!("could not read {name}"))
}

fn write(name: &str, text: &str) -> Result<()> {
    fs::write(file(name), text).with_context(|| format!("could not write {name}"))?;
    eprintln!("wrote {name}");
    Ok(())
}

/// The page with this table in place of the one it has.
fn put(page: &str, table: &str) -> Result<String> {
    let (before, rest) = page
        .split_once(BEGIN)
        .with_context(|| format!("{PAGE} has no place for the table"))?;
    let (_, behind) = rest
        .split_once(END)
        .with_context(|| format!("the table in {PAGE} does not end"))?;
    ensure!(!behind.contains(BEGIN), "{PAGE} has two tables");
    Ok(format!("{before}{BEGIN}{table}{END}{behind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_table_of_the_record() -> Result<()> {
        let page = read(PAGE)?;
        let made = put(
            &page,
            &table::markdown(&serde_json::from_str(&read(RECORD)?)?),
        )?;
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            return write(PAGE, &made);
        }
        ensure!(
            page == made,
            "the table is not the record's: `cargo xtask bench coverage --record` makes it, \
             and UPDATE_GOLDEN=1 where only its words changed"
        );
        Ok(())
    }

    /// The committed record itself.
    #[test]
    fn every_recorded_byte_is_accounted_for() -> Result<()> {
        let report: Report = serde_json::from_str(&read(RECORD)?)?;
        for row in report.rows {
            assert!(row.adds_up(), "{row:?}");
        }
        Ok(())
    }
}
