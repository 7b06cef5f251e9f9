//! A run of fio, and what it says about it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// What fio did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    pub bytes_per_second: f64,
    pub ios: f64,
    /// CPU time of fio's own threads, ns.
    pub cpu_ns: f64,
}

/// Runs fio on a file; `options` are its own, without their dashes. It leaves
/// the file's pages in memory as they are.
pub fn run(file: &Path, options: &str) -> Result<Report> {
    let mut fio = Command::new("fio");
    fio.args([
        "--output-format=json",
        "--name=bench",
        "--thread",
        "--group_reporting",
        "--invalidate=0",
    ])
    .arg(format!("--filename={}", file.display()))
    .args(
        options
            .split_whitespace()
            .map(|option| format!("--{option}")),
    );
    let report = process::output(&mut fio).context("fio is installed by `cargo xtask setup`")?;
    let json = report.find('{').map_or("", |start| &report[start..]);
    serde_json::from_str(json)
        .ok()
        .and_then(|report| parse(&report))
        .with_context(|| format!("fio's report lacks a figure:\n{report}"))
}

fn parse(report: &Value) -> Option<Report> {
    let job = report.get("jobs")?.get(0)?;
    let sum = |field: &str| {
        let of = |direction: &str| job.get(direction)?.get(field)?.as_f64();
        Some(of("read")? + of("write")?)
    };
    let milliseconds = job.get("job_runtime")?.as_f64()?;
    let percent = job.get("usr_cpu")?.as_f64()? + job.get("sys_cpu")?.as_f64()?;
    Some(Report {
        bytes_per_second: sum("bw_bytes")?,
        ios: sum("total_ios")?,
        cpu_ns: milliseconds * 1e6 * percent / 100.0,
    })
    .filter(|report| report.ios > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_taken_from_the_direction_that_was_used() {
        let report = serde_json::json!({"jobs": [{
            "job_runtime": 2000, "usr_cpu": 10.0, "sys_cpu": 40.0,
            "read": {"total_ios": 0, "bw_bytes": 0},
            "write": {"total_ios": 1000, "bw_bytes": 4096},
        }]});
        let expected = Report {
            bytes_per_second: 4096.0,
            ios: 1000.0,
            cpu_ns: 1e9,
        };
        assert_eq!(parse(&report), Some(expected));
    }

    #[test]
    fn a_run_without_io_has_no_figures() {
        let nothing = serde_json::json!({"total_ios": 0, "bw_bytes": 0});
        let report = serde_json::json!({"jobs": [{
            "job_runtime": 0, "usr_cpu": 0.0, "sys_cpu": 0.0, "read": nothing, "write": nothing,
        }]});
        assert_eq!(parse(&report), None);
    }
}
