//! Without privileges: the rest works, and a message says what is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::{BINARY, NDJSON, complaint, is_root, json_lines, soon};

const NOBODY: u32 = 65534;

/// The binary where an unprivileged user can run it, and a command that does.
fn as_nobody() -> Result<(TempDir, Command)> {
    let dir = TempDir::new()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let binary = dir.path().join("iotop-trace");
    fs::copy(BINARY, &binary)?;
    let mut command = Command::new(binary);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    Ok((dir, command))
}

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

/// Runs the program as nobody, beside another user's process, where /proc is mounted with
/// `hidepid=invisible`. `PID` in the arguments is the number of the process.
fn where_proc_hides(capabilities: &str, args: &str) -> Result<Output> {
    let (dir, _) = as_nobody()?;
    let (binary, nobody) = (dir.path().join("iotop-trace"), NOBODY);
    // A new mount has options of its own (since 5.8), those of the machine's /proc stay.
    let script = format!(
        "mount --make-rprivate / && mount -t proc -o hidepid=invisible proc /proc || exit 77
         setpriv --reuid=1234 --regid=1234 --clear-groups sleep 30 & PID=$!
         trap 'kill $PID' EXIT
         until [ \"$(cat /proc/$PID/comm)\" = sleep ]; do sleep 0.02; done
         setpriv --reuid={nobody} --regid={nobody} --clear-groups --inh-caps={capabilities} \
             --ambient-caps={capabilities} {} -b -n 1 -d 0.3 {args}",
        binary.display()
    );
    let mut command = Command::new("unshare");
    let output = soon().output(command.args(["-m", "sh", "-c", &script]))?;
    ensure!(output.status.code() != Some(77), "{}", complaint(&output));
    Ok(output)
}

#[test]
fn processes_that_proc_hides_are_reported_with_the_way_out() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: mounting another /proc needs root");
        return Ok(());
    }
    let one = "-p $PID --fields tid,user,command";
    let kernel_half = "+bpf,+perfmon,+net_admin";
    let output = where_proc_hides(kernel_half, one)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{text}{}", complaint(&output));
    let row = text.lines().find(|line| line.ends_with("sleep"));
    ensure!(row.is_some_and(|row| row.contains("1234")), "{text}");
    for word in [
        "! /proc hides",
        "hidepid=invisible",
        "CAP_SYS_PTRACE",
        "gid=",
    ] {
        ensure!(text.contains(word), "no {word:?} in {text}");
    }
    // With the capability nothing is hidden.
    let output = where_proc_hides(&format!("{kernel_half},+sys_ptrace"), one)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        text.contains("sleep 30") && !text.contains("hidepid"),
        "{text}"
    );
    // Nothing lists the process: it is not said to be missing.
    let output = where_proc_hides("-all", "--no-ebpf -p $PID")?;
    let said = complaint(&output);
    ensure!(output.status.code() == Some(2), "{}: {said}", output.status);
    ensure!(
        said.contains("hides it") && said.contains("CAP_SYS_PTRACE"),
        "{said}"
    );
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
