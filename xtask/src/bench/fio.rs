//! The loads, and what fio says about a run of one.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::cpu;
use super::disk::Disk;
use crate::process;

/// One load. All of them use the same file of 1 GiB.
#[derive(Debug, PartialEq, Eq)]
pub struct Load {
    pub name: &'static str,
    options: &'static [&'static str],
}

/// Every page of the file in order and their writeback, four times.
pub const BUFFERED_SEQUENTIAL: Load = Load {
    name: "buffered sequential write",
    options: &[
        "--rw=write",
        "--bs=128k",
        "--io_size=4g",
        "--fsync=8192",
        "--end_fsync=1",
    ],
};

/// A quarter of the file's pages, few of them neighbours, and their writeback;
/// then the next quarter.
pub const BUFFERED_RANDOM: Load = Load {
    name: "buffered 4 KiB random write",
    options: &[
        "--rw=randwrite",
        "--bs=4k",
        "--io_size=1g",
        "--fsync=65536",
        "--end_fsync=1",
    ],
};

/// Every other page of the file in order and their writeback: each bio carries
/// one page.
pub const BUFFERED_HOLES: Load = Load {
    name: "buffered write of every other page",
    options: &[
        "--rw=write:4k",
        "--bs=4k",
        "--io_size=512m",
        "--end_fsync=1",
    ],
};

/// As many reads as the disk can do.
pub const DIRECT_READ: Load = Load {
    name: "direct 4 KiB random read",
    options: &["--rw=randread", DIRECT, LIBAIO, QUEUE, TIMED, SECONDS],
};

/// As many writes as the disk can do.
pub const DIRECT_WRITE: Load = Load {
    name: "direct 4 KiB random write",
    options: &["--rw=randwrite", DIRECT, LIBAIO, QUEUE, TIMED, SECONDS],
};

pub const ALL: [Load; 4] = [
    BUFFERED_SEQUENTIAL,
    BUFFERED_RANDOM,
    DIRECT_READ,
    DIRECT_WRITE,
];

const DIRECT: &str = "--direct=1";
const LIBAIO: &str = "--ioengine=libaio";
const QUEUE: &str = "--iodepth=32";
const TIMED: &str = "--time_based";
const SECONDS: &str = "--runtime=2";

/// What one run of a load did.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub bytes_per_second: f64,
    /// CPU time of fio's own thread for each I/O, ns.
    pub own_cpu: f64,
    /// CPU time of the whole machine for each I/O, ns: flushers, loop workers,
    /// the tracer, and whatever else runs.
    pub all_cpu: f64,
}

/// Runs a load from a clean start.
pub fn run(load: &Load, disk: &Disk) -> Result<Outcome> {
    disk.sync()?;
    let mut fio = Command::new("fio");
    fio.args([
        "--output-format=json",
        "--name=bench",
        "--size=1g",
        "--thread",
    ])
    .arg(format!("--filename={}", disk.file().display()))
    .args(load.options);
    let before = cpu::busy()?;
    let report = process::output(&mut fio).context("fio is installed by `cargo xtask setup`")?;
    let all_cpu = cpu::busy()?.saturating_sub(before);
    let json = report.find('{').map_or("", |start| &report[start..]);
    serde_json::from_str(json)
        .ok()
        .and_then(|report| outcome(&report, all_cpu))
        .with_context(|| format!("fio's report of {} lacks a figure:\n{report}", load.name))
}

fn outcome(report: &Value, all_cpu: Duration) -> Option<Outcome> {
    let job = report.get("jobs")?.get(0)?;
    let sum = |field: &str| {
        let of = |direction: &str| job.get(direction)?.get(field)?.as_f64();
        Some(of("read")? + of("write")?)
    };
    let ios = sum("total_ios")?;
    let milliseconds = job.get("job_runtime")?.as_f64()?;
    let percent = job.get("usr_cpu")?.as_f64()? + job.get("sys_cpu")?.as_f64()?;
    Some(Outcome {
        bytes_per_second: sum("bw_bytes")?,
        own_cpu: milliseconds * 1e6 * percent / 100.0 / ios,
        all_cpu: all_cpu.as_nanos() as f64 / ios,
    })
    .filter(|_| ios > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_taken_from_the_direction_that_was_used() -> Result<()> {
        let report = serde_json::json!({"jobs": [{
            "job_runtime": 2000, "usr_cpu": 10.0, "sys_cpu": 40.0,
            "read": {"total_ios": 0, "bw_bytes": 0},
            "write": {"total_ios": 1000, "bw_bytes": 4096},
        }]});
        let outcome = outcome(&report, Duration::from_millis(3)).context("figures")?;
        assert_eq!(outcome.bytes_per_second, 4096.0);
        assert_eq!(outcome.own_cpu, 1_000_000.0);
        assert_eq!(outcome.all_cpu, 3_000.0);
        Ok(())
    }

    #[test]
    fn a_run_without_io_has_no_figures() {
        let nothing = serde_json::json!({"total_ios": 0, "bw_bytes": 0});
        let report = serde_json::json!({"jobs": [{
            "job_runtime": 0, "usr_cpu": 0.0, "sys_cpu": 0.0, "read": nothing, "write": nothing,
        }]});
        assert!(outcome(&report, Duration::ZERO).is_none());
    }
}
