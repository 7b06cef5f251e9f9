//! How much a flush was, and how it was written.

use std::fmt::Write as _;

use super::{cell::Scale, contributors::share, explain::counted, units};
use crate::sample::{Demand, Flush, FlushReason, Sample, Task, Written};

/// How much it was, in which time, and which part of all that the device wrote.
pub(super) fn period(flush: &Flush, sample: &Sample) -> String {
    let written = flush.written.totals.write;
    let scale = Scale {
        interval: sample.interval,
        accumulated: false,
        kilobytes: false,
    };
    let device = sample.devices.iter().find(|(n, _)| *n == flush.device);
    let part = device.map_or(String::new(), |(_, totals)| {
        format!(", {} of the device's writes", share(written, totals.write))
    });
    format!(
        "{} in {} ({}{part})",
        bytes(written),
        units::duration(sample.interval),
        scale.rate(Some(written)),
    )
}

/// In how many bios, files and calls, and how large they were.
pub(super) fn how(flush: &Flush, submitters: usize, sample: &Sample) -> String {
    let Written { totals, bios, .. } = &flush.written;
    let each = |n: u64| bytes(totals.write / n.max(1));
    let mut text = match bios {
        0 | 1 => counted(*bios, "bio"),
        bios => format!("{bios} bios of {} on average", each(*bios)),
    };
    if flush.inodes != 0 {
        let _ = write!(text, ", {}", counted(flush.inodes, "file"));
    }
    // Only calls that made the file system commit are counted.
    if let (Some((call, n)), 1) = (calls(flush, sample), submitters) {
        let calls = counted(n, &format!("{call} call"));
        let each = each(n);
        let _ = write!(text, ", at least {calls} of at most {each} on average");
    }
    text
}

/// The system call in which the flush was submitted, and how often its submitter made the file
/// system commit with it.
fn calls(flush: &Flush, sample: &Sample) -> Option<(&'static str, u64)> {
    let FlushReason::Syscall(call) = flush.reason else {
        return None;
    };
    let submitter = flush.submitter.as_ref()?.key();
    let mut of_device = sample.flushes.iter().filter(|f| f.device == flush.device);
    let commits = of_device.find_map(|flush| flush.commits.as_ref())?;
    let is_its = |demand: &&Demand| {
        demand.call == Some(call) && demand.task.as_ref().map(Task::key) == Some(submitter)
    };
    let asked = commits.asked.iter().filter(is_its);
    let count = asked.map(|demand| demand.count).sum();
    (count != 0).then_some((call, count))
}

fn bytes(n: u64) -> String {
    units::bytes(n as f64, false)
}
