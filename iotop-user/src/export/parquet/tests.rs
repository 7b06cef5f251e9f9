//! The table of made-up samples, read back: every byte, every column.

use std::time::Duration;

use bytes::Bytes;
use parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};

use super::*;
use crate::golden;

fn exported(samples: &[Sample]) -> Bytes {
    let mut names = DeviceNames::new("/nonexistent".as_ref());
    let mut out = Vec::new();
    let mut export = Export::new(&mut out).expect("begun");
    for sample in samples {
        export.add(sample, &mut names).expect("added");
    }
    export.finish().expect("finished");
    out.into()
}

#[test]
fn what_is_read_back_has_every_byte_and_a_null_owner_where_there_is_none() {
    let samples = [golden::sample(), golden::journaled()];
    let file = SerializedFileReader::new(exported(&samples)).expect("a file");
    let [mut written, mut unowned] = [0, 0];
    for row in file.get_row_iter(None).expect("rows") {
        let row = row.expect("a row");
        let mut cells = row.get_column_iter();
        let mut cell = |name: &str| {
            let found = cells.find(|(column, _)| *column == name);
            found.expect("the columns are in their order").1.clone()
        };
        let (operation, bytes) = (cell("operation"), cell("bytes"));
        let Field::ULong(bytes) = bytes else {
            panic!("{bytes:?}");
        };
        if operation == Field::Str("write".into()) {
            written += bytes;
            let comm = cell("comm");
            unowned += if comm == Field::Null { bytes } else { 0 };
        }
    }
    let blocks = || samples.iter().filter_map(|sample| sample.system.block);
    assert_eq!(written, blocks().map(|block| block.write).sum::<u64>());
    let without = blocks().map(|block| block.unattributed.in_total());
    assert_eq!(unowned, without.sum::<u64>());
    assert_ne!(unowned, 0);
}

#[test]
fn the_file_says_what_its_samples_cover() {
    let mut second = golden::without_ebpf();
    second.time += Duration::from_secs(1);
    let samples = [golden::sample(), second];
    let file = SerializedFileReader::new(exported(&samples)).expect("a file");
    let pairs = file.metadata().file_metadata().key_value_metadata();
    let said = |key: &str| {
        let key = format!("iotop_trace.{key}");
        let pair = pairs.expect("there").iter().find(|pair| pair.key == key);
        pair.and_then(|pair| pair.value.clone()).expect("a value")
    };
    assert_eq!(said("samples"), "2");
    assert_eq!(said("untraced_samples"), "1");
    assert_eq!(said("end"), rfc3339(samples[1].time));
    let covered: u64 = samples.iter().map(|s| nanoseconds(s.interval)).sum();
    assert_eq!(said("covered_ns"), covered.to_string());
    assert!(said("lost").contains("\"facts\":"), "{}", said("lost"));
}

/// A row group is a limit of the memory that is taken.
#[test]
fn many_rows_are_written_in_several_row_groups() {
    let mut sample = golden::sample();
    let fact = sample.facts[0];
    sample.facts = (0..70_000)
        .map(|n| crate::sample::BlockFact { ino: n, ..fact })
        .collect();
    sample.system.block = None;
    let file = SerializedFileReader::new(exported(&[sample])).expect("a file");
    let groups = file.metadata().row_groups();
    let rows: Vec<i64> = groups.iter().map(|group| group.num_rows()).collect();
    assert_eq!(rows, [65_536, 70_000 - 65_536]);
}

#[test]
fn the_reference_has_every_column() {
    let reference = include_str!("../../../../docs/output.md");
    for column in COLUMNS {
        let line = format!(
            "| `{}` | {} | {} |",
            column.name,
            column.r#type.name(),
            column.meaning
        );
        assert!(reference.contains(&line), "docs/output.md lacks\n{line}");
    }
}
