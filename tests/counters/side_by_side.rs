//! A comparison with iotop-c, on a task that no other tool shows.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::MIB;
use super::io::Io;
use super::stage::{Stage, intervals};
use super::support::checks::near;
use super::support::command::run;
use super::support::deadline::lines_of;
use super::support::process::end;
use super::support::tracer::Tracer;
use super::support::trial::LeftOut;

const IOTOP_C: &str = "iotop-c";

/// dd writes 200 MiB, syncs them and exits within a second.
pub fn dd(stage: &Stage<'_>) -> Result<()> {
    let len = 200 * MIB;
    let mut beside = Command::new(IOTOP_C)
        .args(["-b", "-o", "-qqq", "-d", "1", "-n", "4"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|_| LeftOut::missing("iotop-c is not installed: `cargo xtask setup` does it"))?;
    let said = lines_of(beside.stdout.take().context("stdout is piped")?);
    let report = watched(stage);
    let mut peer = Vec::new();
    let ended = stage.deadline.wait(&mut beside);
    end(&mut beside);
    ended?;
    while let Some(line) = stage.deadline.line(&said)? {
        peer.push(line);
    }
    let report = report?;
    let (mut ours, mut block, mut exited) = (Vec::new(), 0, false);
    for line in report.0.iter().flat_map(|interval| &interval.tasks) {
        if line.text("comm")? == "dd" {
            block += line.number("block_write_bytes")?;
            exited |= line.flag("exited")?;
            ours.push(line);
        }
    }
    let rows = ours.len();
    let check = || -> Result<()> {
        ensure!(rows > 0, "there is no row of dd");
        let io = Io::of_lines(ours)?;
        ensure!(exited, "dd is not called exited");
        let right = io.write_bytes == len && io.write_char >= len && io.read_char >= len;
        ensure!(right, "{io:?} is not {len} bytes");
        near("block_write_bytes", block, len)
    };
    peer.retain(|line| line.contains("dd if="));
    check().with_context(|| format!("dd of {len} bytes; iotop-c's rows of it: {peer:?}"))
}

fn watched(stage: &Stage<'_>) -> Result<super::support::ndjson::Report> {
    let tracer = Tracer::start(&["-d", "1"])?;
    let target = format!("of={}", stage.file("file"));
    let mut dd = Command::new("dd");
    dd.args(["if=/dev/zero", &target, "bs=1M", "count=200", "conv=fsync"]);
    run(&mut dd, stage.deadline)?;
    intervals(1, Duration::from_secs(1));
    stage.report(tracer)
}
