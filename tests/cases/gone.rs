//! Names of what is gone before the end of the interval: nobody can look it up then.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Group, MIB, UNIFIED};
use crate::support::checks::near;
use crate::support::device::{Fs, On};
use crate::support::ndjson::{Line, Part, Report};
use crate::support::process::Writer;
use crate::support::run::Run;
use crate::support::settings::Cgroup;
use crate::support::tracer::Tracer;

/// These do not depend on the file system.
pub const GROUP: Group = Group {
    name: "gone",
    fs: Fs::Ext4,
    on: On::Memory,
    feature: None,
    program: None,
    cases: &[
        ("unit_gone_before_the_interval_ends", unit),
        ("arguments_of_a_short_lived_task", arguments),
        ("rows_by_parents_that_have_exited", parents),
    ],
};

const LEN: u64 = 4 * MIB;
/// Long enough for a writer to start, write and exit.
const INTERVAL: [&str; 2] = ["-d", "3"];
/// As many bytes of the arguments as the kernel half reads.
const ARGUMENTS: usize = 512;

/// The lines of a process.
fn lines(report: &Report, pid: u64) -> Result<Vec<&Line>> {
    let mut found = Vec::new();
    for line in report.0.iter().flat_map(|interval| &interval.tasks) {
        if line.number("pid")? == pid {
            found.push(line);
        }
    }
    ensure!(!found.is_empty(), "no line of process {pid}");
    Ok(found)
}

/// A unit's cgroup is removed as soon as its last task has exited.
fn unit(mut run: Run<'_>) -> Result<()> {
    let unit = "gt-quick.service";
    run.trace_with(&INTERVAL)?;
    let file = run.file("file");
    let cgroup = Cgroup::new(&UNIFIED, unit)?;
    let mut writer = Writer::start("gt-quick", &["write", &file, "0", &LEN.to_string()])?;
    cgroup.take(writer.pid())?;
    writer.go()?;
    writer.done(run.deadline)?;
    let pid = writer.exit(run.deadline)?;
    // The kernel may still count it as one of the cgroup's tasks.
    sleep(Duration::from_millis(50));
    drop(cgroup);
    run.flush()?;
    let Some(report) = run.finish(LEN, 0)? else {
        return Ok(());
    };
    for line in lines(&report, pid)? {
        ensure!(line.field("unit")? == unit, "{}", line.field("unit")?);
        let cgroup = line.text("cgroup")?;
        ensure!(cgroup == format!("/{unit}"), "{cgroup}");
    }
    let parts = report.parts("gt-quick", pid)?;
    near(unit, Part::sum(&parts)?, LEN)?;
    let named = parts.iter().all(|part| part.owner["unit"] == unit);
    ensure!(named, "an owner of a flush without its unit");
    Ok(())
}

/// A short-lived process has the arguments with which it was executed, as in /proc.
fn arguments(mut run: Run<'_>) -> Result<()> {
    let short = run.file("two words");
    let long = run.file(&format!("{}long", "./".repeat(ARGUMENTS)));
    run.trace_with(&INTERVAL)?;
    let each = (LEN / 2).to_string();
    let write = |file| run.to_end("gt-brief", &["write", file, "0", &each]);
    let pids = [write(&short)?, write(&long)?];
    ensure!(fs::metadata(format!("/proc/{}", pids[0])).is_err());
    run.flush()?;
    let Some(report) = run.finish(LEN, 0)? else {
        return Ok(());
    };
    let line_of = |file| format!("/proc/self/exe write {file} 0 {each}");
    for line in lines(&report, pids[0])? {
        let found = line.text("cmdline")?;
        ensure!(found == line_of(&short), "{found}");
    }
    for line in lines(&report, pids[1])? {
        let found = line.text("cmdline")?;
        let cut = found.strip_suffix('…').context("not cut off")?;
        ensure!(
            cut.len() == ARGUMENTS && line_of(&long).starts_with(cut),
            "{found}"
        );
    }
    Ok(())
}

/// What two runs of a script wrote is one row, which names it although it has exited.
fn parents(run: Run<'_>) -> Result<()> {
    let scripts = tempfile::tempdir()?;
    let script = |name: &str, text: String| {
        let path = scripts.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n"))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        anyhow::Ok(path.display().to_string())
    };
    let file = run.file("file");
    let count = LEN / MIB;
    let inner = script(
        "gt-inner.sh",
        format!("dd if=/dev/zero of={file}.$1 bs=1M count={count} status=none || exit 1; exit 0"),
    )?;
    let outer = script("gt-outer.sh", format!("{inner} $1 || exit 1; exit 0"))?;
    let tracer = Tracer::start(&["-d", "4", "--group-by", "parents"])?;
    for n in ["1", "2"] {
        let status = Command::new(&outer).arg(n).status()?;
        ensure!(status.success(), "{outer}: {status}");
    }
    run.flush()?;
    let report = tracer.stop("rows_by_parents")?;
    let mut written = 0;
    for group in report.0.iter().flat_map(|interval| &interval.groups) {
        ensure!(group.text("by")? == "parents");
        let name = group.text("name")?;
        if name.starts_with("dd <- gt-inner.sh <- gt-outer.sh <- ") {
            written += group.number("block_write_bytes")?;
        }
    }
    near("written by dd of the scripts", written, 2 * LEN)
}
