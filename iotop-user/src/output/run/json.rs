//! The report as one JSON object. Its counters have the names that NDJSON has.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Serialize;

use super::{FILES, Outcome, Report, Waited};
use crate::{
    output::ndjson::{ByName, Counters, LagPart, Plain, Shared, VERSION, bounded},
    sample::{Loss, Number, TaskBlock, nanoseconds, rfc3339},
    view::Row,
};

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    r#type: &'static str,
    time: String,
    command: Vec<Cow<'a, str>>,
    exit_status: Option<u8>,
    signal: Option<i32>,
    elapsed_ns: u64,
    waited: &'static str,
    processes: Option<u64>,
    running: Option<u64>,
    #[serde(flatten)]
    counters: Counters<'a>,
    shared: Shared,
    lag_ns: LagPart,
    commits_asked: Option<BTreeMap<&'static str, u64>>,
    devices: Option<Vec<DevicePart>>,
    files: Option<Vec<FilePart>>,
    unknown: Unknown,
    lost: ByName<{ Loss::ALL.len() }>,
    notices: Vec<Cow<'a, str>>,
}

#[derive(Serialize)]
struct Device {
    major: u32,
    minor: u32,
    name: String,
}

#[derive(Serialize)]
struct DevicePart {
    device: Device,
    block_read_bytes: u64,
    caused_bytes: u64,
    block_write_self_bytes: u64,
    block_write_flushed_bytes: u64,
    block_write_shared_bytes: u64,
    shared: Shared,
}

#[derive(Serialize)]
struct FilePart {
    device: Device,
    ino: u64,
    path: Option<String>,
    bytes: u64,
    estimated_bytes: u64,
}

/// What may or may not be the command's.
#[derive(Serialize)]
struct Unknown {
    tasks: Option<u64>,
    caused_bytes: Option<u64>,
}

/// The report, and the end of the line.
pub fn json(report: &Report<'_>) -> String {
    let (tally, cost) = (report.tally, &report.tally.cost);
    let is_known = tally.is_rooted();
    let ebpf = cost.block.is_some();
    let block = cost.block.map(|block| TaskBlock {
        dirty_pending: tally.pending,
        ..block
    });
    let group = crate::sample::Group {
        stats: cost.stats,
        block,
        ..Default::default()
    };
    let (exit_status, signal) = match report.outcome {
        Outcome::Exited(status) => (Some(status), None),
        Outcome::Signalled(signal) => (None, Some(signal)),
    };
    let device = |number: Number| Device {
        major: number.0,
        minor: number.1,
        name: report.device(number),
    };
    let devices = cost.devices.iter().map(|(number, block)| DevicePart {
        device: device(*number),
        block_read_bytes: block.read,
        caused_bytes: block.caused(),
        block_write_self_bytes: block.write_self,
        block_write_flushed_bytes: block.write_flushed,
        block_write_shared_bytes: block.write_shared,
        shared: shared(Some(*block)),
    });
    let files = cost.top_files(FILES).into_iter();
    let files = files.map(|((number, ino, _), file)| FilePart {
        device: device(number),
        ino,
        path: file.path.map(|path| bounded(&path).into_owned()),
        bytes: file.bytes,
        estimated_bytes: file.estimated,
    });
    let caused = || tally.unknown.block.map_or(0, |block| block.caused());
    let line = Line {
        v: VERSION,
        r#type: "run",
        time: rfc3339(report.time),
        command: report.words.iter().map(|word| bounded(word)).collect(),
        exit_status,
        signal,
        elapsed_ns: nanoseconds(report.elapsed),
        waited: match report.waited {
            Waited::No => "no",
            Waited::Complete => "complete",
            Waited::Interrupted => "interrupted",
        },
        processes: is_known.then(|| tally.processes()),
        running: is_known.then_some(tally.running),
        counters: Counters(Row::Group(&group)),
        shared: shared(block),
        lag_ns: LagPart::from(block.as_ref()),
        commits_asked: ebpf.then(|| cost.commits.clone()),
        devices: ebpf.then(|| devices.collect()),
        files: ebpf.then(|| files.collect()),
        unknown: Unknown {
            tasks: is_known.then_some(tally.unknown_tasks),
            caused_bytes: ebpf.then(caused),
        },
        lost: ByName::from(&tally.lost),
        notices: report
            .notices
            .iter()
            .map(|notice| bounded(notice))
            .collect(),
    };
    let mut text = Vec::new();
    // A vector takes everything, and these types have no part that serde_json refuses.
    let written = line.serialize(&mut serde_json::Serializer::with_formatter(
        &mut text, Plain,
    ));
    debug_assert!(written.is_ok(), "{written:?}");
    text.push(b'\n');
    String::from_utf8_lossy(&text).into_owned()
}

fn shared(block: Option<TaskBlock>) -> Shared {
    Shared::of(block.map(|block| (block.write_shared, block.metadata)))
}
