//! What `run` says of a command is what the command and all of its descendants did, to the byte.

use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::MIB;
use super::stage::Stage;
use super::support::tracer::BINARY;

const PAGE: u64 = 4096;

fn run(stage: &Stage<'_>, options: &[&str], script: &str) -> Result<Output> {
    let mut command = Command::new(BINARY);
    command.args(["run", "--format", "json"]).args(options);
    let output = stage
        .deadline
        .output(command.args(["--", "sh", "-c", script]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(output)
}

/// The report about a script.
fn report(stage: &Stage<'_>, options: &[&str], script: &str) -> Result<Value> {
    let output = run(stage, options, script)?;
    let line = output
        .stderr
        .split(|byte| *byte == b'\n')
        .rfind(|line| !line.is_empty());
    let report: Value = serde_json::from_slice(line.context("nothing on standard error")?)?;
    // The figures are only complete if nothing was lost, and everything was decided.
    let lost = report["lost"].as_object().context("no losses")?;
    for (name, count) in lost.iter().filter(|(name, _)| *name != "missed_events") {
        ensure!(count.as_u64().is_none_or(|n| n == 0), "{name}: {report}");
    }
    ensure!(report["unknown"]["tasks"] == 0, "{report}");
    Ok(report)
}

fn number(report: &Value, name: &str) -> Result<u64> {
    let number = report[name].as_u64();
    number.with_context(|| format!("no {name} in {report}"))
}

/// Data without metadata, that all processes wrote.
fn data(report: &Value) -> Result<u64> {
    let estimated = number(&report["shared"], "data")?;
    Ok(number(report, "block_write_bytes")? + estimated)
}

/// What was written to a file, all of it exactly known.
fn written(report: &Value, path: &str) -> Result<u64> {
    let files = report["files"].as_array().context("no files")?;
    let file = files.iter().find(|file| file["path"] == path);
    let file = file.with_context(|| format!("no {path} in {report}"))?;
    ensure!(file["estimated_bytes"] == 0, "{file}");
    number(file, "bytes")
}

pub fn dd(stage: &Stage<'_>) -> Result<()> {
    let file = stage.file("file");
    let script = format!("exec dd if=/dev/zero of={file} bs=64k count=160 conv=fsync status=none");
    let report = report(stage, &[], &script)?;
    ensure!(written(&report, &file)? == 10 * MIB, "{report}");
    ensure!(data(&report)? == 10 * MIB, "{report}");
    // dd submits the pages itself in its fsync, and asks the journal to commit.
    ensure!(
        number(&report, "block_write_self_bytes")? >= 9 * MIB,
        "{report}"
    );
    ensure!(number(&report, "write_char")? == 10 * MIB, "{report}");
    ensure!(number(&report, "dirtied_bytes")? == 10 * MIB, "{report}");
    ensure!(number(&report, "processes")? == 1, "{report}");
    ensure!(report["commits_asked"]["fsync"] == 1, "{report}");
    ensure!(number(&report, "journal_bytes")? > 0, "{report}");
    Ok(())
}

/// The command has ended long before its background job, and the job before its pages are written.
pub fn background(stage: &Stage<'_>) -> Result<()> {
    let file = stage.file("file");
    let script = format!("(sleep 0.5; dd if=/dev/zero of={file} bs=64k count=160 status=none) &");
    let report = report(stage, &["--wait"], &script)?;
    ensure!(number(&report, "elapsed_ns")? < 400_000_000, "{report}");
    ensure!(report["waited"] == "complete", "{report}");
    ensure!(written(&report, &file)? == 10 * MIB, "{report}");
    ensure!(number(&report, "dirty_pending_bytes")? == 0, "{report}");
    ensure!(number(&report, "running")? == 0, "{report}");
    // All but what a flusher may have begun with was submitted by the sync.
    ensure!(
        number(&report, "block_write_flushed_bytes")? == 10 * MIB,
        "{report}"
    );
    Ok(())
}

/// Without --wait, the report says what is still to come.
pub fn left_behind(stage: &Stage<'_>) -> Result<()> {
    let file = stage.file("file");
    // The job lives on after the report, for a second.
    let script =
        format!("dd if=/dev/zero of={file} bs=64k count=16 status=none; sleep 1 >/dev/null 2>&1 &");
    let report = report(stage, &[], &script)?;
    ensure!(report["waited"] == "no", "{report}");
    ensure!(number(&report, "running")? == 1, "{report}");
    let pending = number(&report, "dirty_pending_bytes")?;
    ensure!(pending + data(&report)? == MIB, "{report}");
    Ok(())
}

/// A daemon: two forks, a session of its own, and no parent that lives.
pub fn daemon(stage: &Stage<'_>) -> Result<()> {
    let file = stage.file("file");
    let write = format!("sleep 0.6; dd if=/dev/zero of={file} bs=64k count=160");
    let script = format!("(setsid sh -c '{write}' </dev/null >/dev/null 2>&1 &); exit 0");
    let report = report(stage, &["--wait"], &script)?;
    ensure!(written(&report, &file)? == 10 * MIB, "{report}");
    ensure!(number(&report, "running")? == 0, "{report}");
    Ok(())
}

/// Each process lives for less than a millisecond or two. A third of them has a parent that does
/// nothing else, and of another third the parent does not wait.
pub fn two_thousand(stage: &Stage<'_>) -> Result<()> {
    const ROUNDS: u64 = 667;
    let file = stage.file("f");
    let write = |kind| format!("printf %{PAGE}s x >{file}{kind}$i");
    let script = format!(
        "i=0; while [ $i -lt {ROUNDS} ]; do ({}); (({}); :); (({}) & :); i=$((i+1)); done",
        write('a'),
        write('b'),
        write('c'),
    );
    let report = report(stage, &["--wait"], &script)?;
    let bytes = 3 * ROUNDS * PAGE;
    ensure!(number(&report, "write_char")? == bytes, "{bytes}: {report}");
    ensure!(number(&report, "write_syscalls")? == 3 * ROUNDS, "{report}");
    ensure!(
        number(&report, "dirtied_bytes")? == bytes,
        "{bytes}: {report}"
    );
    ensure!(data(&report)? == bytes, "{bytes}: {report}");
    // The shell, three writers a round, and the parents of two of them.
    ensure!(number(&report, "processes")? == 1 + 5 * ROUNDS, "{report}");
    Ok(())
}

/// Others write data and metadata on the same file system all the while.
pub fn others(stage: &Stage<'_>) -> Result<()> {
    let (ours, theirs) = (stage.file("ours"), stage.file("theirs"));
    let script = format!(
        "while :; do dd if=/dev/zero of={theirs} bs=64k count=4 conv=fsync; rm {theirs}; done"
    );
    let mut other = Command::new("sh")
        .args(["-c", &script])
        .stderr(Stdio::null())
        .spawn()?;
    sleep(Duration::from_millis(300));
    let idle = report(stage, &[], "sleep 1");
    let busy = report(
        stage,
        &["--wait"],
        &format!("dd if=/dev/zero of={ours} bs=64k count=16 status=none"),
    );
    other.kill()?;
    other.wait()?;
    let (idle, busy) = (idle?, busy?);
    for counted in ["caused_bytes", "dirtied_bytes", "dirty_pending_bytes"] {
        ensure!(number(&idle, counted)? == 0, "{counted}: {idle}");
    }
    ensure!(
        written(&busy, &ours)? == MIB && data(&busy)? == MIB,
        "{busy}"
    );
    Ok(())
}

/// Files that are removed before they are written cost nothing but their metadata.
pub fn dropped(stage: &Stage<'_>) -> Result<()> {
    let file = stage.file("file");
    let script = format!("dd if=/dev/zero of={file} bs=64k count=16 status=none; rm {file}");
    let report = report(stage, &["--wait"], &script)?;
    ensure!(number(&report, "cancelled_dirty_bytes")? == MIB, "{report}");
    ensure!(data(&report)? == 0, "{report}");
    Ok(())
}
