//! The sum of a trace's lines: whose bytes they are, and whether they add up.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes that tasks own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    pub exact: u64,
    /// All that is charged by estimate: data, journals and metadata.
    pub shared: u64,
    /// The parts of `shared` that are not data; `None` if the program does not tell them
    /// apart.
    pub metadata: Option<Metadata>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    pub journal: u64,
    pub home: u64,
    pub tree: u64,
}

/// One device's bytes.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// All that was written.
    pub written: u64,
    /// Of the tasks of the load.
    pub own: Owned,
    /// Of other tasks, by name.
    pub others: BTreeMap<String, u64>,
    /// Without an owner, by reason.
    pub unattributed: BTreeMap<String, u64>,
    /// Events that the tracer said it lost.
    pub lost: BTreeMap<String, u64>,
}

impl Owned {
    pub fn total(&self) -> u64 {
        self.exact + self.shared
    }

    fn of(line: &Value) -> Result<Owned> {
        let metadata = || {
            Some(Metadata {
                journal: line["journal_bytes"].as_u64()?,
                home: line["home_bytes"].as_u64()?,
                tree: line["tree_bytes"].as_u64()?,
            })
        };
        let owned = Owned {
            exact: number(line, "block_write_bytes")?,
            shared: number(line, "block_write_shared_bytes")?,
            metadata: metadata(),
        };
        ensure!(
            owned
                .metadata
                .is_none_or(|parts| parts.total() <= owned.shared),
            "journals and metadata are more than all shared bytes: {line}"
        );
        Ok(owned)
    }
}

impl std::ops::AddAssign for Owned {
    fn add_assign(&mut self, other: Owned) {
        self.exact += other.exact;
        self.shared += other.shared;
        self.metadata = match (self.metadata, other.metadata) {
            (Some(one), Some(other)) => Some(Metadata {
                journal: one.journal + other.journal,
                home: one.home + other.home,
                tree: one.tree + other.tree,
            }),
            _ => None,
        };
    }
}

impl Metadata {
    pub fn total(&self) -> u64 {
        self.journal + self.home + self.tree
    }
}

impl Tally {
    /// Adds up all lines of a trace of one device. The load's tasks are those of `uid`.
    ///
    /// # Errors
    ///
    /// A line lacks what it has to have, or the tasks' bytes are not the system's.
    pub fn of(lines: &[String], uid: u32) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut own = Owned {
            metadata: Some(Metadata::default()),
            ..Owned::default()
        };
        // What the system's lines say, and what is left of it after the tasks' lines.
        let mut exact = 0;
        let mut shared = 0;
        for text in lines {
            let line: Value = serde_json::from_str(text).with_context(|| text.clone())?;
            match line["type"].as_str() {
                Some("system") => {
                    exact += number(&line, "attributed_write_bytes")?;
                    shared += number(&line, "shared_write_bytes")?;
                    tally.written += number(&line, "block_write_bytes")?;
                    add_parts(&mut tally.unattributed, &line["unattributed"]);
                    add_parts(&mut tally.lost, &line["lost"]);
                }
                Some("task") => {
                    let owned = Owned::of(&line)?;
                    exact = exact.checked_sub(owned.exact).context(too_much("exact"))?;
                    shared = shared
                        .checked_sub(owned.shared)
                        .context(too_much("shared"))?;
                    if line["uid"].as_u64() == Some(u64::from(uid)) {
                        own += owned;
                    } else if owned.total() > 0 {
                        *tally.others.entry(name(&line)?).or_default() += owned.total();
                    }
                }
                Some("flush" | "spike") => {}
                other => bail!("a line of type {other:?}: {text}"),
            }
        }
        ensure!(
            exact == 0 && shared == 0,
            "{exact} exact and {shared} shared bytes are in no task's line"
        );
        // A lower device's copy of an upper write is not part of the sum.
        tally.unattributed.remove("stacked");
        tally.own = own;
        let parts = tally.own.total() + tally.others() + tally.unattributed();
        ensure!(
            parts == tally.written,
            "the parts are {parts} bytes and the sum is {}",
            tally.written
        );
        Ok(tally)
    }

    pub fn others(&self) -> u64 {
        self.others.values().sum()
    }

    pub fn unattributed(&self) -> u64 {
        self.unattributed.values().sum()
    }
}

fn too_much(what: &str) -> String {
    format!("tasks have more {what} bytes than the system")
}

/// A number that has to be known.
fn number(line: &Value, field: &str) -> Result<u64> {
    let value = &line[field];
    value
        .as_u64()
        .with_context(|| format!("{field} is {value}: is the kernel half loaded?"))
}

/// Adds the parts that are known and not 0.
fn add_parts(sum: &mut BTreeMap<String, u64>, parts: &Value) {
    for (name, count) in parts.as_object().into_iter().flatten() {
        match count.as_u64() {
            None | Some(0) => {}
            Some(count) => *sum.entry(name.clone()).or_default() += count,
        }
    }
}

/// A task's name. Kernel threads of one kind have one name.
fn name(line: &Value) -> Result<String> {
    let comm = line["comm"].as_str().context("a task without a name")?;
    if line["kthread"].as_bool() != Some(true) {
        return Ok(comm.to_owned());
    }
    let kind = comm.split(['/', ':']).next().unwrap_or(comm);
    Ok(format!("[{kind}]"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOBODY: u32 = 65534;

    fn system(exact: u64, shared: u64, metadata: u64) -> String {
        json!({
            "type": "system",
            "attributed_write_bytes": exact,
            "shared_write_bytes": shared,
            "block_write_bytes": exact + shared + metadata,
            "unattributed": {"metadata": metadata, "pre_trace": 0, "stacked": 99},
            "lost": {"facts": null, "tags": 2, "flushes": 0},
        })
        .to_string()
    }

    fn task(comm: &str, uid: u32, exact: u64, shared: u64) -> Value {
        json!({
            "type": "task", "comm": comm, "uid": uid, "kthread": comm.starts_with("kworker"),
            "block_write_bytes": exact, "block_write_shared_bytes": shared,
        })
    }

    #[test]
    fn bytes_of_the_user_are_the_loads_and_others_have_names() -> Result<()> {
        let lines = [
            system(100, 10, 5),
            task("load", NOBODY, 70, 4).to_string(),
            task("sync", 0, 20, 0).to_string(),
            task("kworker/u8:1", 0, 10, 3).to_string(),
            task("kworker/0:2", 0, 0, 3).to_string(),
            r#"{"type":"flush"}"#.to_owned(),
        ];
        let tally = Tally::of(&lines, NOBODY)?;
        assert_eq!((tally.own.exact, tally.own.shared), (70, 4));
        assert_eq!(tally.own.metadata, None);
        let others = [("[kworker]", 16), ("sync", 20)];
        let others = others.map(|(name, bytes)| (name.to_owned(), bytes));
        assert_eq!(tally.others, BTreeMap::from(others));
        assert_eq!(tally.unattributed(), 5);
        assert_eq!(tally.lost, BTreeMap::from([("tags".to_owned(), 2)]));
        assert_eq!(tally.written, 115);
        Ok(())
    }

    #[test]
    fn kinds_of_metadata_are_added_up_when_every_line_has_them() -> Result<()> {
        let mut one = task("load", NOBODY, 0, 10);
        for (field, bytes) in [("journal_bytes", 5), ("home_bytes", 2), ("tree_bytes", 1)] {
            one[field] = json!(bytes);
        }
        let lines = [system(0, 20, 0), one.to_string(), one.to_string()];
        let expected = Metadata {
            journal: 10,
            home: 4,
            tree: 2,
        };
        assert_eq!(Tally::of(&lines, NOBODY)?.own.metadata, Some(expected));
        one["journal_bytes"] = json!(8);
        let lines = [system(0, 10, 0), one.to_string()];
        assert!(Tally::of(&lines, NOBODY).is_err(), "11 of 10 bytes");
        Ok(())
    }

    #[test]
    fn a_tasks_bytes_that_the_system_lacks_are_an_error_and_so_is_the_reverse() {
        let of = |exact| {
            let lines = [system(10, 0, 0), task("load", NOBODY, exact, 0).to_string()];
            Tally::of(&lines, NOBODY)
        };
        assert!(of(10).is_ok());
        assert!(of(9).is_err());
        assert!(of(11).is_err());
    }

    #[test]
    fn unknown_bytes_are_an_error() {
        let line =
            system(1, 0, 0).replace("\"shared_write_bytes\":0", "\"shared_write_bytes\":null");
        assert!(Tally::of(&[line], NOBODY).is_err());
    }
}
