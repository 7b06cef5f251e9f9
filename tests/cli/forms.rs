//! What the exports and groupings really print.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use iotop_trace::output::SCHEMA;
use iotop_trace::view::FIELDS;
use serde_json::Value;

use super::{BINARY, NDJSON, complaint, is_root, json_lines, run, soon};

fn by() -> &'static [&'static str] {
    // Without eBPF there are no lines by device or file.
    let all = &[
        "command",
        "user",
        "cgroup",
        "unit",
        "container",
        "device",
        "file",
    ];
    if is_root() { all } else { &all[..5] }
}

#[test]
fn real_lines_of_every_kind_fit_the_schema() -> Result<()> {
    let schema: Value = serde_json::from_str(SCHEMA)?;
    let validator = jsonschema::validator_for(&schema)?;
    for by in [&["thread", "process"][..], by()].concat() {
        let output = run(&[&NDJSON[..], &["-n", "2", "--group-by", by]].concat())?;
        ensure!(output.status.success(), "{by}: {}", complaint(&output));
        for line in json_lines(&output)? {
            let errors: Vec<String> = validator
                .iter_errors(&line)
                .map(|error| error.to_string())
                .collect();
            ensure!(errors.is_empty(), "{by}: {errors:?} in {line}");
            let other = match by {
                "thread" | "process" => "group",
                _ => "task",
            };
            ensure!(line["type"] != other, "{by}: {line}");
        }
    }
    Ok(())
}

#[test]
fn real_csv_has_the_header_once_and_as_many_values_on_every_line() -> Result<()> {
    let columns = "command,tid,caused,lag";
    let csv = ["--export", "csv", "-d", "0.1", "-n", "2"];
    for more in [&["--fields", columns][..], &["--group-by", "user"], &["-P"]] {
        let output = run(&[&csv[..], more].concat())?;
        ensure!(output.status.success(), "{}", complaint(&output));
        let mut reader = csv::Reader::from_reader(&output.stdout[..]);
        let header = reader.headers()?.clone();
        ensure!(header.iter().take(3).eq(["seq", "time", "interval_s"]));
        let lines: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>()?;
        for seq in ["1", "2"] {
            ensure!(
                lines.iter().any(|line| &line[0] == seq),
                "no interval {seq}"
            );
        }
        ensure!(
            lines.iter().all(|line| &line[0] != "seq"),
            "a second header"
        );
    }
    Ok(())
}

#[test]
fn the_schema_and_the_fields_are_printed_and_nothing_else() -> Result<()> {
    let output = run(&["--schema"])?;
    ensure!(output.status.success() && output.stderr.is_empty());
    ensure!(output.stdout == SCHEMA.as_bytes(), "another schema");
    for args in [&["--fields", "help"][..], &["--fields", "tid,HELP", "-b"]] {
        let output = run(args)?;
        ensure!(output.status.success() && output.stderr.is_empty());
        let text = String::from_utf8(output.stdout)?;
        ensure!(text.lines().count() == FIELDS.len(), "{text}");
        for (field, line) in FIELDS.iter().zip(text.lines()) {
            for word in [field.name, field.header, field.about] {
                ensure!(line.contains(word), "no {word:?} in {line:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn top_leaves_the_first_rows_of_each_interval() -> Result<()> {
    let run = |args: &[&str]| {
        let output = run(&[&["-d", "0.1", "-n", "2", "--top", "2"], args].concat())?;
        ensure!(output.status.success(), "{}", complaint(&output));
        anyhow::Ok(output)
    };
    let lines = json_lines(&run(&["--export", "ndjson", "-s", "+tid"])?)?;
    for seq in [1, 2] {
        let rows = lines.iter().filter(|line| line["seq"] == seq);
        let tids: Vec<_> = rows.filter_map(|line| line["tid"].as_u64()).collect();
        ensure!(tids.len() == 2 && tids[0] < tids[1], "{tids:?}");
        ensure!(
            lines
                .iter()
                .any(|line| line["seq"] == seq && line["type"] == "system")
        );
    }
    let csv = run(&["--export", "csv", "--fields", "tid"])?;
    ensure!(String::from_utf8(csv.stdout)?.lines().count() == 1 + 2 * 2);
    let text = run(&["-qqq", "--fields", "tid"])?;
    ensure!(String::from_utf8(text.stdout)?.lines().count() == 2 * 2);
    Ok(())
}

#[test]
fn final_prints_the_totals_once_at_the_end() -> Result<()> {
    let run = |args: &[&str]| {
        let output = run(&[&["-d", "0.1", "-n", "3", "-a"], args].concat())?;
        ensure!(output.status.success(), "{}", complaint(&output));
        anyhow::Ok(output)
    };
    let seqs = |output: &Output| -> Result<BTreeSet<u64>> {
        let lines = json_lines(output)?;
        ensure!(
            lines
                .iter()
                .all(|line| line["interval_s"].as_f64() > Some(0.0))
        );
        Ok(lines
            .iter()
            .filter_map(|line| line["seq"].as_u64())
            .collect())
    };
    let each = run(&["--export", "ndjson"])?;
    ensure!(
        seqs(&each)? == BTreeSet::from([1, 2, 3]),
        "-a in each interval"
    );
    let once = run(&["--export", "ndjson", "--final"])?;
    ensure!(seqs(&once)? == BTreeSet::from([3]), "{:?}", seqs(&once)?);
    let lines = json_lines(&once)?;
    ensure!(lines.iter().all(|line| line["type"] != "flush"));
    ensure!(
        lines[0]["interval_s"].as_f64() > Some(0.25),
        "not since the start: {}",
        lines[0]
    );
    let text = String::from_utf8(run(&["--final"])?.stdout)?;
    ensure!(text.matches("Total DISK READ").count() == 1, "{text}");
    Ok(())
}

#[test]
fn wake_ups_end_with_a_summary_alone_and_after_flushes() -> Result<()> {
    let wakes = ["-b", "-d", "0.1", "-n", "3", "--explain-wakeups"];
    for more in [&["--idle", "60"][..], &["--explain-writeback"]] {
        let output = run(&[&wakes[..], more].concat())?;
        ensure!(output.status.success(), "{}", complaint(&output));
        let text = String::from_utf8(output.stdout)?;
        ensure!(text.contains("woken"), "no summary: {text}");
        ensure!(!text.contains("COMMAND"), "rows: {text}");
    }
    Ok(())
}

#[test]
fn a_filter_leaves_only_what_matches_and_no_command_is_cut_in_a_pipe() -> Result<()> {
    let long = format!("^.*{}$", "x".repeat(300));
    let args = ["-b", "-n", "1", "-d", "0.1", "-qqq", "--filter", &long];
    let output = run(&args)?;
    ensure!(output.status.success(), "{}", complaint(&output));
    let text = String::from_utf8(output.stdout)?;
    // Its own command line ends in the expression, and does not match it.
    ensure!(text.is_empty(), "{text}");
    let loose = format!("{}|iotop-trace", "x".repeat(300));
    let output = run(&["-b", "-n", "1", "-d", "0.1", "-qqq", "--filter", &loose])?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(text.lines().any(|line| line.ends_with(&loose)), "{text}");
    let first = text.lines().next().context("its own line")?;
    ensure!(
        text.lines().all(|line| line.contains("iotop-trace")),
        "{first}"
    );
    Ok(())
}

/// Both ends of a terminal of this width.
fn terminal(columns: u16) -> Result<(OwnedFd, OwnedFd)> {
    let size = libc::winsize {
        ws_row: 40,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let (mut ours, mut its) = (-1, -1);
    // SAFETY: openpty(3) writes two descriptors and reads the size; the name
    // and the attributes may be null.
    let done = unsafe {
        libc::openpty(
            &raw mut ours,
            &raw mut its,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        )
    };
    ensure!(done == 0, std::io::Error::last_os_error());
    // SAFETY: openpty(3) has just opened both, and nothing else uses them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(its)) })
}

#[test]
fn on_a_terminal_no_row_is_wider_than_it() -> Result<()> {
    const WIDTH: u16 = 120;
    let (ours, its) = terminal(WIDTH)?;
    let long = "x".repeat(300);
    let mut child = Command::new(BINARY)
        .args(["-b", "-n", "1", "-d", "0.1", "-qqq"])
        .args(["--fields", "tid,command", "--filter"])
        .arg(format!("iotop-trace|{long}"))
        .stdout(its)
        .spawn()?;
    let mut text = Vec::new();
    // Ends with EIO when the other side is closed; what came before counts.
    let _ = File::from(ours).read_to_end(&mut text);
    ensure!(soon().wait(&mut child)?.success());
    let text = String::from_utf8(text)?;
    ensure!(text.lines().any(|line| line.contains("--filter")), "{text}");
    let longest = text.lines().map(|line| line.chars().count()).max();
    ensure!(longest == Some(usize::from(WIDTH)), "{text}");
    Ok(())
}
