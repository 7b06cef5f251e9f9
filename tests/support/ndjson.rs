//! The tracer's NDJSON lines. They are checked against the format while they are read,
//! and summed up by owner.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

/// One line. Every accessor fails if the field is missing.
pub struct Line(Map<String, Value>);

impl Line {
    pub fn parse(text: &str) -> Result<Line> {
        let line: Value = serde_json::from_str(text).with_context(|| format!("line {text:?}"))?;
        match line {
            Value::Object(fields) => Ok(Line(fields)),
            _ => bail!("not an object: {text}"),
        }
    }

    pub fn field(&self, name: &str) -> Result<&Value> {
        let kind = self.0.get("type").and_then(Value::as_str).unwrap_or("?");
        self.0
            .get(name)
            .with_context(|| format!("a {kind} line has no field {name}"))
    }

    /// A number; `None` if it is unknown.
    pub fn maybe(&self, name: &str) -> Result<Option<u64>> {
        let value = self.field(name)?;
        if value.is_null() {
            return Ok(None);
        }
        let number = value.as_u64();
        ensure!(number.is_some(), "{name} is {value}, not a whole number");
        Ok(number)
    }

    /// A number that has to be known.
    pub fn number(&self, name: &str) -> Result<u64> {
        self.maybe(name)?
            .with_context(|| format!("{name} is null although tracing is on"))
    }

    pub fn text(&self, name: &str) -> Result<&str> {
        let value = self.field(name)?;
        value
            .as_str()
            .with_context(|| format!("{name} is {value}, not a string"))
    }

    pub fn flag(&self, name: &str) -> Result<bool> {
        let value = self.field(name)?;
        value
            .as_bool()
            .with_context(|| format!("{name} is {value}, not true or false"))
    }

    /// The owners of a flush or a spike.
    pub fn owners(&self) -> Result<&Vec<Value>> {
        self.field("owners")?.as_array().context("no owners")
    }

    /// An object of numbers, as `lost` and `unattributed` are.
    pub fn numbers(&self, name: &str) -> Result<BTreeMap<&str, Option<u64>>> {
        let fields = self.field(name)?.as_object();
        fields
            .with_context(|| format!("{name} is not an object"))?
            .iter()
            .map(|(key, value)| match value.as_u64() {
                None if !value.is_null() => bail!("{name}.{key} is {value}"),
                number => Ok((key.as_str(), number)),
            })
            .collect()
    }
}

/// One owner's part of a flush.
pub struct Part<'a> {
    pub flush: &'a Line,
    pub owner: &'a Value,
}

impl<'a> Part<'a> {
    /// The bytes of its data, without journals and metadata.
    pub fn bytes(&self) -> Result<u64> {
        data_of(self.owner)
    }

    /// All bytes.
    pub fn all_bytes(&self) -> Result<u64> {
        self.owner["bytes"].as_u64().context("no bytes")
    }

    /// The bytes of the data of all parts.
    pub fn sum(parts: &[Part<'_>]) -> Result<u64> {
        parts.iter().map(Part::bytes).sum()
    }

    pub fn runs(&self) -> Result<&'a Vec<Value>> {
        self.flush.field("runs")?.as_array().context("no runs")
    }
}

/// The bytes of an owner of a flush or spike that are data, exact and by estimate.
pub fn data_of(owner: &Value) -> Result<u64> {
    let mut bytes = owner["bytes"].as_u64().context("no bytes")?;
    for kind in ["journal", "home", "tree"] {
        bytes -= owner["shared"][kind].as_u64().context("no kind")?;
    }
    Ok(bytes)
}

/// One interval's lines.
pub struct Interval {
    pub system: Line,
    pub tasks: Vec<Line>,
    /// Instead of tasks, with `--group-by`.
    pub groups: Vec<Line>,
    pub flushes: Vec<Line>,
    pub spikes: Vec<Line>,
    pub wakes: Vec<Line>,
}

/// Everything the tracer printed in one run.
pub struct Report(pub Vec<Interval>);

impl Report {
    /// Reads the lines, which must be complete, in order and without a gap.
    pub fn parse(lines: &[String]) -> Result<Report> {
        let mut intervals: Vec<Interval> = Vec::new();
        for text in lines {
            let line = Line::parse(text)?;
            ensure!(line.number("v")? == 1, "not version 1: {text}");
            let kind = line.text("type")?.to_owned();
            let expected = intervals.len() as u64 + u64::from(kind == "system");
            let seq = line.number("seq")?;
            ensure!(seq == expected, "seq {seq}, not {expected}: {text}");
            match (kind.as_str(), intervals.last_mut()) {
                ("system", _) => intervals.push(Interval {
                    system: line,
                    tasks: Vec::new(),
                    groups: Vec::new(),
                    flushes: Vec::new(),
                    spikes: Vec::new(),
                    wakes: Vec::new(),
                }),
                ("task", Some(now)) => {
                    ensure!(now.flushes.is_empty(), "a task line after a flush line");
                    now.tasks.push(line);
                }
                ("group", Some(now)) => now.groups.push(line),
                ("flush", Some(now)) => {
                    ensure!(now.spikes.is_empty(), "a flush line after a spike line");
                    now.flushes.push(line);
                }
                ("spike", Some(now)) => now.spikes.push(line),
                ("wake", Some(now)) => now.wakes.push(line),
                _ => bail!("an unexpected line: {text}"),
            }
        }
        Ok(Report(intervals))
    }

    /// A field of all system lines added up.
    pub fn total(&self, field: &str) -> Result<u64> {
        self.0.iter().map(|now| now.system.number(field)).sum()
    }

    /// Bytes without an owner for this reason, summed over all system lines.
    pub fn unattributed(&self, reason: &str) -> Result<u64> {
        let mut sum = 0;
        for interval in &self.0 {
            let reasons = interval.system.numbers("unattributed")?;
            sum += reasons
                .get(reason)
                .copied()
                .flatten()
                .context("not known")?;
        }
        Ok(sum)
    }

    /// All flushes of one device.
    pub fn flushes_on(&self, device: &str) -> Result<Vec<&Line>> {
        let mut flushes = Vec::new();
        for flush in self.0.iter().flat_map(|interval| &interval.flushes) {
            if flush.field("device")?["name"] == device {
                flushes.push(flush);
            }
        }
        Ok(flushes)
    }

    /// All that was written to one device.
    pub fn written_to(&self, device: &str) -> Result<u64> {
        let flushes = self.flushes_on(device)?;
        flushes.iter().map(|flush| flush.number("bytes")).sum()
    }

    /// Bytes written to one device that have no owner for this reason.
    pub fn unattributed_on(&self, device: &str, reason: &str) -> Result<u64> {
        let mut sum = 0;
        for flush in self.flushes_on(device)? {
            let reasons = flush.numbers("unattributed")?;
            sum += reasons
                .get(reason)
                .copied()
                .flatten()
                .context("not known")?;
        }
        Ok(sum)
    }

    /// A process's parts of all flushes.
    pub fn parts(&self, comm: &str, pid: u64) -> Result<Vec<Part<'_>>> {
        let mut parts = Vec::new();
        for flush in self.0.iter().flat_map(|interval| &interval.flushes) {
            let ours = |owner: &&Value| owner["comm"] == comm && owner["pid"] == pid;
            let owners = flush.owners()?.iter().filter(ours);
            parts.extend(owners.map(|owner| Part { flush, owner }));
        }
        Ok(parts)
    }

    /// A process's bytes in the flushes, by the path of the file, or by its inode if it
    /// has no path. Journals have no inode, and metadata has that of its device: both are
    /// left out.
    pub fn files(&self, comm: &str, pid: u64) -> Result<BTreeMap<String, u64>> {
        let mut files = BTreeMap::new();
        for part in self.parts(comm, pid)? {
            for file in part.owner["files"].as_array().context("no files")? {
                let path = file["path"].as_str().map(str::to_owned);
                let of_device = |path: &String| path.starts_with("/dev/loop");
                if file["ino"] == 0 || path.as_ref().is_some_and(of_device) {
                    continue;
                }
                let name = path.unwrap_or_else(|| format!("inode {}", file["ino"]));
                *files.entry(name).or_default() += file["bytes"].as_u64().context("bytes")?;
            }
        }
        Ok(files)
    }

    /// A field of a process's task lines added up.
    pub fn sum_of(&self, comm: &str, pid: u64, field: &str) -> Result<u64> {
        let mut sum = 0;
        for line in self.0.iter().flat_map(|interval| &interval.tasks) {
            if line.text("comm")? == comm && line.number("pid")? == pid {
                sum += line.number(field)?;
            }
        }
        Ok(sum)
    }

    /// The sum of the pending bytes in the last line of each task with this name.
    pub fn pending(&self, comm: &str) -> Result<u64> {
        let mut pending = BTreeMap::new();
        for line in self.0.iter().flat_map(|interval| &interval.tasks) {
            if line.text("comm")? == comm {
                let task = (line.number("pid")?, line.number("tid")?);
                pending.insert(task, line.number("dirty_pending_bytes")?);
            }
        }
        Ok(pending.values().sum())
    }

    /// All owners by command name and process, summed over the intervals.
    pub fn owners(&self) -> Result<BTreeMap<(&str, u64), Owner>> {
        let mut owners = BTreeMap::new();
        for line in self.0.iter().flat_map(|now| &now.tasks) {
            let comm = line.text("comm")?;
            let owner: &mut Owner = owners.entry((comm, line.number("pid")?)).or_default();
            owner
                .add(line)
                .with_context(|| format!("the task line of {comm}"))?;
        }
        Ok(owners)
    }
}

/// What the tracer reported of all tasks with one command name in one process.
#[derive(Default, Debug)]
pub struct Owner {
    pub tids: BTreeSet<u64>,
    /// Some line said that it has exited.
    pub exited: bool,
    pub read: u64,
    pub dirtied: u64,
    pub cancelled: u64,
    pub written: u64,
    pub written_self: u64,
    pub written_flushed: u64,
    /// Data by estimate.
    pub shared: u64,
    /// Journals and metadata.
    pub metadata: u64,
    /// The part of the metadata that was written to its final place.
    pub home: u64,
    /// As the last line said.
    pub pending: u64,
}

impl Owner {
    /// What was written because of it and can only be estimated.
    pub fn estimated(&self) -> u64 {
        self.shared + self.metadata
    }

    fn add(&mut self, line: &Line) -> Result<()> {
        self.tids.insert(line.number("tid")?);
        self.exited |= line.flag("exited")?;
        self.read += line.number("block_read_bytes")?;
        self.dirtied += line.number("dirtied_bytes")?;
        self.cancelled += line.number("cancelled_dirty_bytes")?;
        self.written += line.number("block_write_bytes")?;
        self.written_self += line.number("block_write_self_bytes")?;
        self.written_flushed += line.number("block_write_flushed_bytes")?;
        let metadata = line.number("metadata_bytes")?;
        self.shared += line.number("block_write_shared_bytes")? - metadata;
        self.metadata += metadata;
        self.home += line.number("home_bytes")?;
        self.pending = line.number("dirty_pending_bytes")?;
        Ok(())
    }
}
