//! The `flush` and `spike` lines of NDJSON.

use serde::Serialize;

use super::{
    ndjson::{ByName, Shared},
    raw::{FlushRaw, Rows, SpikeRaw},
    why::why,
};
use crate::sample::{
    Asker, Commits, Demand, Flush, FlushFile, FlushLag, FlushOwner, Number, Reason, Run, Spike,
    SpikePart, System, Task, nanoseconds, rfc3339,
};

#[derive(Serialize)]
pub(crate) struct FlushLine<'a> {
    device: Device<'a>,
    device_name: &'a str,
    reason: &'a str,
    why: String,
    submitter: Option<Submitter<'a>>,
    bytes: u64,
    ios: u64,
    inodes: u64,
    runs: Vec<RunPart<'a>>,
    commits: Option<CommitsPart<'a>>,
    lag_ns: LagPart,
    owners: Vec<Owner<'a>>,
    shared: Shared,
    unattributed: ByName<{ Reason::ALL.len() }>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<FlushRaw>,
}

#[derive(Serialize)]
pub(crate) struct SpikeLine<'a> {
    device: Device<'a>,
    device_name: &'a str,
    start: String,
    end: String,
    bytes: u64,
    peak_bytes_per_s: f64,
    usual_bytes_per_s: f64,
    oldest: Option<String>,
    lag_ns: LagPart,
    parts: Vec<PartLine<'a>>,
    owners: Vec<Owner<'a>>,
    shared: Shared,
    unattributed: ByName<{ Reason::ALL.len() }>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<SpikeRaw>,
}

#[derive(Serialize)]
struct PartLine<'a> {
    reason: &'a str,
    submitter: Option<&'a str>,
    kthread: bool,
    bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct Device<'a> {
    major: u32,
    minor: u32,
    name: &'a str,
}

#[derive(Serialize)]
pub(super) struct Submitter<'a> {
    pid: u32,
    tid: u32,
    comm: &'a str,
    kthread: bool,
}

#[derive(Serialize)]
struct RunPart<'a> {
    start: Option<String>,
    end: Option<String>,
    duration_ns: Option<u64>,
    requested_pages: Option<u64>,
    written_pages: Option<u64>,
    cgroup: Option<&'a str>,
    asker: Option<AskerPart<'a>>,
}

#[derive(Serialize)]
struct AskerPart<'a> {
    #[serde(flatten)]
    task: Submitter<'a>,
    inferred: bool,
}

#[derive(Serialize)]
struct CommitsPart<'a> {
    count: Option<u64>,
    timer: u64,
    full: u64,
    asked: Vec<DemandPart<'a>>,
    waited: Vec<DemandPart<'a>>,
}

#[derive(Serialize)]
struct DemandPart<'a> {
    task: Option<Submitter<'a>>,
    call: Option<&'a str>,
    count: u64,
}

#[derive(Serialize)]
pub(super) struct LagPart {
    avg: Option<u64>,
    p50: Option<u64>,
    p99: Option<u64>,
    max: Option<u64>,
}

#[derive(Serialize)]
struct Owner<'a> {
    pid: u32,
    tid: u32,
    start_time: Option<String>,
    comm: &'a str,
    kthread: bool,
    cmdline: Option<&'a str>,
    cgroup: Option<&'a str>,
    unit: Option<&'a str>,
    container: Option<&'a str>,
    exited: bool,
    bytes: u64,
    share: f64,
    shared: Shared,
    lag_ns: LagPart,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
pub(super) struct File<'a> {
    dev: (u32, u32),
    ino: u64,
    path: Option<&'a str>,
    bytes: u64,
}

impl<'a> FlushLine<'a> {
    pub(crate) fn of(flush: &'a Flush, system: &System) -> FlushLine<'a> {
        FlushLine {
            device: Device::of(flush.device, &flush.device_name),
            device_name: &flush.device_name,
            reason: flush.reason.name(),
            why: why(flush, system),
            submitter: flush.submitter.as_ref().map(Submitter::from),
            bytes: flush.written.totals.write,
            ios: flush.written.bios,
            inodes: flush.inodes,
            runs: flush.runs.iter().map(RunPart::from).collect(),
            commits: flush.commits.as_ref().map(CommitsPart::from),
            lag_ns: LagPart::from(flush.written.lag.as_ref()),
            owners: flush
                .written
                .owners
                .iter()
                .map(|owner| Owner::of(owner, flush.device, flush.written.totals.write))
                .collect(),
            shared: Shared::of(Some((
                flush.written.totals.shared,
                flush.written.totals.metadata,
            ))),
            unattributed: ByName::from(Some(&flush.written.totals.unattributed)),
            raw: None,
        }
    }

    /// The line of a recording, from which the flush can be restored.
    pub(crate) fn recorded(flush: &'a Flush, system: &System, rows: &Rows) -> FlushLine<'a> {
        FlushLine {
            raw: Some(FlushRaw::of(flush, rows)),
            ..FlushLine::of(flush, system)
        }
    }
}

impl<'a> SpikeLine<'a> {
    /// The line of a recording, from which the spike can be restored.
    pub(crate) fn recorded(spike: &'a Spike, rows: &Rows) -> SpikeLine<'a> {
        SpikeLine {
            raw: Some(SpikeRaw::of(spike, rows)),
            ..SpikeLine::from(spike)
        }
    }
}

impl<'a> From<&'a Spike> for SpikeLine<'a> {
    fn from(spike: &'a Spike) -> SpikeLine<'a> {
        let written = &spike.written;
        let all = written.totals.write;
        let owners = written.owners.iter();
        SpikeLine {
            device: Device::of(spike.device, &spike.device_name),
            device_name: &spike.device_name,
            start: rfc3339(spike.start),
            end: rfc3339(spike.end),
            bytes: all,
            peak_bytes_per_s: spike.peak,
            usual_bytes_per_s: spike.usual,
            oldest: spike.oldest.map(rfc3339),
            lag_ns: LagPart::from(written.lag.as_ref()),
            parts: spike.parts.iter().map(PartLine::from).collect(),
            owners: owners
                .map(|owner| Owner::of(owner, spike.device, all))
                .collect(),
            shared: Shared::of(Some((written.totals.shared, written.totals.metadata))),
            unattributed: ByName::from(Some(&written.totals.unattributed)),
            raw: None,
        }
    }
}

impl<'a> From<&'a SpikePart> for PartLine<'a> {
    fn from(part: &'a SpikePart) -> PartLine<'a> {
        PartLine {
            reason: part.reason.name(),
            submitter: part.submitter.as_deref(),
            kthread: part.kthread,
            bytes: part.bytes,
        }
    }
}

impl<'a> Device<'a> {
    pub(crate) fn of((major, minor): Number, name: &'a str) -> Device<'a> {
        Device { major, minor, name }
    }
}

impl<'a> From<&'a Run> for RunPart<'a> {
    fn from(run: &'a Run) -> RunPart<'a> {
        RunPart {
            start: run.start.map(rfc3339),
            end: run.end.map(rfc3339),
            duration_ns: run.duration.map(nanoseconds),
            requested_pages: run.requested_pages,
            written_pages: run.written_pages,
            cgroup: run.cgroup.as_deref(),
            asker: run.asker.as_ref().map(AskerPart::from),
        }
    }
}

impl<'a> From<&'a Asker> for AskerPart<'a> {
    fn from(asker: &'a Asker) -> AskerPart<'a> {
        AskerPart {
            task: Submitter::from(&asker.task),
            inferred: asker.inferred,
        }
    }
}

impl<'a> From<&'a Commits> for CommitsPart<'a> {
    fn from(commits: &'a Commits) -> CommitsPart<'a> {
        CommitsPart {
            count: commits.commits,
            timer: commits.timer,
            full: commits.full,
            asked: commits.asked.iter().map(DemandPart::from).collect(),
            waited: commits.waited.iter().map(DemandPart::from).collect(),
        }
    }
}

impl<'a> From<&'a Demand> for DemandPart<'a> {
    fn from(demand: &'a Demand) -> DemandPart<'a> {
        DemandPart {
            task: demand.task.as_ref().map(Submitter::from),
            call: demand.call,
            count: demand.count,
        }
    }
}

impl From<Option<&FlushLag>> for LagPart {
    fn from(lag: Option<&FlushLag>) -> LagPart {
        LagPart {
            avg: lag.map(|lag| nanoseconds(lag.lag.avg())),
            p50: lag.and_then(FlushLag::p50).map(nanoseconds),
            p99: lag.and_then(FlushLag::p99).map(nanoseconds),
            max: lag.map(|lag| nanoseconds(lag.lag.max)),
        }
    }
}

impl<'a> From<&'a Task> for Submitter<'a> {
    fn from(task: &'a Task) -> Submitter<'a> {
        Submitter {
            pid: task.pid,
            tid: task.tid,
            comm: &task.comm,
            kthread: task.kthread,
        }
    }
}

impl<'a> File<'a> {
    pub(super) fn of(file: &'a FlushFile, device: Number) -> File<'a> {
        File {
            dev: device,
            ino: file.ino,
            path: file.path.as_deref(),
            bytes: file.bytes,
        }
    }
}

impl<'a> Owner<'a> {
    fn of(owner: &'a FlushOwner, device: Number, all: u64) -> Owner<'a> {
        let task = &owner.task;
        let file = |file: &'a FlushFile| File::of(file, device);
        Owner {
            pid: task.pid,
            tid: task.tid,
            start_time: task.start_time.map(rfc3339),
            comm: &task.comm,
            kthread: task.kthread,
            cmdline: task.cmdline.as_deref(),
            cgroup: task.cgroup.as_deref(),
            unit: task.unit.as_deref(),
            container: task.container.as_deref(),
            exited: task.exited,
            bytes: owner.bytes,
            share: owner.bytes as f64 / all.max(1) as f64,
            shared: Shared::of(Some((owner.shared, owner.metadata))),
            lag_ns: LagPart::from(owner.lag.as_ref()),
            files: owner.files.iter().map(file).collect(),
        }
    }
}
