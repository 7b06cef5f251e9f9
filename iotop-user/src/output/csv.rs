//! CSV (RFC 4180, lines end in LF): a header line once, then a line for each row and
//! interval. An unknown value is empty. No text is a formula for a spreadsheet.

use std::{borrow::Cow, io};

use super::ndjson::seconds;
use crate::{
    escape::escape,
    sample::{Sample, rfc3339},
    view::{Row, Value, fields::Field},
};

/// The columns before the fields.
const FIRST: [&str; 3] = ["seq", "time", "interval_s"];

/// Prints samples as CSV.
#[derive(Debug)]
pub struct Csv {
    fields: Vec<&'static Field>,
    header_printed: bool,
}

impl Csv {
    /// CSV with these fields.
    pub fn new(fields: Vec<&'static Field>) -> Csv {
        Csv {
            fields,
            header_printed: false,
        }
    }

    /// Formats one interval. The first one starts with the header.
    ///
    /// # Errors
    ///
    /// Those of the csv crate; none is expected.
    pub fn format(&mut self, sample: &Sample, rows: &[Row]) -> io::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        if !self.header_printed {
            self.header_printed = true;
            let names = self.fields.iter().map(|field| field.name);
            writer.write_record(FIRST.into_iter().chain(names))?;
        }
        let first = [
            sample.seq.to_string(),
            rfc3339(sample.time),
            seconds(sample.interval).to_string(),
        ];
        for row in rows {
            let values = self.fields.iter().map(|field| raw(field.value(*row)));
            let first = first.iter().map(|value| Cow::Borrowed(value.as_str()));
            writer.write_record(first.chain(values).map(|value| value.into_owned()))?;
        }
        writer.into_inner().map_err(|error| error.into_error())
    }
}

fn raw(value: Value) -> Cow<str> {
    match value {
        Value::Unknown => Cow::Borrowed(""),
        Value::Number(number) => number.to_string().into(),
        Value::Ratio(ratio) => ratio.to_string().into(),
        Value::Flag(flag) => Cow::Borrowed(if flag { "true" } else { "false" }),
        Value::Word(word) => harmless(&escape(&word)).into(),
    }
}

/// A text that no spreadsheet takes for a formula: if it begins as one, an apostrophe comes
/// first (OWASP, CSV Injection). Tabs and carriage returns, after which a formula may begin too,
/// are escaped.
pub(crate) fn harmless(text: &str) -> String {
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    match text.starts_with(FORMULA) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        golden,
        view::{fields, sort::rows},
    };

    fn records(text: &[u8]) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(text);
        reader
            .records()
            .map(|record| record.expect("CSV").iter().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn the_header_comes_once() {
        let sample = golden::sample();
        let mut csv = Csv::new(fields::all(None));
        let mut text = csv.format(&sample, &rows(&sample)).expect("written");
        text.extend(csv.format(&sample, &rows(&sample)).expect("written"));
        let records = records(&text);
        assert_eq!(records.len(), 1 + 2 * sample.tasks.len());
        assert_eq!(records[0][..4], ["seq", "time", "interval_s", "pid"]);
        assert_eq!(
            records.iter().filter(|record| record[0] == "seq").count(),
            1
        );
    }

    #[test]
    fn unknown_is_empty_and_never_zero() {
        let sample = golden::without_ebpf();
        let columns = ["caused", "io", "lag", "read_bytes"];
        let fields = columns.map(|name| fields::find(name).expect("a field"));
        let mut csv = Csv::new(fields.to_vec());
        let text = csv.format(&sample, &rows(&sample)).expect("written");
        assert_eq!(records(&text)[1][3..], ["", "", "", "0"]);
    }

    proptest! {
        #[test]
        fn any_command_is_one_value_on_one_line(name in any::<String>()) {
            let mut sample = golden::sample();
            sample.tasks.truncate(1);
            sample.tasks[0].cmdline = Some(name.as_str().into());
            let mut csv = Csv::new(vec![fields::find("cmdline").expect("a field")]);
            let text = csv.format(&sample, &rows(&sample)).expect("written");
            prop_assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 2);
            let records = records(&text);
            let value = &records[1][3];
            let shown = value.strip_prefix('\'').unwrap_or(value);
            let escaped = escape(&name).into_owned();
            prop_assert_eq!(shown, escaped.strip_prefix('\'').unwrap_or(&escaped));
            prop_assert!(!value.starts_with(['=', '+', '-', '@', '\t', '\r']));
        }
    }

    fn cell_of(cmdline: &str) -> String {
        let mut sample = golden::sample();
        sample.tasks.truncate(1);
        sample.tasks[0].cmdline = Some(cmdline.into());
        let mut csv = Csv::new(vec![fields::find("cmdline").expect("a field")]);
        let text = csv.format(&sample, &rows(&sample)).expect("written");
        records(&text)[1][3].clone()
    }

    #[test]
    fn text_is_never_a_formula_and_numbers_stay_numbers() {
        for formula in ["=1+1", "+1", "-bash", "@sum(a1)", "＝1"] {
            assert_eq!(cell_of(formula), format!("'{formula}"));
        }
        assert_eq!(cell_of("\t=1+1"), "\\t=1+1");
        assert_eq!(cell_of("a=b"), "a=b");
        assert_eq!(raw(Value::Number(7)), "7");
        assert_eq!(raw(Value::Ratio(-0.5)), "-0.5");
    }

    /// Python's csv module takes 131,072 characters, spreadsheets 32,767.
    #[test]
    fn a_cell_is_short_enough_for_readers() {
        for hostile in ["\x1b", "=", "\"", "\u{e0041}"] {
            assert!(cell_of(&hostile.repeat(1 << 18)).len() <= 4104);
        }
    }
}
