//! Makes samples of their lines.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde::Deserialize;

use super::{
    likely,
    parts::{
        DeviceTotals, DiskPart, FactPart, FilePart, Header, OwnerPart, SystemPart, Time, Type,
        WrittenPart,
    },
};
use crate::{
    host::kernel::syscalls,
    output::{
        ndjson::VERSION,
        raw::{FlushRaw, OwnerRaw, ReasonKind, RunRaw, SpikeRaw, TaskRef, Whole},
    },
    sample::{
        Asker, BlockFact, Commits, Demand, Disk, Flush, FlushFile, FlushOwner, FlushReason,
        ForOthers, Number, Run, Sample, SharedTask, Spike, SpikePart, Task, TaskKey, Unanswered,
        Written,
    },
};

/// Why a line can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// It is no line of a recording.
    #[error("not a line of a recording: {0}")]
    NotALine(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error("version {0} of the lines; this program reads up to version {VERSION}")]
    Newer(u32),
    /// The interval has no such row.
    #[error("it names row {0}, which its interval does not have")]
    NoRow(usize),
    /// No `system` line came before it.
    #[error("no `system` line begins its interval")]
    NoBeginning,
    /// It names a system call that is not known here.
    #[error("it names the system call {0:?}, which is not known here")]
    NoCall(String),
    /// A number that no interval can have.
    #[error("it has {0}, more than any interval can have")]
    TooLarge(u64),
    /// Two lists that belong together differ in length.
    #[error("its list of {0} and what `raw` says of them differ in length")]
    Unequal(&'static str),
}

/// Puts samples together from lines.
#[derive(Debug, Default)]
pub struct Restorer {
    sample: Option<Sample>,
    /// The last name of each device.
    names: HashMap<Number, Arc<str>>,
}

impl Restorer {
    /// Takes the next line. Returns the sample of the lines before if this line begins another.
    ///
    /// # Errors
    ///
    /// The line can't be used. Begin again with [`Restorer::finish`].
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Sample>, BadLine> {
        let header: Header = serde_json::from_slice(line)?;
        if header.v > VERSION {
            return Err(BadLine::Newer(header.v));
        }
        if header.r#type == Type::System {
            let begun = begin(&header, serde_json::from_slice(line)?);
            likely::system(&begun.system)?;
            return Ok(self
                .sample
                .replace(begun)
                .map(|sample| self.with_others(sample)));
        }
        let sample = self.sample.as_mut();
        let sample = sample.filter(|sample| sample.seq == header.seq);
        let sample = sample.ok_or(BadLine::NoBeginning)?;
        match header.r#type {
            Type::System | Type::Other => {}
            Type::Task => {
                let Whole(task) = serde_json::from_slice(line)?;
                likely::task(&task)?;
                sample.tasks.push(task.into());
            }
            Type::Fact => {
                let part: FactPart = serde_json::from_slice(line)?;
                let name = part.device.name.clone();
                let fact = fact(sample, part)?;
                likely::fact(&fact)?;
                self.names.insert(fact.device, name);
                sample.facts.push(fact);
            }
            Type::Device => {
                let part: DeviceTotals = serde_json::from_slice(line)?;
                let number = (part.device.major, part.device.minor);
                self.names.insert(number, part.device.name.clone());
                let totals = part.block.totals().unwrap_or_default();
                likely::totals(&totals)?;
                sample.devices.push((number, totals));
            }
            Type::Disk => {
                let part: DiskPart = serde_json::from_slice(line)?;
                let disk = Disk {
                    number: (part.device.major, part.device.minor),
                    name: part.device.name,
                    busy: Duration::from_nanos(part.busy_ns),
                    read: part.completed_read_bytes,
                    write: part.completed_write_bytes,
                    in_flight: part.in_flight,
                    partitions: part.partitions,
                    lower: part.lower,
                };
                likely::disk(&disk)?;
                sample.disks.push(disk);
            }
            Type::Flush => {
                let flush = flush(&sample.tasks, serde_json::from_slice(line)?)?;
                likely::flush(&flush)?;
                sample.flushes.push(flush);
            }
            Type::Spike => {
                let spike = spike(&sample.tasks, serde_json::from_slice(line)?)?;
                likely::spike(&spike)?;
                sample.spikes.push(spike);
            }
        }
        Ok(None)
    }

    /// The sample of the last lines; no more lines follow.
    pub fn finish(&mut self) -> Option<Sample> {
        let sample = self.sample.take()?;
        Some(self.with_others(sample))
    }

    /// The names of the devices in the lines so far.
    pub fn device_names(&self) -> &HashMap<Number, Arc<str>> {
        &self.names
    }

    fn with_others(&self, mut sample: Sample) -> Sample {
        sample.for_others = ForOthers::new(&sample.facts, &sample.tasks, false, |device| {
            self.device_name(device)
        });
        sample
    }

    /// A device's name, or its number if no line has its name.
    pub fn device_name(&self, (major, minor): Number) -> Arc<str> {
        let known = self.names.get(&(major, minor)).cloned();
        known.unwrap_or_else(|| format!("{major}:{minor}").into())
    }
}

fn begin(header: &Header, part: SystemPart) -> Sample {
    let system = part.system();
    let raw = part.raw;
    let users = raw.unnamed_users.into_iter().map(Unanswered::User);
    let lines = raw.unread_command_lines.into_iter();
    Sample {
        seq: header.seq,
        time: header.time.whole(raw.time_ns),
        interval: Duration::from_nanos(raw.interval_ns),
        system,
        tasks: Vec::new(),
        exited: raw.exited.into_iter().map(key).collect(),
        ended: raw.ended,
        unanswered: users.chain(lines.map(Unanswered::CommandLine)).collect(),
        facts: Vec::new(),
        devices: Vec::new(),
        paths: HashMap::new(),
        disks: Vec::new(),
        flushes: Vec::new(),
        spikes: Vec::new(),
        wakes: Vec::new(),
        for_others: ForOthers::default(),
        groups: None,
    }
}

fn key((tid, start_boottime): (u32, u64)) -> TaskKey {
    TaskKey {
        tid,
        start_boottime,
    }
}

/// The fact. Its file's path goes to the sample's paths.
fn fact(sample: &mut Sample, part: FactPart) -> Result<BlockFact, BadLine> {
    let rows = sample.tasks.len();
    let row = |row: usize| (row < rows).then_some(row).ok_or(BadLine::NoRow(row));
    let fact = BlockFact {
        owner: part.owner.as_ref().map(|who| row(who.row)).transpose()?,
        submitter: part
            .submitter
            .as_ref()
            .map(|who| row(who.row))
            .transpose()?,
        device: (part.device.major, part.device.minor),
        ino: part.ino,
        class: part.class,
        file: part.file,
        flush: part.flush(),
        bytes: part.bytes,
        bios: part.ios,
        lag: part.lag(),
        lags: part.lags(),
    };
    if let Some(path) = part.path {
        sample.paths.insert(fact.file_key(), path);
    }
    Ok(fact)
}

#[derive(Deserialize)]
struct DeviceName {
    major: u32,
    minor: u32,
}

#[derive(Deserialize)]
struct FlushPart {
    device: DeviceName,
    device_name: Arc<str>,
    reason: Arc<str>,
    ios: u64,
    inodes: u64,
    runs: Vec<RunPart>,
    commits: Option<CommitsPart>,
    #[serde(flatten)]
    written: WrittenPart,
    raw: FlushRaw,
}

#[derive(Deserialize)]
struct RunPart {
    start: Option<Time>,
    end: Option<Time>,
    duration_ns: Option<u64>,
    requested_pages: Option<u64>,
    written_pages: Option<u64>,
    cgroup: Option<Arc<str>>,
    asker: Option<AskerPart>,
}

#[derive(Deserialize)]
struct AskerPart {
    inferred: bool,
}

#[derive(Deserialize)]
struct CommitsPart {
    count: Option<u64>,
    timer: u64,
    full: u64,
    asked: Vec<DemandPart>,
    waited: Vec<DemandPart>,
}

#[derive(Deserialize)]
struct DemandPart {
    call: Option<String>,
    count: u64,
}

fn flush(rows: &[SharedTask], part: FlushPart) -> Result<Flush, BadLine> {
    let raw = part.raw;
    let submitter = raw.submitter.map(|task| find(rows, task)).transpose()?;
    let runs = pairs("runs", part.runs, raw.runs)?;
    let runs = runs
        .map(|(run, raw)| restore_run(rows, run, raw))
        .collect::<Result<_, _>>()?;
    let (asked, waited) = (raw.asked, raw.waited);
    let commits = part.commits.map(|commits| {
        Ok::<_, BadLine>(Commits {
            commits: commits.count,
            timer: commits.timer,
            full: commits.full,
            asked: demands(rows, commits.asked, asked)?,
            waited: demands(rows, commits.waited, waited)?,
        })
    });
    Ok(Flush {
        device: (part.device.major, part.device.minor),
        device_name: part.device_name,
        reason: reason(raw.kind, &part.reason)?,
        submitter,
        runs,
        inodes: part.inodes,
        written: Written {
            totals: part.written.totals(),
            bios: part.ios,
            lag: raw.lag.as_ref().map(|lag| lag.lag()),
            owners: owners(rows, part.written.owners, raw.owners)?,
        },
        logged: raw.logged_bytes,
        commits: commits.transpose()?,
    })
}

fn restore_run(rows: &[SharedTask], run: RunPart, raw: RunRaw) -> Result<Run, BadLine> {
    let task = raw.asker.map(|task| find(rows, task)).transpose()?;
    let asker = task.zip(run.asker).map(|(task, asker)| Asker {
        task,
        inferred: asker.inferred,
    });
    Ok(Run {
        key: (key(raw.flusher), iotop_common::FlushId(raw.flush)),
        start: run.start.map(|time| time.whole(raw.times_ns.0)),
        end: run.end.map(|time| time.whole(raw.times_ns.1)),
        duration: run.duration_ns.map(Duration::from_nanos),
        requested_pages: run.requested_pages,
        written_pages: run.written_pages,
        cgroup_id: raw.cgroup_id,
        cgroup: run.cgroup,
        asker,
    })
}

fn demands(
    rows: &[SharedTask],
    parts: Vec<DemandPart>,
    tasks: Vec<Option<TaskRef>>,
) -> Result<Vec<Demand>, BadLine> {
    let demand = |(part, task): (DemandPart, Option<TaskRef>)| {
        Ok(Demand {
            task: task.map(|task| find(rows, task)).transpose()?,
            call: part.call.as_deref().map(call).transpose()?,
            count: part.count,
        })
    };
    pairs("demands", parts, tasks)?.map(demand).collect()
}

fn owners(
    rows: &[SharedTask],
    parts: Vec<OwnerPart>,
    raw: Vec<OwnerRaw>,
) -> Result<Vec<FlushOwner>, BadLine> {
    let owner = |(part, raw): (OwnerPart, OwnerRaw)| {
        let (shared, metadata) = part.shared();
        let file = |(part, file): (FilePart, u32)| FlushFile {
            ino: part.ino,
            file,
            path: part.path,
            bytes: part.bytes,
        };
        Ok(FlushOwner {
            task: find(rows, raw.task)?,
            bytes: part.bytes,
            shared,
            metadata,
            lag: raw.lag.as_ref().map(|lag| lag.lag()),
            files: pairs("files", part.files, raw.files)?.map(file).collect(),
        })
    };
    pairs("owners", parts, raw)?.map(owner).collect()
}

#[derive(Deserialize)]
struct SpikeLinePart {
    device: DeviceName,
    device_name: Arc<str>,
    start: Time,
    end: Time,
    peak_bytes_per_s: f64,
    usual_bytes_per_s: f64,
    oldest: Option<Time>,
    parts: Vec<ReasonPart>,
    #[serde(flatten)]
    written: WrittenPart,
    raw: SpikeRaw,
}

#[derive(Deserialize)]
struct ReasonPart {
    reason: Arc<str>,
    submitter: Option<Arc<str>>,
    kthread: bool,
    bytes: u64,
}

fn spike(rows: &[SharedTask], part: SpikeLinePart) -> Result<Spike, BadLine> {
    let raw = part.raw;
    let (start, end, oldest) = raw.times_ns;
    let restored = |(part, kind): (ReasonPart, ReasonKind)| {
        Ok::<_, BadLine>(SpikePart {
            reason: reason(kind, &part.reason)?,
            submitter: part.submitter,
            kthread: part.kthread,
            bytes: part.bytes,
        })
    };
    let parts = pairs("parts", part.parts, raw.kinds)?;
    Ok(Spike {
        device: (part.device.major, part.device.minor),
        device_name: part.device_name,
        start: part.start.whole(start),
        end: part.end.whole(end),
        open: raw.open,
        peak: part.peak_bytes_per_s,
        usual: part.usual_bytes_per_s,
        oldest: part.oldest.map(|time| time.whole(oldest)),
        parts: parts.map(restored).collect::<Result<_, _>>()?,
        written: Written {
            totals: part.written.totals(),
            bios: raw.ios,
            lag: raw.lag.as_ref().map(|lag| lag.lag()),
            owners: owners(rows, part.written.owners, raw.owners)?,
        },
    })
}

fn find(rows: &[SharedTask], task: TaskRef) -> Result<Task, BadLine> {
    match task {
        TaskRef::Row(row) => rows
            .get(row)
            .map(|task| Task::clone(task))
            .ok_or(BadLine::NoRow(row)),
        TaskRef::Whole(whole) => likely::task(&whole.0).map(|()| whole.0),
    }
}

fn reason(kind: ReasonKind, name: &Arc<str>) -> Result<FlushReason, BadLine> {
    Ok(match kind {
        ReasonKind::Writeback => FlushReason::Writeback(name.clone()),
        ReasonKind::Journal => FlushReason::Journal,
        ReasonKind::Home => FlushReason::Home,
        ReasonKind::Reclaim => FlushReason::Reclaim,
        ReasonKind::Direct => FlushReason::Direct,
        ReasonKind::Syscall => FlushReason::Syscall(call(name)?),
        ReasonKind::Task => FlushReason::Task,
        ReasonKind::Kthread => FlushReason::Kthread,
    })
}

fn call(name: &str) -> Result<&'static str, BadLine> {
    syscalls::find(name).ok_or_else(|| BadLine::NoCall(name.to_owned()))
}

/// The elements of two lists that belong together.
fn pairs<A, B>(
    name: &'static str,
    one: Vec<A>,
    other: Vec<B>,
) -> Result<impl Iterator<Item = (A, B)>, BadLine> {
    match one.len() == other.len() {
        true => Ok(one.into_iter().zip(other)),
        false => Err(BadLine::Unequal(name)),
    }
}
