//! `run -- COMMAND`: the command has its own streams, status, signals and rights, as if it had been
//! started without us.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::deadline::lines_of;
use super::{BINARY, as_nobody, complaint, is_root, run, soon};

fn measured(options: &[&str], command: &[&str]) -> Result<Output> {
    run(&[&["run"], options, &["--"], command].concat())
}

fn shell(script: &str) -> Result<Output> {
    measured(&[], &["sh", "-c", script])
}

#[test]
fn the_exit_status_is_the_commands() -> Result<()> {
    for status in [0, 1, 2, 7, 255] {
        let output = shell(&format!("exit {status}"))?;
        ensure!(output.status.code() == Some(status), "{}", output.status);
        let said = complaint(&output);
        ensure!(
            said.contains(&format!("exit status {status} after")),
            "{said}"
        );
    }
    let output = shell("kill -TERM $$")?;
    ensure!(output.status.code() == Some(128 + 15), "{}", output.status);
    ensure!(complaint(&output).contains("ended by SIGTERM"));
    Ok(())
}

#[test]
fn a_command_that_cannot_be_executed_has_a_message_and_the_status_of_a_shell() -> Result<()> {
    let cases = [
        ("/no/such/command", 127, "No such file"),
        ("no-such-command-on-path", 127, "No such file"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/tmp", 126, "Permission denied"),
    ];
    for (command, status, why) in cases {
        let output = measured(&[], &[command])?;
        let said = complaint(&output);
        ensure!(output.status.code() == Some(status), "{command}: {said}");
        ensure!(said.contains(why) && said.lines().count() == 1, "{said}");
        ensure!(output.stdout.is_empty());
    }
    let output = run(&["run"])?;
    ensure!(output.status.code() == Some(2), "{}", complaint(&output));
    Ok(())
}

#[test]
fn standard_input_and_output_are_the_commands() -> Result<()> {
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let mut child = Command::new(BINARY)
        .args(["run", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take().context("piped")?;
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent));
    let mut arrived = Vec::new();
    let mut stdout = child.stdout.take().context("piped")?;
    stdout.read_to_end(&mut arrived)?;
    ensure!(soon().wait(&mut child)?.success());
    writer.join().expect("no panic")?;
    ensure!(
        arrived == bytes,
        "{} of {} bytes",
        arrived.len(),
        bytes.len()
    );
    Ok(())
}

/// Whoever reads the command's output sees its end when the command closes it.
#[test]
fn the_output_ends_when_the_command_closes_it() -> Result<()> {
    let mut child = Command::new(BINARY)
        .args(["run", "--", "sh", "-c", "echo out; exec >&-; read end"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = lines_of(child.stdout.take().context("piped")?);
    ensure!(soon().line(&lines)?.as_deref() == Some("out"));
    ensure!(soon().line(&lines)?.is_none(), "it is still open");
    ensure!(child.try_wait()?.is_none(), "the command waits for a line");
    drop(child.stdin.take());
    ensure!(soon().wait(&mut child)?.code() == Some(1), "read fails");
    Ok(())
}

#[test]
fn the_json_report_is_one_line_that_fits_the_schema() -> Result<()> {
    let schema = run(&["run", "--schema"])?;
    let schema: Value = serde_json::from_slice(&schema.stdout)?;
    let validator = jsonschema::validator_for(&schema)?;
    let script = "echo out; head -c 100000 /dev/zero >$0; rm $0; exit 3";
    let file = tempfile::NamedTempFile::new()?;
    let path = file.path().to_str().context("a path")?;
    let output = measured(&["--format", "json"], &["sh", "-c", script, path])?;
    ensure!(output.stdout == b"out\n", "{:?}", output.stdout);
    let said = complaint(&output);
    ensure!(said.lines().count() == 1, "{said}");
    let report: Value = serde_json::from_str(&said)?;
    let errors: Vec<_> = validator
        .iter_errors(&report)
        .map(|e| e.to_string())
        .collect();
    ensure!(errors.is_empty(), "{errors:?} in {report}");
    ensure!(report["exit_status"] == 3, "{report}");
    if is_root() {
        ensure!(report["processes"] == 3, "{report}");
        ensure!(report["write_char"] == 100_004, "{report}");
    }
    Ok(())
}

/// A run whose command has printed its first line.
fn started(script: &str) -> Result<(Child, String)> {
    let mut child = Command::new(BINARY)
        .args(["run", "--", "sh", "-c", script])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let lines = lines_of(child.stdout.take().context("piped")?);
    let first = soon().line(&lines)?.context("no line")?;
    Ok((child, first))
}

fn end(mut child: Child) -> Result<(Option<i32>, String)> {
    let status = soon().wait(&mut child)?;
    let mut said = String::new();
    child
        .stderr
        .take()
        .context("piped")?
        .read_to_string(&mut said)?;
    Ok((status.code(), said))
}

/// Sends a signal to the run alone, or to its process group, as a terminal does.
fn send(child: &Child, signal: libc::c_int, to_group: bool) -> Result<()> {
    let pid = libc::pid_t::try_from(child.id())?;
    let target = if to_group { -pid } else { pid };
    // SAFETY: kill(2) takes plain numbers; the child is not reaped.
    let sent = unsafe { libc::kill(target, signal) };
    ensure!(sent == 0, std::io::Error::last_os_error());
    Ok(())
}

#[test]
fn a_signal_reaches_the_command_and_the_report_is_printed() -> Result<()> {
    let script = "trap 'exit 5' INT TERM USR1; echo up; while :; do sleep 0.05; done";
    let signals = [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1];
    for (signal, to_group) in signals.into_iter().flat_map(|s| [(s, false), (s, true)]) {
        let (child, _) = started(script)?;
        send(&child, signal, to_group)?;
        let (status, said) = end(child)?;
        ensure!(status == Some(5), "{signal} {to_group}: {status:?} {said}");
        ensure!(said.contains("exit status 5 after"), "{signal}: {said}");
    }
    // A command that does not catch it. Without `exec`, a signal that comes just before the shell
    // forks is taken after `sleep` has ended.
    let (child, _) = started("echo up; exec sleep 60")?;
    send(&child, libc::SIGINT, true)?;
    let (status, said) = end(child)?;
    ensure!(
        status == Some(130) && said.contains("ended by SIGINT"),
        "{said}"
    );
    Ok(())
}

/// ^C ends the wait for a job in the background, not the job.
#[test]
fn a_signal_ends_the_wait() -> Result<()> {
    let mut child = Command::new(BINARY)
        .args(["run", "--wait", "--", "sh", "-c"])
        .arg("sleep 60 >/dev/null 2>&1 & echo $!")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let lines = lines_of(child.stdout.take().context("piped")?);
    let job: i32 = soon().line(&lines)?.context("no line")?.parse()?;
    ensure!(soon().line(&lines)?.is_none(), "the output is still open");
    std::thread::sleep(Duration::from_millis(300));
    ensure!(child.try_wait()?.is_none(), "it does not wait");
    let asked = Instant::now();
    send(&child, libc::SIGTERM, false)?;
    let (status, said) = end(child)?;
    // SAFETY: kill(2) takes plain numbers. The job is a child of nobody who would reap it so soon.
    let ended = unsafe { libc::kill(job, libc::SIGKILL) };
    ensure!(ended == 0, "the job is gone");
    ensure!(status == Some(0), "{status:?}: {said}");
    ensure!(asked.elapsed() < Duration::from_secs(10));
    if is_root() {
        let told = said.contains("the wait was interrupted") && said.contains("1 still running");
        ensure!(told, "{said}");
    }
    Ok(())
}

/// What the kernel says of a process: rights, limits, priority, signals.
const ABOUT: &str = "grep -E '^(Sig[BI]|Cap|NoNew|Seccomp:|Uid|Gid|Groups|Umask)' /proc/self/status; \
    nice; ulimit -a; cat /proc/self/oom_score_adj";

#[test]
fn the_command_has_what_the_run_was_started_with_and_nothing_of_its_own() -> Result<()> {
    let with = shell(ABOUT)?;
    let without = soon().output(Command::new("sh").args(["-c", ABOUT]))?;
    ensure!(with.status.success(), "{}", complaint(&with));
    let [with, without] = [with.stdout, without.stdout].map(String::from_utf8);
    let (with, without) = (with?, without?);
    ensure!(
        with == without && with.lines().count() > 20,
        "{with}\n{without}"
    );
    Ok(())
}

#[test]
fn descriptors_of_the_run_are_the_commands_and_no_other_is() -> Result<()> {
    let list = "ls /proc/self/fd";
    let [with, without] = [
        format!("{BINARY} run -- {list} 7</dev/null"),
        format!("{list} 7</dev/null"),
    ]
    .map(|script| soon().output(Command::new("sh").args(["-c", &script])));
    let (with, without) = (with?, without?);
    ensure!(with.status.success(), "{}", complaint(&with));
    let [with, without] = [with.stdout, without.stdout].map(String::from_utf8);
    let (with, without) = (with?, without?);
    ensure!(with == without && with.contains('7'), "{with}\n{without}");
    Ok(())
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() -> Result<()> {
    let script = format!("trap '' INT HUP; exec {BINARY} run -- grep SigIgn /proc/self/status");
    let output = soon().output(Command::new("sh").args(["-c", &script]))?;
    let text = String::from_utf8(output.stdout)?;
    let ignored = text.split_whitespace().nth(1).context("no mask")?;
    // The C library has two signals for itself, and a bug may leave them ignored.
    let ignored = u64::from_str_radix(ignored, 16)? & 0x7fff_ffff;
    ensure!(ignored == 0b11, "{text}");
    Ok(())
}

#[test]
fn the_command_runs_as_the_user_that_is_named() -> Result<()> {
    let script = "id -u; id -g; echo $USER $LOGNAME; grep CapEff /proc/self/status";
    let output = measured(&["-u", "nobody"], &["sh", "-c", script])?;
    if !is_root() {
        let told = complaint(&output).contains("run iotop-trace with sudo");
        ensure!(told && output.status.code() == Some(2));
        return Ok(());
    }
    let text = String::from_utf8(output.stdout)?;
    let lines: Vec<&str> = text.lines().collect();
    let [uid, _, names, capabilities] = lines[..] else {
        anyhow::bail!("{text}");
    };
    ensure!(uid == "65534" && names == "nobody nobody", "{text}");
    ensure!(capabilities.ends_with("0000000000000000"), "{text}");
    let output = measured(&["-u", "no such user"], &["true"])?;
    ensure!(output.status.code() == Some(2), "{}", complaint(&output));
    Ok(())
}

/// Without rights there is no attribution, but the command runs, and what is unknown is no 0.
#[test]
fn a_command_of_an_unprivileged_user_runs_too() -> Result<()> {
    let (_dir, mut command) = as_nobody()?;
    command.args([
        "run",
        "--format",
        "json",
        "--",
        "sh",
        "-c",
        "echo out; exit 4",
    ]);
    let output = soon().output(&mut command)?;
    ensure!(output.status.code() == Some(4), "{}", complaint(&output));
    ensure!(output.stdout == b"out\n");
    let report: Value = serde_json::from_str(&complaint(&output))?;
    ensure!(
        report["caused_bytes"].is_null() && report["devices"].is_null(),
        "{report}"
    );
    let notices = report["notices"].to_string();
    ensure!(notices.contains("no eBPF"), "{report}");
    Ok(())
}

/// Whatever comes of the tracer, the command goes on.
#[test]
fn the_command_survives_the_tracer() -> Result<()> {
    let dir = tempfile::TempDir::new()?;
    let done = dir.path().join("done");
    let script = format!("echo $PPID; sleep 0.5; echo yes >{}", done.display());
    let (mut child, supervisor) = started(&script)?;
    child.kill()?;
    child.wait()?;
    let deadline = soon();
    while fs::read_to_string(&done).unwrap_or_default() != "yes\n" {
        ensure!(!deadline.left().is_zero(), "the command was ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    while fs::exists(format!("/proc/{supervisor}/exe"))? {
        ensure!(!deadline.left().is_zero(), "the supervisor stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
