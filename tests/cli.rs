//! The command line's contract: exit status, what goes to which stream, and
//! that nothing stays behind.

#[path = "support/attached.rs"]
mod attached;
#[path = "support/deadline.rs"]
mod deadline;
#[path = "cli/ending.rs"]
mod ending;
#[path = "cli/forms.rs"]
mod forms;
#[path = "cli/kernel.rs"]
mod kernel;
#[path = "cli/namespaces.rs"]
mod namespaces;
#[path = "cli/unprivileged.rs"]
mod unprivileged;
#[path = "cli/usage.rs"]
mod usage;

use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use deadline::Deadline;

const BINARY: &str = env!("CARGO_BIN_EXE_iotop-trace");
const NDJSON: [&str; 4] = ["--export", "ndjson", "-d", "0.1"];

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

fn run(args: &[&str]) -> Result<Output> {
    soon().output(Command::new(BINARY).args(args))
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as NDJSON, every line whole.
fn json_lines(output: &Output) -> Result<Vec<Value>> {
    let text = str::from_utf8(&output.stdout)?;
    ensure!(text.is_empty() || text.ends_with('\n'), "cut off: {text:?}");
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}")))
        .collect()
}

fn is_root() -> bool {
    // SAFETY: geteuid(2) takes nothing and always succeeds.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn help_and_version_are_data() -> Result<()> {
    for option in ["--help", "--version"] {
        let output = run(&[option])?;
        ensure!(
            output.status.success() && output.stderr.is_empty(),
            "{option}"
        );
        let text = String::from_utf8(output.stdout)?;
        ensure!(text.contains("iotop-trace"), "{option}: {text:?}");
    }
    Ok(())
}

#[test]
fn the_text_table_goes_to_standard_output() -> Result<()> {
    let output = run(&["-b", "-n", "1", "-d", "0.1"])?;
    ensure!(output.status.success(), "{}", complaint(&output));
    let text = String::from_utf8(output.stdout)?;
    let head: String = text
        .lines()
        .take(10)
        .flat_map(|line| line.chars().take(200))
        .collect();
    for column in [
        "Total DISK READ",
        "Actual DISK WRITE",
        "CAUSED",
        "VIA_KERNEL",
        "METADATA",
        "AMPLIF",
    ] {
        ensure!(text.contains(column), "no {column:?} in {head:?}");
    }
    Ok(())
}
