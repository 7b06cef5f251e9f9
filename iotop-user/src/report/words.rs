//! A row's cost and its pattern in words.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{OnOneDevice, Report, Usage};
use crate::{
    escape::escape,
    output::{
        grouped,
        units::{self, long},
    },
};

/// At most this many reasons are named.
const REASONS: usize = 4;

pub(crate) fn bytes(n: u64) -> String {
    units::bytes(n as f64, false)
}

/// Decimal gigabytes, as the endurance of drives is given.
pub(super) fn gigabytes(bytes: Option<f64>) -> String {
    decimals(bytes.map(|bytes| bytes / 1e9))
}

/// Terabytes a year at a rate of so many bytes a day.
pub(super) fn terabytes_a_year(per_day: Option<f64>) -> String {
    decimals(per_day.map(|bytes| bytes * 365.0 / 1e12))
}

fn decimals(n: Option<f64>) -> String {
    match n {
        None => units::UNKNOWN.to_owned(),
        Some(n) if n > 0.0 && n < 0.005 => "<0.01".to_owned(),
        Some(n) if n < 9999.995 => format!("{n:.2}"),
        Some(n) => format!("{n:.0}"),
    }
}

/// A part in percent; what is not 0 is never printed as 0.
pub(super) fn percent(part: Option<f64>) -> String {
    match part {
        None => units::UNKNOWN.to_owned(),
        Some(part) if part > 0.0 && part < 0.0005 => "<0.1%".to_owned(),
        Some(part) => format!("{:.1}%", 100.0 * part),
    }
}

/// What a row did, and what reached devices because of it: `wrote 12.00M in 40,000 writes, 400
/// syncs, dirtied 14.00M -> 1.30G on sda1 (111x): 160.00M data, 1.14G journal`.
pub(super) fn cost(usage: &Usage, report: &Report) -> String {
    let mut did = Vec::new();
    match (usage.write_char, usage.write_syscalls) {
        (Some(0), Some(0)) => did.push("wrote nothing with write()".to_owned()),
        (Some(written), Some(1)) => did.push(format!("wrote {} in 1 write", bytes(written))),
        (Some(written), Some(calls)) => {
            did.push(format!(
                "wrote {} in {} writes",
                bytes(written),
                grouped(calls)
            ));
        }
        (Some(written), None) => did.push(format!("wrote {}", bytes(written))),
        (None, _) => {}
    }
    match (usage.syncs, did.last_mut()) {
        (None | Some(0), _) | (_, None) => {}
        (Some(1), Some(wrote)) => wrote.push_str(", 1 sync"),
        (Some(syncs), Some(wrote)) => wrote.push_str(&format!(", {} syncs", grouped(syncs))),
    }
    if let Some(dirtied) = usage.dirtied.filter(|bytes| *bytes != 0) {
        did.push(format!("dirtied {}", bytes(dirtied)));
    }
    if let Some(dropped) = usage.dropped.filter(|bytes| *bytes != 0) {
        did.push(format!("dropped {} of it", bytes(dropped)));
    }
    let arrow = if did.is_empty() { "" } else { " -> " };
    format!("{}{arrow}{}", did.join(", "), reached(usage, report))
}

/// What reached devices: `1.30G on sda1 (111x): 160.00M data, 1.14G journal`.
fn reached(usage: &Usage, report: &Report) -> String {
    if usage.caused() == 0 {
        return "nothing on devices".to_owned();
    }
    let ratio = usage.amplification();
    let ratio = ratio.map_or(String::new(), |n| format!(" ({})", units::ratio(n)));
    let metadata = &usage.metadata;
    let parts = [
        (usage.exact + usage.shared, "data"),
        (metadata.journal, "journal"),
        (metadata.home, "metadata in its place"),
        (metadata.tree, "trees"),
    ];
    let parts = parts.iter().filter(|(n, _)| *n != 0);
    let parts: Vec<String> = parts
        .map(|(n, what)| format!("{} {what}", bytes(*n)))
        .collect();
    format!(
        "{} on {}{ratio}: {}",
        bytes(usage.caused()),
        devices(usage, report),
        parts.join(", ")
    )
}

/// The devices, largest first; with their bytes if there are several.
fn devices(usage: &Usage, report: &Report) -> String {
    let mut devices: Vec<_> = usage.devices.iter().collect();
    let size = |on: &OnOneDevice| on.data + on.metadata;
    devices.sort_by_key(|(number, on)| (std::cmp::Reverse(size(on)), **number));
    let name = |(major, minor): (u32, u32)| match report.span.devices.get(&(major, minor)) {
        Some(name) => escape(name).into_owned(),
        None => format!("{major}:{minor}"),
    };
    match &devices[..] {
        [(number, _)] => name(**number),
        several => {
            let parts = several
                .iter()
                .map(|(number, on)| format!("{} {}", name(**number), bytes(size(on))));
            parts.collect::<Vec<_>>().join(" + ")
        }
    }
}

/// A small part in words: `1/1800`; `none` of nothing.
pub(crate) fn part(part: u64, all: u64) -> String {
    match part {
        0 => "none".to_owned(),
        // At least a tenth.
        part if part >= all / 10 => percent(Some(part as f64 / all.max(1) as f64))
            .trim()
            .to_owned(),
        part => format!("1/{}", all / part),
    }
}

/// What asked for the writes: `fsync 93.0%, periodic 7.0%`; `None` if that is not known.
pub(super) fn reasons(usage: &Usage) -> Option<String> {
    let all: u64 = usage.reasons.values().sum();
    let mut reasons: Vec<(&Arc<str>, u64)> = usage
        .reasons
        .iter()
        .map(|(reason, n)| (reason, *n))
        .collect();
    reasons.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
    let least = all / 200;
    let (named, rest) = reasons.split_at(REASONS.min(reasons.len()));
    let named = named.iter().filter(|(_, n)| *n > least);
    let share = |n: u64| percent(Some(n as f64 / all as f64));
    let mut parts: Vec<String> = named
        .map(|(reason, n)| format!("{} {}", of_reason(reason), share(*n)))
        .collect();
    let rest: u64 = rest.iter().map(|(_, n)| n).sum();
    if rest > least {
        parts.push(format!("others {}", share(rest)));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What asked for the writes, and how regularly: `asked for by fsync 93.0%, periodic 7.0%; every
/// 5.0 s`; `None` if neither is known.
pub(super) fn pattern(usage: &Usage, periods: &[Duration]) -> Option<String> {
    let parts = [
        reasons(usage).map(|reasons| format!("asked for by {reasons}")),
        every(periods),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A reason in the words of who looks for its cause.
fn of_reason(reason: &str) -> String {
    let words = match reason {
        "write" | "pwrite" | "writev" | "pwritev" => return format!("O_SYNC {reason}"),
        "direct" => "O_DIRECT",
        "journal" => "journal commits",
        "home" => "metadata going home",
        "reclaim" => "memory reclaim",
        "task" => "an unknown call",
        "kthread" => "a kernel thread",
        other => other,
    };
    escape(words).into_owned()
}

/// How often commits were asked for: `asked for 500 commits (fsync 500)`.
pub(super) fn commits(commits: &BTreeMap<Arc<str>, u64>) -> Option<String> {
    let all: u64 = commits.values().sum();
    let mut calls: Vec<(&Arc<str>, u64)> = commits.iter().map(|(call, n)| (call, *n)).collect();
    calls.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
    let calls: Vec<String> = calls
        .iter()
        .take(REASONS)
        .map(|(call, n)| format!("{} {}", escape(call), grouped(*n)))
        .collect();
    let noun = if all == 1 { "commit" } else { "commits" };
    (all != 0).then(|| format!("asked for {} {noun} ({})", grouped(all), calls.join(", ")))
}

/// `every 5.0 s`, or `every 5.0 s and every 5m00s`.
pub(super) fn every(periods: &[Duration]) -> Option<String> {
    let periods: Vec<String> = periods
        .iter()
        .map(|one| format!("every {}", long(*one)))
        .collect();
    (!periods.is_empty()).then(|| periods.join(" and "))
}

/// How a file was written, after its bytes: `in 3,000 bios into a file of 27.00M (46603x)`. The
/// size is left out if it is not known.
pub(super) fn into_file(usage: &Usage, size: Option<u64>) -> String {
    let bios = match usage.bios {
        1 => "in 1 bio".to_owned(),
        n => format!("in {} bios", grouped(n)),
    };
    let into = match size {
        None => String::new(),
        Some(0) => " into a file that is empty now".to_owned(),
        Some(size) => {
            let times = usage.written() as f64 / size as f64;
            format!(" into a file of {} ({})", bytes(size), units::ratio(times))
        }
    };
    format!("{bios}{into}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewritten_file_is_compared_with_its_size() {
        let usage = Usage {
            exact: 1_319_413_953_331,
            bios: 3000,
            ..Usage::default()
        };
        let size = Some(27 << 20);
        let text = "in 3,000 bios into a file of 27.00M (46603x)";
        assert_eq!(into_file(&usage, size), text);
        assert_eq!(into_file(&usage, None), "in 3,000 bios");
        assert_eq!(
            into_file(&usage, Some(0)),
            "in 3,000 bios into a file that is empty now"
        );
    }

    #[test]
    fn nothing_is_printed_as_nothing_only_if_it_is() {
        assert_eq!(percent(Some(0.0)), "0.0%");
        assert_eq!(percent(Some(1e-9)), "<0.1%");
        assert_eq!(percent(None), "-");
        assert_eq!(gigabytes(Some(1.0)), "<0.01");
        assert_eq!(gigabytes(Some(0.0)), "0.00");
        assert_eq!(gigabytes(None), "-");
    }
}
