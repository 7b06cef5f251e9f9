//! The record, and the table of it in docs/coverage.md. The table is made from the
//! record, never by hand.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::report::Report;
use super::table;
use crate::page::Place;
use crate::workspace;

const PAGE: &str = "docs/coverage.md";
const RECORD: &str = "tests/coverage.json";

const PLACE: Place = Place {
    page: PAGE,
    begin: "<!-- made by `cargo xtask bench coverage --record` -->\n",
};

pub fn record(report: &Report) -> Result<()> {
    write(RECORD, &(serde_json::to_string_pretty(report)? + "\n"))?;
    write(PAGE, &PLACE.put(&read(PAGE)?, &table::markdown(report))?)
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

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    #[test]
    fn the_page_has_the_table_of_the_record() -> Result<()> {
        let page = read(PAGE)?;
        let made = PLACE.put(
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
