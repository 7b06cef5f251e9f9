//! Task counters and names in namespaces.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::program::{BINARY, NDJSON, complaint, json_lines, soon};
use super::unshare;

/// Checks the program's own row inside a namespace.
fn own_row(namespaces: &[&str]) -> Result<()> {
    let mut command = unshare(namespaces)?;
    command.arg(BINARY).args(NDJSON);
    let output = soon().output(command.args(["-n", "2"]))?;
    ensure!(output.status.success(), "{}", complaint(&output));
    let lines = json_lines(&output)?;
    // Others may run the program, too. In a pid namespace no command line is known.
    let is_ours = |line: &str| line.starts_with(BINARY) && line.ends_with(" -n 2");
    let own = lines
        .iter()
        .filter(|line| line["seq"] == 2 && line["comm"] == "iotop-trace")
        .filter(|line| line["cmdline"].as_str().is_none_or(is_ours))
        .find(|line| line["exited"] == false)
        .context("no row for ourselves")?;
    // The first sample was written in this interval.
    ensure!(own["write_syscalls"].as_u64() > Some(0), "{own}");
    ensure!(own["write_char"].as_u64() > Some(0), "{own}");
    Ok(())
}

pub fn network() -> Result<()> {
    own_row(&["--net"])
}

/// The kernel half has the host's numbers: it must not show the host's process.
pub fn foreign_number() -> Result<()> {
    for (more, status, word) in [(&[][..], 2, "child PID namespace"), (&["--no-ebpf"], 0, "")] {
        let mut command = unshare(&["--pid", "--fork", "--mount-proc"])?;
        command.arg(BINARY);
        command.args(NDJSON).args(["-n", "1", "-p", "1"]).args(more);
        let output = soon().output(&mut command)?;
        let said = complaint(&output);
        ensure!(output.status.code() == Some(status), "{more:?}: {said}");
        ensure!(said.contains(word), "{more:?}: {said}");
    }
    Ok(())
}

pub fn pid() -> Result<()> {
    own_row(&["--pid", "--fork", "--mount-proc"])
}

/// The kernel half counts exits on the whole machine, so all tasks are those of the machine.
pub fn counts_the_machine() -> Result<()> {
    let total = |program: &[&str]| -> Result<u64> {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(NDJSON).args(["-n", "1"]);
        let output = soon().output(&mut command)?;
        ensure!(output.status.success(), "{}", complaint(&output));
        let lines = json_lines(&output)?;
        let total = lines[0]["tasks"]["total"].as_u64();
        total.context("no number of tasks")
    };
    let outside = total(&[BINARY])?;
    let inside = total(&["unshare", "--pid", "--fork", "--mount-proc", BINARY])?;
    // Other tests' tasks come and go.
    ensure!(
        inside.abs_diff(outside) <= outside / 2,
        "{inside} tasks inside, {outside} outside"
    );
    Ok(())
}

/// What is shown of a task outside and inside of a time namespace.
pub fn time() -> Result<()> {
    let mut writer = Command::new("sh")
        .args(["-c", "while sleep 0.05; do :; done"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let pid = writer.id().to_string();
    let shown = |program: &[&str], options: &[&str]| -> Result<String> {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(options);
        let fields = ["-b", "-n", "1", "-d", "0.3", "-qqq", "-p", &pid];
        let output = soon().output(
            command
                .args(fields)
                .args(["--fields", "tid,prio,start_time,exited,cmdline"]),
        )?;
        ensure!(output.status.success(), "{}", complaint(&output));
        Ok(String::from_utf8(output.stdout)?)
    };
    let inside = [
        "unshare",
        "-T",
        "--boottime",
        "86400",
        "--monotonic",
        "86400",
        "--fork",
        BINARY,
    ];
    let compared = || -> Result<()> {
        for options in [&[][..], &["--no-ebpf"]] {
            let outside = shown(&[BINARY], options)?;
            ensure!(outside.contains("sh -c while"), "{outside}");
            let inside = shown(&inside, options)?;
            ensure!(inside == outside, "{options:?}: {inside} not {outside}");
        }
        Ok(())
    };
    let compared = compared();
    writer.kill()?;
    writer.wait()?;
    compared
}
