//! A report as tables: for a terminal, and for the documentation.

use std::fmt::Write;

use super::report::Report;
use super::row::Row;
use crate::bench::disk::FileSystem;

const MIB: f64 = (1 << 20) as f64;

const HEADER: [&str; 12] = [
    "file system",
    "load",
    "MiB",
    "own",
    "target",
    "exact",
    "data by estimate",
    "journal",
    "home",
    "tree",
    "to others",
    "unattributed",
];

/// Everything, as text.
pub fn text(report: &Report) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(report.rows.iter().map(cells));
    let width = |column: usize| {
        let widths = rows.iter().map(|cells| cells[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let mut text = format!("Linux {}\n", report.kernel);
    for cells in &rows {
        let padded = cells.iter().zip(&widths);
        let padded: Vec<String> = padded
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        line(&mut text, padded.join("  ").trim_end());
    }
    for note in notes(report) {
        line(&mut text, &note);
    }
    for error in &report.failed {
        line(&mut text, &format!("not measured: {error}"));
    }
    if !report.not_run.is_empty() {
        line(&mut text, &not_run(report));
    }
    text
}

/// The loads that did not run, and what they need.
pub fn not_run(report: &Report) -> String {
    let each = report.not_run.iter().map(|one| {
        format!(
            "not run: {}, which needs {} (package {}); `cargo xtask setup --bench` installs it",
            one.load, one.program, one.package
        )
    });
    each.collect::<Vec<_>>().join("\n")
}

/// What the figures in a row do not say.
fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    for row in &report.rows {
        let name = format!("{}, {}", row.file_system.name(), row.load);
        if !row.adds_up() {
            notes.push(format!(
                "{name}: the tracer has {} bytes, the device {} ({:+})",
                row.traced.written,
                row.device,
                i128::from(row.traced.written) - i128::from(row.device)
            ));
        }
        for (what, bytes) in [
            ("WRITE_ZEROES", row.write_zeroes),
            ("discards", row.discarded),
        ] {
            if bytes > 0 {
                notes.push(format!("{name}: besides {bytes} bytes of {what}"));
            }
        }
        for (what, count) in &row.traced.lost {
            notes.push(format!("{name}: lost {what}: {count}"));
        }
    }
    notes
}

/// The tables of docs/coverage.md.
pub fn markdown(report: &Report) -> String {
    let mut text = format!("Linux {}\n\n", report.kernel);
    let systems = FileSystem::ALL.map(FileSystem::name);
    markdown_line(&mut text, [&["load"], &systems[..]].concat());
    markdown_line(&mut text, vec!["---"; 1 + systems.len()]);
    let mut loads: Vec<&str> = report.rows.iter().map(|row| row.load.as_str()).collect();
    let mut seen = Vec::new();
    loads.retain(|load| {
        let new = !seen.contains(load);
        seen.push(*load);
        new
    });
    for load in loads {
        let of = |fs: FileSystem| {
            let row = report
                .rows
                .iter()
                .find(|row| row.load == load && row.file_system == fs);
            row.map_or("-".to_owned(), |row| percent(row.coverage()))
        };
        let cells = FileSystem::ALL.map(of);
        markdown_line(
            &mut text,
            std::iter::once(load).chain(cells.iter().map(String::as_str)),
        );
    }
    text.push_str("\nIn parts:\n\n");
    markdown_line(&mut text, HEADER);
    markdown_line(&mut text, ["---"; HEADER.len()]);
    for row in &report.rows {
        markdown_line(&mut text, cells(row));
    }
    let notes = notes(report);
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        line(&mut text, &format!("- {note}"));
    }
    text
}

fn markdown_line(text: &mut String, cells: impl IntoIterator<Item = impl AsRef<str>>) {
    text.push('|');
    for cell in cells {
        // Writing into a string does not fail.
        let _ = write!(text, " {} |", cell.as_ref());
    }
    text.push('\n');
}

fn cells(row: &Row) -> [String; HEADER.len()] {
    let own = &row.traced.own;
    let of = |bytes: u64| percent(row.percent(bytes));
    let known = |bytes: Option<u64>| bytes.map_or("-".to_owned(), of);
    let metadata = own.metadata;
    let others = row.traced.others.iter().max_by_key(|(_, bytes)| **bytes);
    let verdict = if row.coverage() >= row.target {
        "kept"
    } else {
        "missed"
    };
    [
        row.file_system.name().to_owned(),
        row.load.clone(),
        format!("{:.1}", row.device as f64 / MIB),
        percent(row.coverage()),
        format!(">= {} {verdict}", row.target),
        of(own.exact),
        known(metadata.map(|parts| own.shared - parts.total())),
        known(metadata.map(|parts| parts.journal)),
        known(metadata.map(|parts| parts.home)),
        known(metadata.map(|parts| parts.tree)),
        match others {
            None => of(0),
            Some((name, bytes)) => {
                format!("{} ({name} {})", of(row.traced.others()), of(*bytes))
            }
        },
        reasons(row),
    ]
}

fn reasons(row: &Row) -> String {
    let mut reasons: Vec<(&String, &u64)> = row.traced.unattributed.iter().collect();
    reasons.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    if reasons.is_empty() {
        return percent(0.0);
    }
    let each = reasons
        .iter()
        .map(|(reason, bytes)| format!("{reason} {}", percent(row.percent(**bytes))));
    each.collect::<Vec<_>>().join(", ")
}

/// Never rounded up to 100 %.
fn percent(value: f64) -> String {
    match value {
        99.95..100.0 => format!("{:.2} %", (value * 100.0).floor() / 100.0),
        _ => format!("{value:.1} %"),
    }
}

fn line(text: &mut String, content: &str) {
    text.push_str(content);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::report::NotRun;
    use super::super::tally::{Metadata, Owned, Tally};
    use super::*;

    fn row() -> Row {
        let named = |parts: &[(&str, u64)]| -> BTreeMap<String, u64> {
            let parts = parts.iter().map(|&(name, bytes)| (name.to_owned(), bytes));
            parts.collect()
        };
        Row {
            file_system: FileSystem::Ext4,
            load: "a load".to_owned(),
            target: 97.0,
            device: 1000,
            write_zeroes: 0,
            discarded: 0,
            traced: Tally {
                written: 1000,
                own: Owned {
                    exact: 250,
                    shared: 600,
                    metadata: Some(Metadata {
                        journal: 500,
                        home: 50,
                        tree: 0,
                    }),
                },
                others: named(&[("sync", 10), ("umount", 20)]),
                unattributed: named(&[("metadata", 100), ("pre_trace", 20)]),
                lost: BTreeMap::new(),
            },
        }
    }

    fn report(row: Row) -> Report {
        Report {
            kernel: "6.18".to_owned(),
            rows: vec![row],
            failed: Vec::new(),
            not_run: Vec::new(),
        }
    }

    #[test]
    fn each_part_has_its_share_of_the_device() {
        let expected = [
            "ext4",
            "a load",
            "0.0",
            "85.0 %",
            ">= 97 missed",
            "25.0 %",
            "5.0 %",
            "50.0 %",
            "5.0 %",
            "0.0 %",
            "3.0 % (umount 2.0 %)",
            "metadata 10.0 %, pre_trace 2.0 %",
        ];
        assert_eq!(cells(&row()), expected);
    }

    #[test]
    fn parts_that_are_not_told_apart_are_dashes() {
        let mut row = row();
        row.traced.own.metadata = None;
        assert_eq!(cells(&row)[6..10], ["-"; 4]);
    }

    #[test]
    fn a_sum_that_is_not_the_devices_is_named() {
        let mut row = row();
        row.device = 1512;
        assert!(!row.adds_up());
        let text = text(&report(row));
        assert!(
            text.contains("\next4, a load: the tracer has 1000 bytes, the device 1512 (-512)"),
            "{text}"
        );
    }

    #[test]
    fn a_load_that_did_not_run_is_named_with_what_it_needs() {
        let mut report = report(row());
        assert!(!text(&report).contains("not run"));
        report.not_run.push(NotRun {
            load: "pgbench".to_owned(),
            program: "PostgreSQL".to_owned(),
            package: "postgresql".to_owned(),
        });
        let named = "not run: pgbench, which needs PostgreSQL (package postgresql)";
        assert!(text(&report).contains(named));
    }

    #[test]
    fn a_row_that_was_not_measured_is_named() {
        let mut report = report(row());
        report.failed.push("a load on xfs: no device".to_owned());
        assert!(text(&report).contains("\nnot measured: a load on xfs: no device\n"));
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(percent(99.999), "99.99 %");
        assert_eq!(percent(99.94), "99.9 %");
        assert_eq!(percent(100.0), "100.0 %");
    }
}
