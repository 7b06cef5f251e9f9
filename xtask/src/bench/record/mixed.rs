//! Whether a recording of a mixed load says what live runs said, and what is known.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::check::{ByName, dealt, differences, groups, lines, named, on_device};
use super::load::{CONTAINER, Mixed, OWNERS, Where, prepare};
use super::running::Running;
use crate::bench::coverage::device::Zeroes;
use crate::bench::coverage::volume::Volume;
use crate::bench::disk::{self, FileSystem, Mount};
use crate::bench::{cpu, median};
use crate::process;

/// The part of the data whose owner and file have to be right.
const RIGHT: f64 = 99.0;
const MIB: f64 = (1 << 20) as f64;
/// How often the recorder's CPU time is read.
const EVERY: Duration = Duration::from_secs(30);

pub fn run(program: &Path, time: Duration) -> Result<()> {
    let memory = Mount::memory(Path::new(disk::PLACE))?;
    let mut volume = Volume::create(FileSystem::Ext4, &memory.dir)?;
    let at = Where {
        disk: volume.dir().to_owned(),
        memory: memory.dir.clone(),
    };
    prepare(&at)?;
    // An unmount leaves nothing in the journal that would go home within the trace.
    volume.unmount()?;
    volume.mount()?;
    volume.settle()?;
    let device = volume.name().to_owned();

    // On a disk, not in memory.
    let mut recording = tempfile::tempdir_in("/var/tmp")?;
    let live = |by: &str| {
        let mut command = Command::new(program);
        command.args(["--export", "ndjson", "--delay", "10"]);
        command.args(["--group-by", by, "--device", &device]);
        Running::start(&mut command, &memory.dir, &format!("live-{by}"))
    };
    let before = volume.stat()?;
    let zeroes = Zeroes::watch(&device)?;
    let mut by_command = live("command")?;
    let mut by_file = live("file")?;
    let mut record = Command::new(program);
    record
        .args(["record", "--delay", "10"])
        .arg(recording.path());
    let mut recorder = Running::start(&mut record, &memory.dir, "record")?;
    by_command.wait_for_output()?;
    by_file.wait_for_output()?;
    recorder.wait_for_message("recording into")?;
    ensure!(
        volume.stat()? == before,
        "something was written while they attached"
    );

    let load = Mixed::start(&at)?;
    let shares = watch(&recorder, time)?;
    load.stop()?;
    volume.settle()?;
    let after = volume.stat()?;
    let on_disk = after.written - before.written - zeroes.bytes()?;
    let live = [("command", by_command.stop()?), ("file", by_file.stop()?)];
    let said = recorder.messages()?;
    recorder.stop()?;

    for line in said.lines() {
        println!("the recorder said: {line}");
    }
    println!(
        "CPU of the recorder beside it: {:.2} % of one core (median of {} readings)",
        100.0 * median(shares.iter().copied()),
        shares.len()
    );
    let trial = Trial {
        program,
        at: &at,
        device: &device,
        recording: recording.path(),
        on_disk,
    };
    let checked = trial.check(time, &live);
    recording.disable_cleanup(checked.is_err());
    checked.with_context(|| format!("the recording is in {}", recording.path().display()))
}

/// What was recorded, and what the device counted itself.
struct Trial<'a> {
    program: &'a Path,
    at: &'a Where,
    device: &'a str,
    recording: &'a Path,
    on_disk: u64,
}

impl Trial<'_> {
    /// The output of the program for the recording.
    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.program);
        process::output(command.args(arguments).arg(self.recording))
    }

    fn report(&self, by: &str) -> Result<Vec<Value>> {
        lines(&self.ask(&["report", "--format", "ndjson", "--by", by])?)
    }

    /// Compares it with the output of live runs, by what they group by.
    fn check(&self, time: Duration, live: &[(&str, String)]) -> Result<()> {
        let mut problems = Vec::new();
        for (by, said) in live {
            problems.extend(self.check_live(by, &groups(said)?)?);
        }
        let devices = self.report("device")?;
        let written = |line: Option<&Value>| line.and_then(|line| line["written_bytes"].as_u64());
        let of_device = written(devices.iter().find(|line| line["name"] == self.device));
        if of_device != Some(self.on_disk) {
            problems.push(format!(
                "the report has {of_device:?} bytes on {}, its own counters {}",
                self.device, self.on_disk
            ));
        }
        let by_container = on_device(&self.report("container")?, CONTAINER, self.device);
        println!("{CONTAINER}: {:.1} MiB", by_container as f64 / MIB);
        if by_container == 0 {
            problems.push(format!("{CONTAINER} has nothing"));
        }
        let seen = written(devices.first()).context("the report has no total")?;
        let size = size_of(self.recording)?;
        println!(
            "{} minutes on ext4: {:.1} MiB on the device, {:.1} MiB on all devices; recorded in {:.2} MiB (1/{:.0} of it)",
            time.as_secs() / 60,
            self.on_disk as f64 / MIB,
            seen as f64 / MIB,
            size as f64 / MIB,
            seen as f64 / size as f64
        );
        ensure!(problems.is_empty(), "{}", problems.join("\n"));
        println!("The recording says what the live runs said: data to the byte.");
        Ok(())
    }

    fn check_live(&self, by: &str, live: &ByName) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        let arguments = [
            "replay",
            "--export",
            "ndjson",
            "-a",
            "--final",
            "--group-by",
            by,
        ];
        let replayed = groups(&self.ask(&[&arguments[..], &["--device", self.device]].concat())?)?;
        let sum: u64 = live.values().map(|one| one.total()).sum();
        println!("by {by}: {} rows, {sum} bytes live", live.len());
        // Bytes without an owner are in no row of a command.
        if by == "file" && sum != self.on_disk {
            problems.push(format!(
                "by {by}: live has {sum} bytes, the device {}",
                self.on_disk
            ));
        }
        let differ = differences(live, &replayed).into_iter();
        problems.extend(differ.map(|one| format!("by {by}, live and recorded: {one}")));
        let report = self.report(by)?;
        if by == "command" {
            for (name, live) in live {
                let reported = on_device(&report, name, self.device);
                if reported.abs_diff(live.exact + live.shared) > dealt(live.shared) {
                    problems.push(format!("{name}: {reported} in the report, live {live:?}"));
                }
            }
            return Ok(problems);
        }
        let found = named(&report, self.device, |path| owner_of(self.at, path));
        let percent = 100.0 * found.right as f64 / found.all.max(1) as f64;
        println!(
            "right owner and file: {} of {} bytes of data, {percent:.3} %",
            found.right, found.all
        );
        if percent < RIGHT || found.all == 0 {
            problems.push(format!("only {percent:.3} % have the right owner and file"));
        }
        Ok(problems)
    }
}

/// Who writes a file.
fn owner_of(at: &Where, path: &str) -> Option<String> {
    let below = Path::new(path).strip_prefix(&at.disk).ok()?;
    let top = below.components().next()?.as_os_str().to_str()?;
    let (_, owner) = OWNERS.iter().find(|(dir, _)| *dir == top)?;
    Some((*owner).to_owned())
}

/// Waits. Returns the recorder's share of a CPU, in parts of one.
fn watch(recorder: &Running, time: Duration) -> Result<Vec<f64>> {
    let start = Instant::now();
    let mut shares = Vec::new();
    while start.elapsed() < time {
        let (before, from) = (cpu::of_process(recorder.pid())?, Instant::now());
        sleep(EVERY.min(time.saturating_sub(start.elapsed())));
        let used = cpu::of_process(recorder.pid())? - before;
        shares.push(used.as_secs_f64() / from.elapsed().as_secs_f64());
    }
    Ok(shares)
}

/// The bytes of a directory's files.
pub fn size_of(dir: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(dir)? {
        size += entry?.metadata()?.len();
    }
    Ok(size)
}
