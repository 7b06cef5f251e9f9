//! Flushes: a slice for what a command submitted to a device in an interval for one reason.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    proto::Annotation,
    writer::{Slice, Track, Writer},
};
use crate::{
    escape::escape,
    host::devices::DeviceNames,
    output::{
        explain::{alike, name, who},
        why::why,
    },
    sample::{Flush, FlushOwner, Number, Run, Sample, Written, rfc3339},
    view::command_name,
};

/// At most this many commands of all devices have tracks of their own.
const COMMANDS: usize = 1000;
/// At most this many owners of a slice, and files of an owner, are named.
const OWNERS: usize = 10;
const FILES: usize = 3;

/// When the last slice of each track ends. Slices of one track must not overlap, so a command has
/// as many tracks as it needs.
#[derive(Default)]
pub(super) struct Lanes(HashMap<(Number, Arc<str>), Vec<Timestamp>>);

impl Lanes {
    /// Writes the flushes of a sample.
    pub fn add(
        &mut self,
        sample: &Sample,
        interval: (Timestamp, Timestamp),
        names: &mut DeviceNames,
        writer: &mut Writer<impl Write>,
    ) -> io::Result<()> {
        let mut slices: Vec<_> = alike(&sample.flushes)
            .into_iter()
            .map(|(flush, submitters)| (time(&flush, interval), flush, submitters))
            .collect();
        slices.sort_by_key(|(time, ..)| *time);
        for (time, flush, submitters) in slices {
            names.know(flush.device, flush.device_name.clone());
            writer.know_device(Some(flush.device), &flush.device_name)?;
            let command = command(&flush);
            let track = self.track(flush.device, &command, time);
            let name = match &track {
                Track::Submitter(_, command, _) => command.clone(),
                _ => command,
            };
            let slice = Slice {
                name: flush.reason.name().to_owned(),
                category: "flush",
                args: args(&flush, submitters, sample),
            };
            writer.slice(time, &track, &name, slice)?;
        }
        Ok(())
    }

    fn track(
        &mut self,
        device: Number,
        command: &Arc<str>,
        (from, to): (Timestamp, Timestamp),
    ) -> Track {
        let mut key = (device, command.clone());
        if self.0.len() >= COMMANDS && !self.0.contains_key(&key) {
            key.1 = "other commands".into();
        }
        let lanes = self.0.entry(key.clone()).or_default();
        let free = lanes.iter().position(|end| *end <= from);
        let lane = free.unwrap_or_else(|| {
            lanes.push(to);
            lanes.len() - 1
        });
        lanes[lane] = to;
        Track::Submitter(device, key.1, lane)
    }
}

/// The command that submitted it. All kworkers are one.
fn command(flush: &Flush) -> Arc<str> {
    match &flush.submitter {
        Some(task) => command_name(&task.comm, task.kthread),
        None => "unknown task".into(),
    }
}

/// From the start of its first run to the end of its last one, as far as they are in the interval;
/// the interval if it is no flusher's.
fn time(flush: &Flush, (from, to): (Timestamp, Timestamp)) -> (Timestamp, Timestamp) {
    let runs = || flush.runs.iter();
    let first = runs().map(|run| run.start.unwrap_or(from)).min();
    let last = runs().map(|run| run.end.unwrap_or(to)).max();
    let within = |time: Timestamp| time.clamp(from, to.max(from));
    let (first, last) = (first.unwrap_or(from), last.unwrap_or(to));
    (within(first), within(last.max(first)))
}

fn args(flush: &Flush, submitters: usize, sample: &Sample) -> Vec<Annotation> {
    let written = &flush.written;
    let mut args = vec![
        Annotation::number("bytes", written.totals.write),
        Annotation::number("bios", written.bios),
        Annotation::number("files", flush.inodes),
        Annotation::text("why", why(flush, &sample.system)),
        Annotation::text("submitter", who(flush, submitters)),
        owners(written),
        unattributed(written),
    ];
    if flush.runs.is_empty() {
        let note = "the slice is the interval in which it was written";
        args.push(Annotation::text("time", note));
    } else {
        args.push(Annotation::list("runs", flush.runs.iter().map(run)));
    }
    args
}

fn run(run: &Run) -> Vec<Annotation> {
    let time = |name, time: Option<Timestamp>| Some(Annotation::text(name, rfc3339(time?)));
    let number = |name, n: Option<u64>| Some(Annotation::number(name, n?));
    let asker = run.asker.as_ref();
    let parts = [
        time("start", run.start),
        time("end", run.end),
        number("requested_pages", run.requested_pages),
        number("written_pages", run.written_pages),
        run.cgroup
            .as_deref()
            .map(|path| Annotation::text("cgroup", escape(path))),
        asker.map(|asker| Annotation::text("asked_by", name(&asker.task))),
    ];
    parts.into_iter().flatten().collect()
}

/// The largest owners, with their largest files.
pub(super) fn owners(written: &Written) -> Annotation {
    let owners = written.owners.iter().take(OWNERS);
    Annotation::list("owners", owners.map(owner))
}

fn owner(owner: &FlushOwner) -> Vec<Annotation> {
    let files = owner.files.iter().filter_map(|file| file.path.as_deref());
    let files: Vec<_> = files.take(FILES).map(|path| escape(path)).collect();
    vec![
        Annotation::text("task", name(&owner.task)),
        Annotation::number("bytes", owner.bytes),
        Annotation::number("estimated_bytes", owner.shared),
        Annotation::text("files", files.join("\n")),
    ]
}

/// The bytes without an owner, by reason.
pub(super) fn unattributed(written: &Written) -> Annotation {
    let parts = written.totals.unattributed.parts();
    let parts = parts.filter(|(_, bytes)| *bytes != 0);
    let parts = parts.map(|(reason, bytes)| Annotation::number(reason.name(), bytes));
    Annotation::dict("no_owner", parts.collect())
}
