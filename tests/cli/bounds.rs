//! Output is bounded by what happens, and not by what hostile or short-lived tasks leave behind.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{BINARY, complaint, is_root, json_lines, run, soon};

/// True if any counter of a line is above 0; pending bytes are a level.
fn moved(line: &Value) -> bool {
    let counters = line.as_object().into_iter().flatten().filter(|(name, _)| {
        let counter = ["_bytes", "_char", "_syscalls", "_count"];
        let is_counter = counter.iter().any(|end| name.ends_with(end)) || name.ends_with("_ns");
        is_counter && *name != "dirty_pending_bytes"
    });
    counters
        .filter_map(|(_, value)| value.as_u64())
        .any(|n| n != 0)
}

/// Regression: 52,500 forks made 867,119 lines in 42 s.
#[test]
fn exited_tasks_have_no_line_without_news() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: pending pages need eBPF");
        return Ok(());
    }
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let tracer = Command::new(BINARY)
        .args([
            "--require-ebpf",
            "-o",
            "--export",
            "ndjson",
            "-d",
            "0.1",
            "-n",
            "40",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let script = "for n in $(seq 2000); do head -c 4096 /dev/zero > \"$0/$n\"; done";
    let mut forks = Command::new("sh")
        .args(["-c", script])
        .arg(dir.path())
        .spawn()?;
    let output = tracer.wait_with_output()?;
    let _ = forks.kill();
    forks.wait()?;
    ensure!(output.status.success(), "{}", complaint(&output));
    let mut last: HashMap<(u64, String), u64> = HashMap::new();
    let (mut pending, mut intervals) = (0, 0);
    for line in json_lines(&output)? {
        if line["type"] == "system" {
            intervals += 1;
            // The reader was slow: what changed in the missing ones is told again.
            if line["lost"]["intervals"] != 0 {
                last.clear();
            }
        }
        if line["type"] != "task" || line["exited"] != true {
            continue;
        }
        let task = (
            line["tid"].as_u64().context("a number")?,
            line["start_time"].to_string(),
        );
        let now = line["dirty_pending_bytes"].as_u64().context("bytes")?;
        pending += u64::from(now != 0 && line["comm"] == "head");
        let before = last.insert(task, now);
        ensure!(moved(&line) || before != Some(now), "nothing new: {line}");
    }
    ensure!(intervals > 10 && pending > 10, "{pending} in {intervals}");
    Ok(())
}

/// Processes with a command line of 64 KiB. Dropping them ends them.
struct Hostile(Vec<Child>);

impl Hostile {
    fn start(number: usize, argument: &str) -> Result<Hostile> {
        let mut all = Hostile(Vec::new());
        for _ in 0..number {
            let mut command = Command::new("sh");
            command.args(["-c", "read line", argument]);
            all.0.push(command.stdin(Stdio::piped()).spawn()?);
        }
        Ok(all)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Regression: 400 of them made 1.28 GB of NDJSON in 10 intervals.
#[test]
fn command_lines_of_escapes_are_bounded_in_every_format() -> Result<()> {
    for argument in [
        "\x1b".repeat(64 << 10),
        format!("=1+1{}", "\u{200b}".repeat(20 << 10)),
    ] {
        let _hostile = Hostile::start(20, &argument)?;
        for format in ["ndjson", "csv"] {
            let output = run(&["--export", format, "-d", "0.1", "-n", "1"])?;
            ensure!(output.status.success(), "{}", complaint(&output));
            let text = String::from_utf8(output.stdout)?;
            ensure!(text.contains("read line"), "they are not in it");
            let longest = text.lines().map(str::len).max().unwrap_or(0);
            ensure!(longest < 16 << 10, "{format}: {longest}");
        }
    }
    Ok(())
}

#[test]
fn a_name_that_is_a_formula_is_text_in_csv() -> Result<()> {
    let mut command = Command::new("bash");
    command
        .args(["-c", "exec -a '=1+1' sleep 60"])
        .stdin(Stdio::null());
    let child = command.spawn()?;
    let hostile = Hostile(vec![child]);
    let pid = hostile.0[0].id().to_string();
    let deadline = soon();
    loop {
        let csv = ["--export", "csv", "-d", "0.1", "-n", "1"];
        let fields = ["--fields", "tid,command", "-p", &pid];
        let output = run(&[&csv[..], &fields].concat())?;
        let mut reader = csv::Reader::from_reader(&output.stdout[..]);
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>()?;
        let row = rows.first().context("its row")?;
        ensure!(row[3] == *pid, "a number is a number: {row:?}");
        if row[4].contains("1+1") {
            ensure!(row[4].starts_with("'=1+1"), "{row:?}");
            return Ok(());
        }
        // It has not called exec yet.
        ensure!(!deadline.left().is_zero(), "{row:?}");
    }
}
