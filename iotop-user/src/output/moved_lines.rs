//! The `fact`, `device` and `disk` lines of recordings: what moved between each owner and each
//! device, and the totals of each device.

use serde::Serialize;

use super::{
    flush_line::Device,
    ndjson::{ByName, Shared},
    raw::classes,
};
use crate::sample::{
    BlockFact, BlockTotals, Disk, Number, Reason, Sample, Task, class_name, nanoseconds, rfc3339,
};

/// Bytes of one owner, submitter, device, file and class.
#[derive(Serialize)]
pub(crate) struct FactLine<'a> {
    owner: Option<Who<'a>>,
    submitter: Option<Who<'a>>,
    device: Device<'a>,
    ino: u64,
    file: u32,
    path: Option<&'a str>,
    class: &'static str,
    flush: u32,
    bytes: u64,
    ios: u64,
    lag_ns: Option<LagPart>,
    lag_tick_ns: u64,
    lag_classes: Vec<u64>,
}

#[derive(Serialize)]
struct Who<'a> {
    row: usize,
    pid: u32,
    tid: u32,
    start_time: Option<String>,
    comm: &'a str,
}

#[derive(Serialize)]
struct LagPart {
    sum: u64,
    max: u64,
    pages: u64,
}

impl<'a> FactLine<'a> {
    pub(crate) fn of(fact: &BlockFact, sample: &'a Sample, device_name: &'a str) -> FactLine<'a> {
        let who = |row: usize| Who::of(row, &sample.tasks[row]);
        FactLine {
            owner: fact.owner.map(who),
            submitter: fact.submitter.map(who),
            device: Device::of(fact.device, device_name),
            ino: fact.ino,
            file: fact.file,
            path: sample.paths.get(&fact.file_key()).map(|path| &**path),
            class: class_name(fact.class),
            flush: fact.flush.0,
            bytes: fact.bytes,
            ios: fact.bios,
            lag_ns: fact.lag.map(|lag| LagPart {
                sum: nanoseconds(lag.sum),
                max: nanoseconds(lag.max),
                pages: lag.pages,
            }),
            lag_tick_ns: nanoseconds(fact.lags.tick),
            lag_classes: classes(&fact.lags.pages),
        }
    }
}

impl<'a> Who<'a> {
    fn of(row: usize, task: &'a Task) -> Who<'a> {
        Who {
            row,
            pid: task.pid,
            tid: task.tid,
            start_time: task.start_time.map(rfc3339),
            comm: &task.comm,
        }
    }
}

/// What the kernel half counted on one device.
#[derive(Serialize)]
pub(crate) struct DeviceLine<'a> {
    device: Device<'a>,
    block_read_bytes: u64,
    block_write_bytes: u64,
    attributed_write_bytes: u64,
    shared_write_bytes: u64,
    shared: Shared,
    unattributed_write_bytes: u64,
    unattributed: ByName<{ Reason::ALL.len() }>,
}

impl<'a> DeviceLine<'a> {
    pub(crate) fn of(device: Number, name: &'a str, totals: &BlockTotals) -> DeviceLine<'a> {
        DeviceLine {
            device: Device::of(device, name),
            block_read_bytes: totals.read,
            block_write_bytes: totals.write,
            attributed_write_bytes: totals.attributed,
            shared_write_bytes: totals.shared,
            shared: Shared::of(Some((totals.shared, totals.metadata))),
            unattributed_write_bytes: totals.unattributed.in_total(),
            unattributed: ByName::from(Some(&totals.unattributed)),
        }
    }
}

/// What a whole disk counted itself.
#[derive(Serialize)]
pub(crate) struct DiskLine<'a> {
    device: Device<'a>,
    busy_ns: u64,
    completed_read_bytes: u64,
    completed_write_bytes: u64,
    in_flight: u64,
    partitions: &'a [Number],
    lower: &'a [Number],
}

impl<'a> From<&'a Disk> for DiskLine<'a> {
    fn from(disk: &'a Disk) -> DiskLine<'a> {
        DiskLine {
            device: Device::of(disk.number, &disk.name),
            busy_ns: nanoseconds(disk.busy),
            completed_read_bytes: disk.read,
            completed_write_bytes: disk.write,
            in_flight: disk.in_flight,
            partitions: &disk.partitions,
            lower: &disk.lower,
        }
    }
}
