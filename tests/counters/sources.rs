//! The sources agree: the eBPF iterator reports what /proc does, and netlink the same
//! except that the kernel rounds it down.

use anyhow::{Context, Result, ensure};

use super::MIB;
use super::io::{Io, same, sum, until_the_end};
use super::stage::Stage;
use super::support::process::Writer;
use super::support::tracer::Tracer;

/// Enough calls that taskstats does not round them down to 0.
const CALLS: &str = "5000";
const SIZE: &str = "1001";

struct Both {
    iterator: Tracer,
    netlink: Tracer,
}

impl Both {
    fn start() -> Result<Both> {
        Ok(Both {
            iterator: Tracer::start(&["-d", "0.3"])?,
            netlink: Tracer::start(&["-d", "0.3", "--no-ebpf"])?,
        })
    }

    /// Ends both, and returns what they report of a process.
    fn stop(self, who: &str, pid: u64) -> Result<(Io, Io)> {
        let iterator = self.iterator.stop(&format!("{who}-iterator"))?;
        let netlink = self.netlink.stop(&format!("{who}-netlink"))?;
        let of_it = [("pid", pid)];
        let exact = sum(&iterator, &of_it).context("with eBPF")?;
        let rounded = sum(&netlink, &of_it).context("with --no-ebpf")?;
        Ok((exact, rounded))
    }
}

/// An actor that reads, writes and truncates, so that all seven counters change.
fn busy(stage: &Stage<'_>, comm: &str) -> Result<(Writer, Io)> {
    let source = stage.file(&format!("{comm}-source"));
    let target = stage.file(&format!("{comm}-target"));
    let len = (8 * MIB).to_string();
    let mut maker = stage.actor("c-maker", &[&["fsync", &source, &len], &["evict", &source]])?;
    stage.step(&mut maker)?;
    stage.step(&mut maker)?;
    maker.exit(stage.deadline)?;
    let steps: &[&[&str]] = &[
        &["sips", &source, CALLS, SIZE],
        &["pieces", &target, CALLS, SIZE],
        &["truncate", &target],
        &["pieces", &target, CALLS, SIZE],
    ];
    let mut actor = stage.actor(comm, steps)?;
    for _ in steps {
        stage.step(&mut actor)?;
    }
    let truth = Io::of_process(actor.pid())?;
    let every = truth.as_taskstats();
    ensure!(
        every.read_syscalls > 0
            && every.write_syscalls > 0
            && every.read_bytes > 0
            && every.write_bytes > 0
            && every.cancelled_write_bytes > 0,
        "the case is wrong: {truth:?}"
    );
    let whole = truth == every;
    ensure!(!whole, "the case is wrong, nothing is rounded: {truth:?}");
    Ok((actor, truth))
}

pub fn live(stage: &Stage<'_>) -> Result<()> {
    let both = Both::start()?;
    let (actor, truth) = busy(stage, "c-live")?;
    let (exact, rounded) = both.stop("live", actor.pid())?;
    same("eBPF and /proc", exact, truth)?;
    same("netlink and /proc", rounded, truth.as_taskstats())
}

pub fn exited(stage: &Stage<'_>) -> Result<()> {
    let both = Both::start()?;
    let (actor, truth) = busy(stage, "c-exited")?;
    let pid = actor.exit(stage.deadline)?;
    let (exact, rounded) = both.stop("exited", pid)?;
    until_the_end("eBPF and /proc", exact, truth)?;
    same("netlink and eBPF", rounded, exact.as_taskstats())
}
