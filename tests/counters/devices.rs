//! Block devices that come, go and are replaced while the program runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use iotop_trace::host::disks::Disks;

use super::MIB;
use super::replaceable::{Replaceable, number_of};
use super::stage::{Stage, intervals};
use super::support::command::run;
use super::support::counters::DeviceStat;
use super::support::ndjson::Report;
use super::support::tracer::Tracer;

const SHORT: Duration = Duration::from_millis(300);
const INTERVAL: [&str; 2] = ["-d", "0.3"];
/// Numbers of loop devices that a machine does not have.
const NUMBERS: [i32; 3] = [9000, 9001, 9002];

/// Writes this many MiB to a device, past the page cache.
fn write(stage: &Stage<'_>, device: &str, mib: u64) -> Result<()> {
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", "bs=1M", "oflag=direct", "status=none"]);
    dd.args([format!("of=/dev/{device}"), format!("count={mib}")]);
    run(&mut dd, stage.deadline).map(drop)
}

/// Reads this many MiB in the same way.
fn read(stage: &Stage<'_>, device: &str, mib: u64) -> Result<()> {
    let mut dd = Command::new("dd");
    dd.args(["of=/dev/null", "bs=1M", "iflag=direct", "status=none"]);
    dd.args([format!("if=/dev/{device}"), format!("count={mib}")]);
    run(&mut dd, stage.deadline).map(drop)
}

/// What was written to each device, by the rows of `--group-by device`.
fn by_name(report: &Report) -> Result<BTreeMap<&str, u64>> {
    let mut sums = BTreeMap::new();
    for row in report.0.iter().flat_map(|now| &now.groups) {
        let written = row.number("block_write_bytes")? + row.number("unattributed_write_bytes")?;
        *sums.entry(row.text("name")?).or_default() += written;
    }
    Ok(sums)
}

/// The rows of these devices have these MiB; a row that is not listed is another's.
fn rows_are(report: &Report, expected: &[(&str, u64)]) -> Result<()> {
    let sums = by_name(report)?;
    for (name, mib) in expected {
        let found = sums.get(name).copied().unwrap_or(0);
        ensure!(found == mib * MIB, "{name}: {found} bytes: {sums:?}");
    }
    Ok(())
}

/// Runs `steps` beside two tracers: one that shows only a disk, and one with a row for each
/// device.
fn traced(
    stage: &Stage<'_>,
    disk: &str,
    steps: impl FnOnce() -> Result<()>,
) -> Result<(Report, Report)> {
    let one = Tracer::start(&[&INTERVAL[..], &["--device", disk]].concat())?;
    let all = Tracer::start(&[&INTERVAL[..], &["--group-by", "device"]].concat())?;
    steps()?;
    intervals(2, SHORT);
    Ok((stage.report(one)?, stage.report(all)?))
}

/// A disk has its partitions' writes, whenever they were made. The number of one that was
/// removed goes to another disk's, which is not shown with the first.
pub fn partitions(stage: &Stage<'_>) -> Result<()> {
    let disk = Replaceable::add(NUMBERS[0], stage.deadline)?;
    let other = Replaceable::add(NUMBERS[1], stage.deadline)?;
    let name = disk.name();
    let (one, all) = traced(stage, &name, || {
        write(stage, &name, 1)?;
        let first = disk.add_partition(1, stage.deadline)?;
        write(stage, &first, 2)?;
        intervals(1, SHORT);
        let second = disk.add_partition(2, stage.deadline)?;
        write(stage, &second, 3)?;
        intervals(2, SHORT);
        let number = number_of(&first)?;
        disk.remove_partition(1, stage.deadline)?;
        write(stage, &second, 4)?;
        let foreign = add_with_number(stage, &other, &number)?;
        write(stage, &foreign, 6)?;
        intervals(2, SHORT);
        disk.remove_partition(2, stage.deadline)?;
        write(stage, &name, 5)
    })?;
    let written = DeviceStat::of(&name)?.written;
    ensure!(written == 15 * MIB, "the case is wrong: {written} bytes");
    ensure!(DeviceStat::of(&other.name())?.written == 6 * MIB);
    let shown = one.total("block_write_bytes")?;
    ensure!(shown == written, "--device {name}: {shown} of {written}");
    let [first, second, foreign] = [(&disk, 1), (&disk, 2), (&other, 1)]
        .map(|(disk, number)| format!("{}p{number}", disk.name()));
    let rows = [(&*name, 6), (&first, 2), (&second, 7), (&foreign, 6)];
    rows_are(&all, &rows)
}

/// Adds a partition that gets this number. The kernel gives the lowest one that is free, and
/// frees a number a moment after its device is gone.
fn add_with_number(stage: &Stage<'_>, disk: &Replaceable, number: &str) -> Result<String> {
    loop {
        let name = disk.add_partition(1, stage.deadline)?;
        if number_of(&name)? == number {
            return Ok(name);
        }
        disk.remove_partition(1, stage.deadline)?;
        ensure!(!stage.deadline.left().is_zero(), "{number} is not free");
        sleep(Duration::from_millis(10));
    }
}

/// A disk that is added later has its own name, and a disk with the number and name of one
/// that was removed has its own counters.
pub fn replaced(stage: &Stage<'_>) -> Result<()> {
    let mut disks = Disks::new(Path::new("/proc"), Path::new("/sys"));
    let mut counted = |name: &str| -> Result<u64> {
        let disks = disks.look()?;
        let disk = disks.into_iter().find(|disk| &*disk.name == name);
        Ok(disk.with_context(|| format!("no disk {name}"))?.write)
    };
    let first = Replaceable::add(NUMBERS[0], stage.deadline)?;
    let (name, number) = (first.name(), number_of(&first.name())?);
    let (one, all) = traced(stage, &name, || {
        let added = Replaceable::add(NUMBERS[2], stage.deadline)?;
        write(stage, &name, 1)?;
        write(stage, &added.name(), 2)?;
        ensure!(counted(&name)? == MIB);
        ensure!(counted(&name)? == 0);
        intervals(2, SHORT);
        write(stage, &name, 1)?;
        drop(first);
        let second = Replaceable::add(NUMBERS[0], stage.deadline)?;
        ensure!(number_of(&second.name())? == number);
        // More than with the first one: the counters alone don't show that they began again.
        read(stage, &name, 4)?;
        write(stage, &name, 4)?;
        ensure!(DeviceStat::of(&name)?.written == 4 * MIB);
        let new = counted(&name)?;
        ensure!(new == 4 * MIB, "{new} bytes of the new disk");
        intervals(2, SHORT);
        Ok(())
    })?;
    let shown = one.total("block_write_bytes")?;
    ensure!(shown == 6 * MIB, "--device {name}: {shown} bytes");
    let added = format!("loop{}", NUMBERS[2]);
    rows_are(&all, &[(&*name, 6), (&added, 2)])
}
