//! Many owners at once.

use std::collections::BTreeMap;
use std::fs::File;

use anyhow::{Context, Result, ensure};

use super::{MIB, owner, sized, together};
use crate::support::checks::near;
use crate::support::needs::emulated;
use crate::support::process::Writer;
use crate::support::run::Run;

/// Two writers at once: each owns what it wrote, three to one.
pub fn three_to_one(mut run: Run<'_>) -> Result<()> {
    let (more, less) = (sized(144 * MIB), sized(48 * MIB));
    run.trace()?;
    let (a, b) = (run.file("more"), run.file("less"));
    let pids = together(
        &run,
        &[
            ("gt-three", &["write", &a, "0", &more.to_string()]),
            ("gt-one", &["write", &b, "0", &less.to_string()]),
        ],
    )?;
    run.flush()?;
    let Some(report) = run.finish(more + less, 0)? else {
        return Ok(());
    };
    for ((comm, pid), len) in pids.into_iter().zip([more, less]) {
        near(comm, owner(&report, comm, pid)?.written, len)?;
    }
    Ok(())
}

/// Bytes of a page, as an argument of a writer.
const PAGE: &str = "4096";

/// Two writers of one file, one for even and one for odd pages: each owns its own
/// pages.
pub fn one_file(mut run: Run<'_>) -> Result<()> {
    let half = sized(32 * MIB);
    // btrfs reserves metadata for each of these pages as if it were an extent. It runs
    // out of it, and writes back what it has: fragments, and their items.
    run.metadata = 64 * MIB;
    let (file, len) = (run.file("file"), half.to_string());
    // On xfs, a write beyond the end of a file first fills the pages before it, so its
    // task would own the other writer's pages.
    File::create(&file)?.set_len(2 * half)?;
    run.trace()?;
    let pids = together(
        &run,
        &[
            ("gt-even", &["pieces", &file, "0", &len, PAGE, PAGE]),
            ("gt-odd", &["pieces", &file, PAGE, &len, PAGE, PAGE]),
        ],
    )?;
    run.flush()?;
    let Some(report) = run.finish(2 * half, 0)? else {
        return Ok(());
    };
    for (comm, pid) in pids {
        near(comm, owner(&report, comm, pid)?.written, half)?;
    }
    Ok(())
}

/// Threads are told apart, and belong to one process.
pub fn threads(mut run: Run<'_>) -> Result<()> {
    let lens = [8, 16, 24, 32].map(|len| sized(len * MIB));
    run.trace()?;
    let dir = run.file("");
    let numbers = lens.map(|len| len.to_string());
    let mut args = vec!["threads", dir.as_str()];
    args.extend(numbers.iter().map(String::as_str));
    let mut writer = Writer::start("gt-thread", &args)?;
    writer.go()?;
    let said = writer.done(run.deadline)?;
    let pid = writer.exit(run.deadline)?;
    run.flush()?;
    let Some(report) = run.finish(lens.iter().sum(), 0)? else {
        return Ok(());
    };
    for line in said {
        let words: Vec<&str> = line.split(' ').collect();
        let ["thread", number, tid] = words[..] else {
            anyhow::bail!("the writer said {line}");
        };
        let comm = format!("gt-thread{number}");
        let thread = owner(&report, &comm, pid)?;
        near(&comm, thread.written, lens[number.parse::<usize>()?])?;
        ensure!(
            thread.tids.iter().eq([&tid.parse::<u64>()?]),
            "{comm} is {tid}, not {:?}",
            thread.tids
        );
    }
    Ok(())
}

/// A process that lives for milliseconds has a line with its own name and all its
/// bytes.
pub fn short_lived(mut run: Run<'_>) -> Result<()> {
    const AT_ONCE: usize = 10;
    // An emulated machine needs long for each process.
    let count = if emulated() { 40 } else { 500 };
    let len = 64 * 1024;
    run.trace()?;
    let mut pids = BTreeMap::new();
    let comms: Vec<String> = (0..count).map(|n| format!("gt-brief{n}")).collect();
    for comms in comms.chunks(AT_ONCE) {
        let mut writers = Vec::new();
        for comm in comms {
            let file = run.file(comm);
            let writer = Writer::start(comm, &["write", &file, "0", &len.to_string()])?;
            writers.push((comm, writer));
        }
        for (_, writer) in &mut writers {
            writer.go()?;
        }
        for (comm, writer) in writers {
            pids.insert(comm.as_str(), writer.exit(run.deadline)?);
        }
    }
    run.flush()?;
    let Some(report) = run.finish(len * count as u64, 0)? else {
        return Ok(());
    };
    let owners = report.owners()?;
    for (comm, pid) in pids {
        let owner = owners.get(&(comm, pid));
        let owner = owner.with_context(|| format!("no task line of {comm}, {pid}"))?;
        // Exact: the bytes are so few that the usual slack would prove nothing.
        ensure!(
            owner.written == len,
            "{comm}: {} bytes, not {len}",
            owner.written
        );
        ensure!(owner.exited, "no line says that {comm} has exited");
    }
    Ok(())
}
