//! Rows of the table that are not written yet, by column.

use std::{collections::HashMap, io::Write};

use parquet::{
    data_type::{BoolType, ByteArray, ByteArrayType, Int32Type, Int64Type},
    errors::Result,
    file::writer::{SerializedColumnWriter, SerializedFileWriter},
};

use super::columns::{COLUMNS, Cell, Type};
use crate::export::fact_rows::FactRow;

/// A row group has at most so many rows, and texts of so many bytes.
const ROWS: usize = 64 * 1024;
const TEXTS: usize = 32 << 20;

/// The values of a column that are not NULL.
enum Values {
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Text(Vec<ByteArray>),
}

impl Values {
    fn new(r#type: Type) -> Values {
        match r#type {
            Type::Bool => Values::Bool(Vec::new()),
            Type::U32 => Values::I32(Vec::new()),
            Type::U64 | Type::Time => Values::I64(Vec::new()),
            Type::Text => Values::Text(Vec::new()),
        }
    }
}

/// A row group that is being filled.
pub(super) struct Table {
    rows: usize,
    columns: Vec<(Values, Vec<i16>)>,
    /// Each text once, and their length.
    texts: HashMap<Box<str>, ByteArray>,
    length: usize,
}

impl Table {
    pub fn new() -> Table {
        let columns = COLUMNS.iter();
        let columns = columns.map(|column| (Values::new(column.r#type), Vec::new()));
        Table {
            rows: 0,
            columns: columns.collect(),
            texts: HashMap::new(),
            length: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn is_full(&self) -> bool {
        self.rows >= ROWS || self.length >= TEXTS
    }

    pub fn push(&mut self, row: &FactRow) {
        self.rows += 1;
        for (column, (values, levels)) in COLUMNS.iter().zip(&mut self.columns) {
            let cell = (column.cell)(row);
            levels.push(i16::from(cell.is_some()));
            // Parquet keeps unsigned numbers as the signed ones with the same bits.
            match (values, cell) {
                (_, None) => {}
                (Values::Bool(values), Some(Cell::Bool(value))) => values.push(value),
                (Values::I32(values), Some(Cell::U32(n))) => values.push(n.cast_signed()),
                (Values::I64(values), Some(Cell::U64(n))) => values.push(n.cast_signed()),
                (Values::I64(values), Some(Cell::Time(n))) => values.push(n),
                (Values::Text(values), Some(Cell::Text(text))) => {
                    if let Some(known) = self.texts.get(&*text) {
                        values.push(known.clone());
                        continue;
                    }
                    self.length += text.len();
                    let new = ByteArray::from(&*text);
                    values.push(new.clone());
                    self.texts.insert(text.into(), new);
                }
                (_, Some(_)) => unreachable!("{} is of another type", column.name),
            }
        }
    }

    /// Writes the rows as a row group.
    pub fn write<W: Write + Send>(&self, file: &mut SerializedFileWriter<W>) -> Result<()> {
        let mut group = file.next_row_group()?;
        for (values, levels) in &self.columns {
            let Some(mut column) = group.next_column()? else {
                break;
            };
            write(&mut column, values, levels)?;
            column.close()?;
        }
        group.close()?;
        Ok(())
    }
}

fn write(column: &mut SerializedColumnWriter, values: &Values, levels: &[i16]) -> Result<()> {
    let levels = Some(levels);
    match values {
        Values::Bool(values) => {
            let column = column.typed::<BoolType>();
            column.write_batch(values, levels, None)?
        }
        Values::I32(values) => {
            let column = column.typed::<Int32Type>();
            column.write_batch(values, levels, None)?
        }
        Values::I64(values) => {
            let column = column.typed::<Int64Type>();
            column.write_batch(values, levels, None)?
        }
        Values::Text(values) => {
            let column = column.typed::<ByteArrayType>();
            column.write_batch(values, levels, None)?
        }
    };
    Ok(())
}
