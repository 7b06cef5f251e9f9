//! A recording as one table for SQL: a row for each interval, owner, submitter, device, file and
//! class, with its bytes. Unattributed bytes are rows without an owner, so the bytes of all rows are
//! those of the system.

mod columns;
mod table;

use std::{io::Write, sync::Arc};

use parquet::{
    basic::{Compression, ZstdLevel},
    errors::Result,
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::{parser::parse_message_type, types::TypePtr},
};
use serde_json::{Map, Value};

pub use self::columns::{COLUMNS, Column, Type};
use self::table::Table;
use super::fact_rows::fact_rows;
use crate::{
    host::devices::DeviceNames,
    sample::{Lost, Sample, nanoseconds, rfc3339},
};

/// The version of the table. Columns may be added without a new one.
const VERSION: u32 = 1;

/// Writes the table while samples come, a row group at a time.
pub struct Export<W: Write + Send> {
    file: SerializedFileWriter<W>,
    table: Table,
    coverage: Coverage,
}

/// What the samples cover. Rows can't say it: an interval without I/O has none.
#[derive(Debug, Default)]
struct Coverage {
    start: Option<String>,
    end: Option<String>,
    ns: u64,
    samples: u64,
    untraced: u64,
    lost: Lost,
}

impl<W: Write + Send> Export<W> {
    /// Begins the file.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub fn new(out: W) -> Result<Export<W>> {
        let level = ZstdLevel::try_new(3)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_created_by(format!("iotop-trace {}", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Export {
            file: SerializedFileWriter::new(out, schema()?, Arc::new(properties))?,
            table: Table::new(),
            coverage: Coverage::default(),
        })
    }

    /// Adds the rows of a sample. Its tasks must not be grouped, filtered or accumulated.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn add(&mut self, sample: &Sample, names: &mut DeviceNames) -> Result<()> {
        self.coverage.add(sample);
        for row in fact_rows(sample, names) {
            self.table.push(&row);
            if self.table.is_full() {
                self.write_rows()?;
            }
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub fn finish(mut self) -> Result<()> {
        if !self.table.is_empty() {
            self.write_rows()?;
        }
        for (key, value) in self.coverage.parts() {
            let key = format!("iotop_trace.{key}");
            let value = KeyValue::new(key, value);
            self.file.append_key_value_metadata(value);
        }
        self.file.close()?;
        Ok(())
    }

    fn write_rows(&mut self) -> Result<()> {
        self.table.write(&mut self.file)?;
        self.table = Table::new();
        self.file.flush()?;
        Ok(())
    }
}

impl Coverage {
    fn add(&mut self, sample: &Sample) {
        let start = sample.time.checked_sub(sample.interval);
        self.start
            .get_or_insert_with(|| rfc3339(start.unwrap_or(sample.time)));
        self.end = Some(rfc3339(sample.time));
        self.ns = self.ns.saturating_add(nanoseconds(sample.interval));
        self.samples += 1;
        self.untraced += u64::from(sample.system.block.is_none());
        self.lost = self.lost + sample.system.lost;
    }

    fn parts(self) -> [(&'static str, String); 7] {
        let lost = self.lost.parts();
        let lost = lost.map(|(loss, n)| (loss.name().to_owned(), Value::from(n)));
        [
            ("version", VERSION.to_string()),
            ("start", self.start.unwrap_or_default()),
            ("end", self.end.unwrap_or_default()),
            ("covered_ns", self.ns.to_string()),
            ("samples", self.samples.to_string()),
            ("untraced_samples", self.untraced.to_string()),
            ("lost", Value::Object(Map::from_iter(lost)).to_string()),
        ]
    }
}

fn schema() -> Result<TypePtr> {
    let columns = COLUMNS.iter().map(|column| {
        let (physical, meaning) = column.r#type.in_schema();
        format!("OPTIONAL {physical} {} {meaning};", column.name)
    });
    let columns: String = columns.collect();
    Ok(Arc::new(parse_message_type(&format!(
        "message iotop_trace {{ {columns} }}"
    ))?))
}

#[cfg(test)]
mod tests;
