//! The program's lines while it runs: whether each interval adds up, what was lost, and how
//! much is pending.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What the lines said so far.
#[derive(Debug, Default)]
pub struct Intervals {
    pub count: u64,
    pub lines: u64,
    pub bytes: u64,
    /// The longest line, bytes.
    pub longest: u64,
    /// Bytes that were written.
    pub written: u64,
    pub pgpgout: u64,
    /// Bytes of data, journals and metadata that have an owner.
    pub owned: u64,
    /// Bytes without an owner, by reason.
    pub unattributed: BTreeMap<String, u64>,
    pub lost: BTreeMap<String, u64>,
    /// Tasks that exited.
    pub exited: u64,
    /// Of the last interval whose lines are all here.
    pub levels: Levels,
    /// Intervals whose parts are not their sum.
    pub wrong: Vec<String>,
    /// Of the interval whose lines come now.
    now: Levels,
}

/// Bytes at the end of an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Levels {
    /// By /proc/vmstat.
    pub dirty: u64,
    /// Pending, of all tasks.
    pub pending: u64,
}

impl Intervals {
    /// Adds a line.
    ///
    /// # Errors
    ///
    /// The line lacks a field.
    pub fn add(&mut self, line: &str) -> Result<()> {
        self.lines += 1;
        self.bytes += line.len() as u64;
        self.longest = self.longest.max(line.len() as u64);
        if line.contains(r#""type":"system""#) {
            return self.system(&serde_json::from_str(line)?);
        }
        // There may be thousands of lines, and this program is built without optimization: it
        // must not be slower than the one that it reads.
        self.now.pending += number_after(line, r#""dirty_pending_bytes":"#).unwrap_or(0);
        Ok(())
    }

    fn system(&mut self, line: &Value) -> Result<()> {
        let number = |name: &str| {
            let value = &line[name];
            value.as_u64().with_context(|| format!("{name} is {value}"))
        };
        let written = number("block_write_bytes")?;
        let owned = number("attributed_write_bytes")? + number("shared_write_bytes")?;
        let without = number("unattributed_write_bytes")?;
        if owned + without != written {
            let seq = &line["seq"];
            self.wrong.push(format!(
                "interval {seq}: {owned} bytes with an owner and {without} without one are not {written}"
            ));
        }
        self.count += 1;
        self.written += written;
        self.owned += owned;
        self.pgpgout += number("pgpgout_bytes")?;
        // Its tasks' lines follow.
        let now = Levels {
            dirty: number("dirty_bytes")?,
            pending: 0,
        };
        self.levels = std::mem::replace(&mut self.now, now);
        self.exited += line["tasks"]["exited"].as_u64().unwrap_or(0);
        add(&mut self.unattributed, &line["unattributed"]);
        add(&mut self.lost, &line["lost"]);
        Ok(())
    }
}

/// The number that follows a text.
fn number_after(line: &str, text: &str) -> Option<u64> {
    let (_, rest) = line.split_once(text)?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    rest[..end].parse().ok()
}

/// Checks that the two counters of all written bytes agree. They are not read at one instant,
/// so what is written meanwhile may be in one of them only.
pub fn check_pgpgout(intervals: &Intervals) -> Result<()> {
    let (written, pgpgout) = (intervals.written, intervals.pgpgout);
    let slack = (16 << 20) + written / 1000;
    ensure!(
        written.abs_diff(pgpgout) <= slack,
        "{written} bytes were written in all intervals, and pgpgout has {pgpgout}"
    );
    Ok(())
}

/// Checks that nothing was lost, and that no bytes are without an owner because there was no
/// room for it. Events are missed where a task may be preempted inside a tracepoint, and
/// intervals where this program reads too slowly.
pub fn check_losses(intervals: &Intervals) -> Result<()> {
    let is_loss = |name: &str| !matches!(name, "missed_events" | "intervals");
    let lost = intervals.lost.iter().filter(|(name, _)| is_loss(name));
    let lost: Vec<String> = lost
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    ensure!(lost.is_empty(), "lost: {}", lost.join(", "));
    let overflow = intervals.unattributed.get("overflow").copied();
    let overflow = overflow.unwrap_or_default();
    ensure!(overflow == 0, "{overflow} bytes are overflow");
    Ok(())
}

fn add(sum: &mut BTreeMap<String, u64>, parts: &Value) {
    for (name, count) in parts.as_object().into_iter().flatten() {
        if let Some(count) = count.as_u64().filter(|count| *count > 0) {
            *sum.entry(name.clone()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(unattributed: u64) -> String {
        format!(
            r#"{{"type":"system","seq":4,"block_write_bytes":30,"attributed_write_bytes":10,
            "shared_write_bytes":5,"unattributed_write_bytes":{unattributed},"pgpgout_bytes":30,
            "dirty_bytes":7,"tasks":{{"exited":2}},"unattributed":{{"swap":15}},
            "lost":{{"facts":1,"tags":0,"intervals":null}}}}"#
        )
    }

    #[test]
    fn an_interval_whose_parts_are_not_its_sum_is_named() -> Result<()> {
        let mut intervals = Intervals::default();
        intervals.add(&system(15))?;
        assert!(intervals.wrong.is_empty());
        assert_eq!(
            (intervals.owned, intervals.written, intervals.exited),
            (15, 30, 2)
        );
        assert_eq!(intervals.lost, BTreeMap::from([("facts".to_owned(), 1)]));
        intervals.add(&system(14))?;
        assert!(
            intervals.wrong[0].starts_with("interval 4: 15 bytes"),
            "{:?}",
            intervals.wrong
        );
        Ok(())
    }

    #[test]
    fn pending_bytes_are_those_of_one_interval() -> Result<()> {
        let mut intervals = Intervals::default();
        let task = |pending: &str| {
            format!(r#"{{"type":"task","tid":1,"dirty_pending_bytes":{pending},"x":1}}"#)
        };
        intervals.add(&system(15))?;
        for pending in ["10", "5", "null"] {
            intervals.add(&task(pending))?;
        }
        assert_eq!(intervals.levels, Levels::default());
        intervals.add(&system(15))?;
        let whole = Levels {
            dirty: 7,
            pending: 15,
        };
        assert_eq!(intervals.levels, whole);
        Ok(())
    }

    #[test]
    fn losses_and_overflow_are_wrong() {
        let one = |name: &str| BTreeMap::from([(name.to_owned(), 1)]);
        let of = |lost: &str, unattributed: &str| {
            check_losses(&Intervals {
                lost: one(lost),
                unattributed: one(unattributed),
                ..Intervals::default()
            })
        };
        assert!(of("missed_events", "swap").is_ok());
        assert!(of("tags", "swap").is_err());
        assert!(of("missed_events", "overflow").is_err());
    }

    #[test]
    fn pgpgout_may_differ_only_by_what_is_written_meanwhile() {
        let of = |written, pgpgout| {
            check_pgpgout(&Intervals {
                written,
                pgpgout,
                ..Intervals::default()
            })
        };
        assert!(of(1 << 30, (1 << 30) + (17 << 20)).is_ok());
        assert!(of(1 << 30, (1 << 30) + (18 << 20)).is_err());
    }
}
