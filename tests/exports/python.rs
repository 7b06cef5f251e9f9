//! The Python with DuckDB and Perfetto's package, see `xtask/src/python.rs`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::deadline::Deadline;
use super::trial::LeftOut;

/// Its directory below cargo's target directory.
const DIRECTORY: &str = "python";

fn python() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let python = target.context("no target directory")?.join(DIRECTORY);
    let python = python.join("bin/python3");
    match python.exists() {
        true => Ok(python),
        false => Err(LeftOut::elsewhere(format!(
            "{} is missing: `cargo xtask setup` installs it where PyPI can be reached",
            python.display()
        ))),
    }
}

/// What a script of this directory prints, as JSON.
pub fn run(script: &str, args: &[&str]) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/exports");
    let mut command = Command::new(python()?);
    command.arg(path.join(script)).args(args);
    let deadline = Deadline::after(std::time::Duration::from_secs(120));
    let output = deadline.output(command.stdin(Stdio::null()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script}: {said}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("{script} prints no JSON"))
}

/// The rows that DuckDB answers.
pub fn sql(query: &str) -> Result<Vec<Value>> {
    let rows = run("query.py", &[query])?;
    Ok(rows.as_array().context("no list of rows")?.clone())
}
