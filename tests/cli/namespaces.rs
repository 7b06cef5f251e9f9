//! Task counters in namespaces that taskstats does not reach.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{BINARY, NDJSON, complaint, is_root, json_lines, soon};

/// Checks the program's own row inside a namespace.
fn own_row(unshare: &[&str]) -> Result<()> {
    if !is_root() {
        eprintln!("ignored: a namespace of its own needs root");
        return Ok(());
    }
    let mut command = Command::new("unshare");
    command.args(unshare).arg(BINARY).args(NDJSON);
    let output = soon().output(command.args(["-n", "2"]))?;
    ensure!(output.status.success(), "{}", complaint(&output));
    let lines = json_lines(&output)?;
    let own = lines
        .iter()
        .filter(|line| line["seq"] == 2 && line["comm"] == "iotop-trace")
        .find(|line| line["exited"] == false)
        .context("no row for ourselves")?;
    // The first sample was written in this interval.
    ensure!(own["write_syscalls"].as_u64() > Some(0), "{own}");
    ensure!(own["write_char"].as_u64() > Some(0), "{own}");
    Ok(())
}

#[test]
fn counters_are_known_in_a_network_namespace() -> Result<()> {
    own_row(&["--net"])
}

/// The kernel half has the host's numbers: it must not show the host's process.
#[test]
fn a_number_of_a_pid_namespace_is_not_taken_for_one_of_the_host() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: a namespace of its own needs root");
        return Ok(());
    }
    for (more, status, word) in [(&[][..], 2, "child pid namespace"), (&["--no-ebpf"], 0, "")] {
        let mut command = Command::new("unshare");
        command
            .args(["--pid", "--fork", "--mount-proc"])
            .arg(BINARY);
        command.args(NDJSON).args(["-n", "1", "-p", "1"]).args(more);
        let output = soon().output(&mut command)?;
        let said = complaint(&output);
        ensure!(output.status.code() == Some(status), "{more:?}: {said}");
        ensure!(said.contains(word), "{more:?}: {said}");
    }
    Ok(())
}

#[test]
fn counters_are_known_in_a_pid_namespace() -> Result<()> {
    own_row(&["--pid", "--fork", "--mount-proc"])
}
