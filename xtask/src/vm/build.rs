//! What runs in the guest, built by cargo: the test binary and the program.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::workspace;

/// The profile of the tests, which is in the top Cargo.toml.
pub const PROFILE: &str = "tests";

/// What the tests of exports need. The guests' program has it too, or it would be built twice.
pub const FEATURES: [&str; 2] = ["--features", "iotop-trace/parquet,iotop-trace/perfetto"];

/// The executables, and the directory that the tests keep files in.
pub struct Built {
    pub test: PathBuf,
    pub program: PathBuf,
    pub kept: PathBuf,
}

/// Builds them; `cargo xtask test` runs the same here.
pub fn build() -> Result<Built> {
    eprintln!("building what runs in the virtual machines");
    let mut cargo = workspace::cargo("test");
    cargo.args(["--profile", PROFILE, "--package", "iotop-trace"]);
    cargo.args(FEATURES);
    cargo.args(["--test", "ground_truth", "--no-run"]);
    cargo.arg("--message-format=json-render-diagnostics");
    let out = cargo.stderr(Stdio::inherit()).output()?;
    if !out.status.success() {
        bail!("the tests do not build");
    }
    let messages = String::from_utf8_lossy(&out.stdout);
    let executable = |kind, name| {
        let path = messages
            .lines()
            .find_map(|line| executable(line, kind, name));
        path.with_context(|| format!("cargo names no executable of {name}"))
    };
    Ok(Built {
        test: executable("test", "ground_truth")?,
        program: executable("bin", "iotop-trace")?,
        kept: workspace::target().join("tmp"),
    })
}

fn executable(line: &str, kind: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let target = message.get("target")?;
    let is_it = target["name"] == name && target["kind"][0] == kind;
    let path = message.get("executable")?.as_str()?;
    is_it.then(|| PathBuf::from(path))
}
