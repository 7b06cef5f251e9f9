//! The `flush` line of NDJSON.

use serde::Serialize;

use super::ndjson::{LagPart, UnattributedPart, rfc3339};
use crate::collect::{Flush, FlushFile, FlushOwner, Task};

#[derive(Serialize)]
pub(super) struct FlushLine<'a> {
    device: Device<'a>,
    reason: &'a str,
    submitter: Option<Submitter<'a>>,
    bytes: u64,
    ios: u64,
    lag_ns: LagPart,
    owners: Vec<Owner<'a>>,
    unattributed: UnattributedPart,
}

#[derive(Serialize)]
struct Device<'a> {
    major: u32,
    minor: u32,
    name: &'a str,
}

#[derive(Serialize)]
struct Submitter<'a> {
    pid: u32,
    tid: u32,
    comm: &'a str,
}

#[derive(Serialize)]
struct Owner<'a> {
    pid: u32,
    tid: u32,
    start_time: Option<String>,
    comm: &'a str,
    cmdline: Option<&'a str>,
    cgroup: Option<&'a str>,
    unit: Option<&'a str>,
    container: Option<&'a str>,
    exited: bool,
    bytes: u64,
    share: f64,
    lag_ns: LagPart,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    dev: (u32, u32),
    ino: u64,
    path: Option<&'a str>,
    bytes: u64,
}

impl<'a> From<&'a Flush> for FlushLine<'a> {
    fn from(flush: &'a Flush) -> FlushLine<'a> {
        let (major, minor) = flush.device;
        FlushLine {
            device: Device {
                major,
                minor,
                name: &flush.device_name,
            },
            reason: flush.reason.name(),
            submitter: flush.submitter.as_ref().map(Submitter::from),
            bytes: flush.totals.write,
            ios: flush.bios,
            lag_ns: LagPart::from(flush.lag.as_ref()),
            owners: flush
                .owners
                .iter()
                .map(|owner| Owner::of(owner, flush))
                .collect(),
            unattributed: UnattributedPart::from(Some(&flush.totals.unattributed)),
        }
    }
}

impl<'a> From<&'a Task> for Submitter<'a> {
    fn from(task: &'a Task) -> Submitter<'a> {
        Submitter {
            pid: task.pid,
            tid: task.tid,
            comm: &task.comm,
        }
    }
}

impl<'a> Owner<'a> {
    fn of(owner: &'a FlushOwner, flush: &Flush) -> Owner<'a> {
        let task = &owner.task;
        let file = |file: &'a FlushFile| File {
            dev: flush.device,
            ino: file.ino,
            path: file.path.as_deref(),
            bytes: file.bytes,
        };
        Owner {
            pid: task.pid,
            tid: task.tid,
            start_time: task.start_time.map(rfc3339),
            comm: &task.comm,
            cmdline: task.cmdline.as_deref(),
            cgroup: task.cgroup.as_deref(),
            unit: task.unit.as_deref(),
            container: task.container.as_deref(),
            exited: task.exited,
            bytes: owner.bytes,
            share: owner.bytes as f64 / flush.totals.write.max(1) as f64,
            lag_ns: LagPart::from(owner.lag.as_ref()),
            files: owner.files.iter().map(file).collect(),
        }
    }
}
