//! Output is bounded by what happens, and not by what hostile or short-lived tasks leave behind.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{complaint, run, soon};

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
