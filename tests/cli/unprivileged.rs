//! Without privileges: the rest works, and a message says what is missing.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{NDJSON, as_nobody, complaint, json_lines, soon};

#[test]
fn without_ebpf_an_unprivileged_user_gets_the_rest() -> Result<()> {
    let (_dir, mut command) = as_nobody()?;
    let output = soon().output(command.args(NDJSON).args(["-n", "2", "--no-ebpf"]))?;
    let said = complaint(&output);
    ensure!(output.status.success(), "{}: {said}", output.status);
    ensure!(
        said.contains("eBPF"),
        "no message about what is missing: {said:?}"
    );
    let lines = json_lines(&output)?;
    let systems: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == "system")
        .collect();
    ensure!(systems.len() == 2, "{} intervals, not 2", systems.len());
    for system in systems {
        ensure!(system["pgpgout_bytes"].is_u64(), "no vmstat: {system}");
        // An unknown value is null, never 0.
        for field in ["block_write_bytes", "attributed_write_bytes"] {
            ensure!(system.get(field) == Some(&Value::Null), "{field}: {system}");
        }
    }
    Ok(())
}

#[test]
fn an_unprivileged_user_who_requires_ebpf_gets_an_error_and_no_lines() -> Result<()> {
    let (_dir, mut command) = as_nobody()?;
    let output = soon().output(command.args(NDJSON).args(["-n", "1", "--require-ebpf"]))?;
    let said = complaint(&output);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(output.stdout.is_empty(), "lines without attribution");
    for word in ["--require-ebpf", "CAP_BPF"] {
        ensure!(said.contains(word), "no {word} in {said:?}");
    }
    Ok(())
}

#[test]
fn an_unprivileged_user_is_told_which_capability_is_missing() -> Result<()> {
    let (_dir, mut command) = as_nobody()?;
    let output = soon().output(command.args(NDJSON).args(["-n", "1"]))?;
    let said = complaint(&output);
    ensure!(output.status.success(), "{}: {said}", output.status);
    ensure!(said.contains("CAP_BPF"), "no capability named: {said:?}");
    ensure!(!json_lines(&output)?.is_empty(), "no lines");
    Ok(())
}
