//! `cargo xtask soak`: whether the program stays as it is, however long and whatever happens
//! beside it.
//!
//! The load makes everything come and go: processes, programs, files, cgroups, devices,
//! mounts. Now and then it rests: then as much has to be pending as is dirty.

mod flat;
mod gauges;
mod intervals;
mod load;
mod tracer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::disk::{FileSystem, LoopDevice, Mount};
use crate::bench::enter;
use crate::vm::build::{PROFILE, build};
use crate::{process, workspace};
use flat::Series;
use gauges::{Gauges, Process};
use intervals::{Intervals, Levels, check_losses, check_pgpgout};
use load::Load;
use tracer::Tracer;

/// Where the disks are.
const PLACE: &str = "/run/iotop-trace-soak";
/// The size of each disk, in memory.
const DISK: u64 = 1 << 30;
/// How often the gauges are read.
const EVERY: Duration = Duration::from_secs(5);
/// How often the load rests.
const REST_EVERY: Duration = Duration::from_secs(30);
/// How long it rests at most. An audit finds after 10 to 20 s that a page is not dirty any
/// more although no event told.
const REST: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(500);
/// By how much the pending bytes of all tasks and what is dirty may differ while the load rests.
/// Dirty metadata is pending for nobody. Other programs of this machine go on, and the two are not
/// read at one instant.
const PENDING: u64 = 8 << 20;
/// What is written at a rest and held back.
const HELD: u64 = 64 << 20;
const MIB: u64 = 1 << 20;

#[derive(clap::Args)]
pub struct Options {
    /// How long to run
    #[arg(long, value_name = "N", default_value_t = 5)]
    minutes: u32,
    /// The iotop-trace to run [default: this checkout's]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Set for the second start, as root
    #[arg(long, hide = true)]
    inside: bool,
}

/// A look at everything while the load runs.
struct Reading {
    gauges: Gauges,
    levels: Levels,
    lines: u64,
}

pub fn run(options: &Options) -> Result<()> {
    let program = match &options.program {
        Some(program) => std::path::absolute(program)?,
        None => workspace::target().join(PROFILE).join("iotop-trace"),
    };
    if !options.inside {
        if options.program.is_none() {
            build()?;
        }
        return enter();
    }
    let time = Duration::from_secs(60) * options.minutes;
    let memory = Mount::memory(Path::new(PLACE))?;
    let disks = FileSystem::ALL.map(|fs| disk(fs, &memory.dir));
    let disks: Vec<(FileSystem, Mount)> = disks.into_iter().collect::<Result<_>>()?;
    let dirs: Vec<_> = disks
        .iter()
        .map(|(fs, disk)| (*fs, disk.dir.clone()))
        .collect();

    let tracer = Tracer::start(&program)?;
    let load = Load::start(&dirs, &memory.dir)?;
    let held = dirs[0].1.join("held");
    let (readings, mut problems) = watch(&tracer, &load, &held, time)?;
    for (part, turns) in load.stop()? {
        eprintln!("{part}: {turns}");
    }
    let intervals = tracer.stop()?;
    let series = series(&readings);
    print!("\n{}\n{}", flat::table(&series), summary(&intervals));
    problems.extend(series.iter().filter_map(Series::growth));
    problems.extend(intervals.wrong.iter().cloned());
    for check in [check_pgpgout, check_losses] {
        problems.extend(check(&intervals).err().map(|error| error.to_string()));
    }
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    println!("All of it is flat, and every byte is accounted for.");
    Ok(())
}

fn disk(fs: FileSystem, memory: &Path) -> Result<(FileSystem, Mount)> {
    let device = LoopDevice::of_size(&memory.join(format!("{}.image", fs.name())), DISK)?;
    fs.make(&device)?;
    Ok((fs, Mount::device(fs, &device, memory.join(fs.name()))?))
}

/// Reads everything now and then. Returns the readings, and what was wrong at the rests. `held`
/// is a file for the rests.
fn watch(
    tracer: &Tracer,
    load: &Load,
    held: &Path,
    time: Duration,
) -> Result<(Vec<Reading>, Vec<String>)> {
    let process = Process::new(tracer.pid())?;
    let (mut readings, mut problems): (Vec<Reading>, Vec<String>) = Default::default();
    println!(
        "{:>6}{:>10}{:>10}{:>6}{:>8}{:>8}{:>9}{:>13}{:>11}{:>10}",
        "s",
        "heap MiB",
        "maps MiB",
        "fds",
        "threads",
        "slots",
        "tags",
        "pending MiB",
        "dirty MiB",
        "lines"
    );
    let start = Instant::now();
    let mut rested = start;
    while start.elapsed() < time {
        sleep(EVERY);
        let reading = Reading::of(tracer, &process)?;
        reading.print(start.elapsed(), "");
        readings.push(reading);
        if rested.elapsed() >= REST_EVERY {
            load.rest(true)?;
            problems.extend(rest(tracer, &process, held, start)?);
            load.rest(false)?;
            rested = Instant::now();
        }
    }
    Ok((readings, problems))
}

/// While the load rests, what tasks have pending is what is dirty: first next to nothing, then
/// what is written and held back. Under load this can't be checked: the two are read one after
/// the other, and much is written in between.
fn rest(tracer: &Tracer, process: &Process, held: &Path, start: Instant) -> Result<Option<String>> {
    process::output(&mut Command::new("sync"))?;
    let none = settle(tracer, process, start, "  at rest", |_| true)?;
    if none.is_some() {
        return Ok(none);
    }
    // Too young for the periodic flusher, and too small for the one in the background.
    fs::write(held, vec![1; HELD as usize])?;
    let some = settle(tracer, process, start, "  held back", |levels| {
        levels.dirty >= HELD
    });
    fs::remove_file(held)?;
    some
}

/// Waits until as much is pending as is dirty, and that is `right`. Returns what is wrong if it
/// never is.
fn settle(
    tracer: &Tracer,
    process: &Process,
    start: Instant,
    note: &str,
    right: impl Fn(&Levels) -> bool,
) -> Result<Option<String>> {
    let begin = Instant::now();
    let before = tracer.intervals()?.count;
    let (now, settled) = loop {
        sleep(STEP);
        // An interval that began before ends first, and the lines of one are complete when the
        // next one begins.
        let is_after = tracer.intervals()?.count >= before + 3;
        let now = Reading::of(tracer, process)?;
        let Levels { dirty, pending } = now.levels;
        let settled = is_after && pending.abs_diff(dirty) <= PENDING && right(&now.levels);
        if settled || begin.elapsed() > REST {
            break (now, settled);
        }
    };
    now.print(start.elapsed(), note);
    let mib = |bytes: u64| bytes as f64 / MIB as f64;
    Ok((!settled).then(|| {
        format!(
            "{}: {:.1} MiB are pending after {} s, and {:.1} MiB are dirty",
            note.trim(),
            mib(now.levels.pending),
            begin.elapsed().as_secs(),
            mib(now.levels.dirty)
        )
    }))
}

impl Reading {
    fn of(tracer: &Tracer, process: &Process) -> Result<Reading> {
        let gauges = process.gauges()?;
        let intervals = tracer.intervals()?;
        Ok(Reading {
            gauges,
            levels: intervals.levels,
            lines: intervals.lines,
        })
    }

    fn print(&self, since: Duration, note: &str) {
        let mib = |bytes: u64| bytes as f64 / MIB as f64;
        let Gauges {
            heap,
            maps,
            descriptors,
            threads,
            slots,
            tags,
        } = self.gauges;
        println!(
            "{:6}{:10.1}{:10.1}{descriptors:6}{threads:8}{slots:8}{tags:9}{:13.1}{:11.1}{:10}{note}",
            since.as_secs(),
            mib(heap),
            mib(maps),
            mib(self.levels.pending),
            mib(self.levels.dirty),
            self.lines,
        );
    }
}

/// The figures that have to be flat. What follows from what the load does at a moment may vary
/// by more than what the program itself decides.
fn series(readings: &[Reading]) -> Vec<Series> {
    let of = |name, slack, unit, value: fn(&Gauges) -> u64| Series {
        name,
        values: readings
            .iter()
            .map(|reading| value(&reading.gauges))
            .collect(),
        slack,
        unit,
    };
    vec![
        // The paths of 24,000 files and the arguments of programs take some MiB, and are kept.
        of("heap and stacks", 8 * MIB, (MIB, " MiB"), |gauges| {
            gauges.heap
        }),
        of(
            "maps of the kernel half",
            64 << 10,
            (MIB, " MiB"),
            |gauges| gauges.maps,
        ),
        of("descriptors", 4, (1, ""), |gauges| gauges.descriptors),
        of("threads", 2, (1, ""), |gauges| gauges.threads),
        of("owner slots", 512, (1, ""), |gauges| gauges.slots),
        of("pages tagged as dirty", 16 << 10, (1, ""), |gauges| {
            gauges.tags
        }),
    ]
}

fn summary(intervals: &Intervals) -> String {
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / MIB as f64);
    let named = |parts: &std::collections::BTreeMap<String, u64>, shown: &dyn Fn(u64) -> String| {
        let parts: Vec<String> = parts
            .iter()
            .map(|(name, n)| format!("{name} {}", shown(*n)))
            .collect();
        if parts.is_empty() {
            "none".to_owned()
        } else {
            parts.join(", ")
        }
    };
    format!(
        "{} intervals, {} lines of {} (the longest {}), {} tasks exited\n\
         written: {}, by pgpgout {}; with an owner: {:.2} %\n\
         without an owner: {}\n\
         lost: {}\n",
        intervals.count,
        intervals.lines,
        mib(intervals.bytes),
        mib(intervals.longest),
        intervals.exited,
        mib(intervals.written),
        mib(intervals.pgpgout),
        100.0 * intervals.owned as f64 / intervals.written.max(1) as f64,
        named(&intervals.unattributed, &mib),
        named(&intervals.lost, &|n| n.to_string()),
    )
}
