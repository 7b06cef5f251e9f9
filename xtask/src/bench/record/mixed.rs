//! Whether a recording of a mixed load says what live runs said, and what is known.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::check::{Written, differences, groups, lines, named, on_device};
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
    let recording = tempfile::tempdir_in("/var/tmp")?;
    let live = |by: &str| {
        let mut command = Command::new(program);
        command.args(["--export", "ndjson", "--accumulated", "--delay", "10"]);
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

    let size = size_of(recording.path())?;
    println!(
        "\n{} minutes of a mixed load on ext4: {:.1} MiB on the device; recorded in {:.2} MiB (1/{:.0})",
        time.as_secs() / 60,
        on_disk as f64 / MIB,
        size as f64 / MIB,
        on_disk as f64 / size as f64
    );
    println!(
        "CPU of the recorder beside it: {:.2} % of one core (median of {} readings)",
        100.0 * median(shares.iter().copied()),
        shares.len()
    );
    for line in said.lines() {
        println!("the recorder said: {line}");
    }
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(program);
        process::output(command.args(arguments).arg(recording.path()))
    };
    let mut problems = Vec::new();
    for (by, said) in &live {
        let live = groups(said)?;
        let replayed = groups(&ask(&[
            "replay",
            "--export",
            "ndjson",
            "-a",
            "--final",
            "--device",
            &device,
            "--group-by",
            by,
        ])?)?;
        let sum: u64 = live.values().map(|one: &Written| one.total()).sum();
        println!("by {by}: {} rows, {sum} bytes live", live.len());
        if sum != on_disk {
            problems.push(format!(
                "by {by}: live has {sum} bytes, the device {on_disk}"
            ));
        }
        let differ = differences(&live, &replayed).into_iter();
        problems.extend(differ.map(|one| format!("by {by}, live and recorded: {one}")));
        let report = lines(&ask(&["report", "--format", "ndjson", "--by", by])?)?;
        if *by == "command" {
            for (name, live) in &live {
                let reported = on_device(&report, name, &device);
                if reported != live.exact + live.shared {
                    problems.push(format!("{name}: {reported} in the report, live {live:?}"));
                }
            }
        } else {
            let found = named(&report, &device, |path| owner_of(&at, path));
            let percent = 100.0 * found.right as f64 / found.all.max(1) as f64;
            println!(
                "right owner and file: {} of {} bytes of data, {percent:.3} %",
                found.right, found.all
            );
            if percent < RIGHT || found.all == 0 {
                problems.push(format!("only {percent:.3} % have the right owner and file"));
            }
        }
    }
    let devices = lines(&ask(&["report", "--format", "ndjson", "--by", "device"])?)?;
    let of_device = devices
        .iter()
        .find(|line| line["name"] == device.as_str())
        .and_then(|line| line["written_bytes"].as_u64())
        .context("the report does not have the device")?;
    if of_device != on_disk {
        problems.push(format!(
            "the report has {of_device} bytes on {device}, its own counters {on_disk}"
        ));
    }
    let containers = lines(&ask(&[
        "report",
        "--format",
        "ndjson",
        "--by",
        "container",
    ])?)?;
    let by_container = on_device(&containers, CONTAINER, &device);
    println!("{CONTAINER}: {:.1} MiB", by_container as f64 / MIB);
    if by_container == 0 {
        problems.push(format!("{CONTAINER} has nothing"));
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    println!("The recording says what the live runs said, to the byte.");
    Ok(())
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
