//! More tasks and files at once than the tracer has room for: nothing is lost, nothing is
//! without an owner, and a task that has nothing to do with the crowd keeps its own.

use std::env;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Case, Group, MIB};
use crate::support::device::{Fs, On};
use crate::support::ndjson::{Line, Report};
use crate::support::needs::emulated;
use crate::support::process::Writer;
use crate::support::run::Run;
use crate::support::settings::Setting;

/// These do not depend on the file system. The one for many files is xfs: it makes inodes as they
/// are needed.
pub const GROUPS: [Group; 2] = [
    group(
        "crowd",
        Fs::Ext4,
        &[("crowd_of_forks", forks), ("crowd_of_threads", threads)],
    ),
    group(
        "crowd_of_files",
        Fs::Xfs,
        &[("crowd_of_rewriters", rewriters)],
    ),
];

const fn group(name: &'static str, fs: Fs, cases: &'static [(&'static str, Case)]) -> Group {
    Group {
        name,
        fs,
        on: On::Memory,
        feature: None,
        program: None,
        cases,
    }
}

const PAGE: u64 = 4096;
/// What the program may take, without what the kernel keeps for it.
const MOST_MEMORY: u64 = 64 * MIB;
/// A row in memory and its line of NDJSON.
const ROW: u64 = 2 << 10;
/// Seconds of forks; a minute if this is set.
const LONG: &str = "IOTOP_TRACE_LONG";

/// A number for a real machine; an emulated one needs long for each task.
fn many(count: u64) -> u64 {
    if emulated() { count / 20 } else { count }
}

/// The data bytes of all rows with this name.
fn written(report: &Report, comm: &str) -> Result<u64> {
    let mut sum = 0;
    for line in lines(report, comm)? {
        sum += line.number("block_write_bytes")? + line.number("block_write_shared_bytes")?
            - line.number("metadata_bytes")?;
    }
    Ok(sum)
}

fn lines<'a>(report: &'a Report, comm: &str) -> Result<Vec<&'a Line>> {
    let mut found = Vec::new();
    for line in report.0.iter().flat_map(|interval| &interval.tasks) {
        if line.text("comm")? == comm {
            found.push(line);
        }
    }
    Ok(found)
}

/// The most memory that a process has had so far (`VmHWM` of proc_pid_status(5)).
fn most_memory(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmHWM")?.trim().parse::<u64>()? * 1024)
}

/// Keeps the kernel from writing back: every page stays dirty until the flush.
fn no_writeback() -> Result<[Setting; 3]> {
    Ok([
        Setting::vm("dirty_writeback_centisecs", 0)?,
        Setting::vm("dirty_background_bytes", 1 << 30)?,
        Setting::vm("dirty_bytes", 2 << 30)?,
    ])
}

fn nothing_overflowed(report: &Report) -> Result<()> {
    let overflow = report.unattributed("overflow")?;
    ensure!(overflow == 0, "{overflow} bytes had no room");
    Ok(())
}

/// `rows`: how many tasks may have a row and a line in one interval, if it is as long as their life.
fn small(memory: Option<u64>, rows: u64) -> Result<()> {
    let memory = memory.unwrap_or(0);
    ensure!(
        memory <= MOST_MEMORY + rows * ROW,
        "the program took {} MiB",
        memory / MIB
    );
    Ok(())
}

/// 1,500 children a second append a page each to one file. After 20 s there are more of them with
/// dirty pages than there are slots.
fn forks(mut run: Run<'_>) -> Result<()> {
    let seconds = match env::var_os(LONG) {
        Some(_) => 60,
        None if emulated() => 4,
        None => 24,
    };
    run.allow(Duration::from_secs(2 * seconds));
    let file = run.file("shared");
    let _settings = no_writeback()?;
    run.trace_with(&["-d", "1"])?;
    let rate = many(1500).to_string();
    let mut writer = Writer::start("gt-forks", &["forks", &file, &rate, &seconds.to_string()])?;
    writer.go()?;
    let said = writer.done(run.deadline)?;
    let forks = said[0]
        .strip_prefix("forks ")
        .context("no number")?
        .parse::<u64>()?;
    writer.exit(run.deadline)?;
    run.flush()?;
    run.metadata = 64 * MIB;
    // Some writes to the file are counted without its name while facts are short.
    run.may_lose = &["fact_inodes"];
    let memory = run.tracer_pid()?.map(most_memory).transpose()?;
    let Some(report) = run.finish(forks * PAGE, 0)? else {
        return Ok(());
    };
    let data = written(&report, "gt-forks")?;
    ensure!(data == forks * PAGE, "{forks} children wrote {data} bytes");
    nothing_overflowed(&report)?;
    small(memory, 0)
}

/// 36,000 threads rewrite a file each, beside a process that writes steadily.
fn rewriters(mut run: Run<'_>) -> Result<()> {
    let count = many(36_000);
    run.allow(Duration::from_secs(180));
    let dir = run.file("");
    let dir = dir.trim_end_matches('/');
    run.to_end(
        "gt-before",
        &["files", dir, &count.to_string(), &PAGE.to_string()],
    )?;
    run.flush()?;
    let _settings = no_writeback()?;
    run.trace_with(&["-d", "1"])?;
    let (own, over) = (run.file("own"), run.file("over"));
    let mut alone = Writer::start("gt-alone", &["until", &own, &over])?;
    alone.go()?;
    run.to_end(
        "gt-crowd",
        &["crowd_of_files", dir, "0", &count.to_string()],
    )?;
    run.flush()?;
    sleep(Duration::from_secs(1));
    fs::write(&over, "")?;
    let said = alone.done(run.deadline)?;
    let len = said[0]
        .strip_prefix("wrote ")
        .context("no number")?
        .parse::<u64>()?;
    let pid = alone.exit(run.deadline)?;
    run.flush()?;
    run.metadata = 256 * MIB;
    run.metadata_reads = 64 * MIB;
    run.may_lose = &["paths", "fact_inodes"];
    let memory = run.tracer_pid()?.map(most_memory).transpose()?;
    let Some(report) = run.finish(count * PAGE + len, 0)? else {
        return Ok(());
    };
    let own = report
        .owners()?
        .remove(&("gt-alone", pid))
        .context("no bystander")?;
    let bystander = own.written + own.shared;
    ensure!(
        bystander == len,
        "the bystander wrote {len}, not {bystander}"
    );
    ensure!(own.shared == 0, "{} of its bytes are estimated", own.shared);
    let crowd = written(&report, "gt-crowd")?;
    ensure!(
        crowd == count * PAGE,
        "the crowd wrote {crowd}, not {}",
        count * PAGE
    );
    nothing_overflowed(&report)?;
    small(memory, count)
}

/// 20,000 threads, of which 200 write, exit at once. No exit is lost: `Run::finish` checks that.
fn threads(mut run: Run<'_>) -> Result<()> {
    let (count, active) = (many(20_000), 200);
    run.allow(Duration::from_secs(120));
    let file = run.file("file");
    // Each thread has four mappings.
    let _mappings = Setting::vm("max_map_count", 5 * count)?;
    run.trace_with(&["-d", "1", "-o"])?;
    let args = [
        "idle_threads",
        &file,
        &count.to_string(),
        &active.to_string(),
    ];
    run.to_end("gt-threads", &args)?;
    run.flush()?;
    let memory = run.tracer_pid()?.map(most_memory).transpose()?;
    run.metadata = 16 * MIB;
    let Some(report) = run.finish(active * PAGE, 0)? else {
        return Ok(());
    };
    let data = written(&report, "gt-threads")?;
    ensure!(data == active * PAGE, "{active} threads wrote {data} bytes");
    nothing_overflowed(&report)?;
    small(memory, 0)
}
