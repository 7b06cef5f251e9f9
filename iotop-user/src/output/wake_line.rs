//! The `wake` lines of NDJSON.

use serde::Serialize;

use super::{
    flush_line::{Device, File, LagPart, Submitter},
    ndjson::Shared,
    why::why,
};
use crate::sample::{Request, Rhythm, Suspect, System, Wake, nanoseconds, rfc3339};

#[derive(Serialize)]
pub(super) struct WakeLine<'a> {
    device: Device<'a>,
    device_name: &'a str,
    start: String,
    end: String,
    silence_ns: SilencePart,
    through: Vec<&'a str>,
    certain: bool,
    suspects: Vec<SuspectPart<'a>>,
    more_suspects: u64,
    more_bytes: u64,
}

#[derive(Serialize)]
struct SilencePart {
    at_least: u64,
    at_most: Option<u64>,
}

#[derive(Serialize)]
struct SuspectPart<'a> {
    task: Option<TaskPart<'a>>,
    unowned: Option<&'static str>,
    tasks: u64,
    read_bytes: u64,
    write_bytes: u64,
    requests: Vec<RequestPart<'a>>,
    rhythm: RhythmPart,
}

#[derive(Serialize)]
struct TaskPart<'a> {
    pid: u32,
    tid: u32,
    start_time: Option<String>,
    comm: &'a str,
    kthread: bool,
    cmdline: Option<&'a str>,
    user: Option<&'a str>,
    uid: Option<u32>,
    cgroup: Option<&'a str>,
    unit: Option<&'a str>,
    container: Option<&'a str>,
    exited: bool,
}

#[derive(Serialize)]
struct RequestPart<'a> {
    operation: &'static str,
    bytes: u64,
    shared: Shared,
    reason: Option<&'a str>,
    why: Option<String>,
    submitter: Option<Submitter<'a>>,
    lag_ns: LagPart,
    files: Vec<File<'a>>,
    more_files: u64,
}

#[derive(Serialize)]
struct RhythmPart {
    times: u64,
    alone: u64,
    recent: u64,
    watched_ns: u64,
    period_ns: Option<u64>,
}

impl<'a> WakeLine<'a> {
    pub(super) fn of(wake: &'a Wake, system: &System) -> WakeLine<'a> {
        let suspects = wake.suspects.iter();
        WakeLine {
            device: Device::of(wake.disk, &wake.disk_name),
            device_name: &wake.disk_name,
            start: rfc3339(wake.start),
            end: rfc3339(wake.end),
            silence_ns: SilencePart {
                at_least: nanoseconds(wake.silence.at_least),
                at_most: wake.silence.at_most.map(nanoseconds),
            },
            through: wake.through.iter().map(|name| &**name).collect(),
            certain: wake.culprit().is_some(),
            suspects: suspects
                .map(|suspect| SuspectPart::of(suspect, system))
                .collect(),
            more_suspects: wake.more.0,
            more_bytes: wake.more.1,
        }
    }
}

impl<'a> SuspectPart<'a> {
    fn of(suspect: &'a Suspect, system: &System) -> SuspectPart<'a> {
        let requests = suspect.requests.iter();
        SuspectPart {
            task: suspect.task.as_ref().map(|task| TaskPart {
                pid: task.pid,
                tid: task.tid,
                start_time: task.start_time.map(rfc3339),
                comm: &task.comm,
                kthread: task.kthread,
                cmdline: task.cmdline.as_deref(),
                user: task.user.as_deref(),
                uid: task.uid,
                cgroup: task.cgroup.as_deref(),
                unit: task.unit.as_deref(),
                container: task.container.as_deref(),
                exited: task.exited,
            }),
            unowned: suspect.unowned.map(|reason| reason.name()),
            tasks: suspect.tasks,
            read_bytes: suspect.read(),
            write_bytes: suspect.bytes() - suspect.read(),
            requests: requests
                .map(|request| RequestPart::of(request, system))
                .collect(),
            rhythm: RhythmPart::from(suspect.rhythm),
        }
    }
}

impl<'a> RequestPart<'a> {
    fn of(request: &'a Request, system: &System) -> RequestPart<'a> {
        let flush = request.flush.as_deref();
        let files = request.files.iter();
        RequestPart {
            operation: match request.read {
                true => "read",
                false => "write",
            },
            bytes: request.bytes,
            shared: Shared::of(Some((request.shared, request.metadata))),
            reason: flush.map(|flush| flush.reason.name()),
            why: flush.map(|flush| why(flush, system)),
            submitter: request.submitter.as_ref().map(Submitter::from),
            lag_ns: LagPart::from(request.lag.as_ref()),
            files: files.map(|file| File::of(file, request.device)).collect(),
            more_files: request.more_files,
        }
    }
}

impl From<Rhythm> for RhythmPart {
    fn from(rhythm: Rhythm) -> RhythmPart {
        RhythmPart {
            times: rhythm.times,
            alone: rhythm.alone,
            recent: rhythm.recent,
            watched_ns: nanoseconds(rhythm.watched),
            period_ns: rhythm.period.map(nanoseconds),
        }
    }
}
