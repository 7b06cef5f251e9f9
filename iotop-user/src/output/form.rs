//! The formats of batch output. Each implements [`Form`].

use std::io;

use bytes::BytesMut;
use clap::ValueEnum;

use super::{Csv, Explain, Table, ndjson};
use crate::{
    sample::Sample,
    view::{By, Field, Row, fields},
};

/// A machine-readable format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Export {
    /// One JSON object per line (version 1)
    Ndjson,
    /// A header, then a line per task (or group) and interval, without system totals
    Csv,
}

impl Export {
    /// The form that prints this format, for rows grouped by `by` and with the chosen
    /// fields.
    pub fn form(self, by: Option<By>, chosen: Option<&[&'static Field]>) -> Box<dyn Form> {
        match self {
            Export::Ndjson => Box::new(Ndjson(by)),
            Export::Csv => Box::new(Csv::new(match chosen {
                Some(chosen) => chosen.to_vec(),
                None => fields::all(by),
            })),
        }
    }
}

/// A format that prints samples.
pub trait Form {
    /// Appends the lines of a sample. `last` says that no other sample follows.
    ///
    /// # Errors
    ///
    /// Those of the library that writes the format; none is expected.
    fn print(
        &mut self,
        sample: &Sample,
        rows: &[Row],
        last: bool,
        buffer: &mut BytesMut,
    ) -> io::Result<()>;

    /// Whether its lines say what was lost.
    fn tells_losses(&self) -> bool {
        true
    }

    /// Whether its lines say that a chosen process has ended.
    fn tells_ends(&self) -> bool {
        false
    }

    /// Whether it is for people. If so, rows that moved most come first unless the user
    /// sorts.
    fn is_for_people(&self) -> bool {
        false
    }
}

/// NDJSON keeps nothing from one sample to the next.
struct Ndjson(Option<By>);

impl Form for Ndjson {
    fn print(
        &mut self,
        sample: &Sample,
        rows: &[Row],
        _: bool,
        buffer: &mut BytesMut,
    ) -> io::Result<()> {
        ndjson(sample, rows, self.0, buffer)
    }
}

impl Form for Csv {
    fn print(
        &mut self,
        sample: &Sample,
        rows: &[Row],
        _: bool,
        buffer: &mut BytesMut,
    ) -> io::Result<()> {
        buffer.extend_from_slice(&self.format(sample, rows)?);
        Ok(())
    }

    fn tells_losses(&self) -> bool {
        false
    }
}

impl Form for Table {
    fn print(
        &mut self,
        sample: &Sample,
        rows: &[Row],
        _: bool,
        buffer: &mut BytesMut,
    ) -> io::Result<()> {
        let text = self.format(sample, rows, terminal_width());
        buffer.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn tells_losses(&self) -> bool {
        self.has_totals()
    }

    fn tells_ends(&self) -> bool {
        self.has_totals()
    }

    fn is_for_people(&self) -> bool {
        true
    }
}

impl Form for Explain {
    fn print(
        &mut self,
        sample: &Sample,
        _: &[Row],
        last: bool,
        buffer: &mut BytesMut,
    ) -> io::Result<()> {
        buffer.extend_from_slice(self.format(sample, last).as_bytes());
        Ok(())
    }
}

/// Width of the terminal; `None` if standard output is not a terminal.
fn terminal_width() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(io::stdout())?;
    Some(usize::from(width.0))
}
