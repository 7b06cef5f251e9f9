//! The trace, decoded by Perfetto's own descriptors.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::python;
use super::recording;

pub fn decoded() -> Result<()> {
    let made = recording::made()?;
    let path = made.export("perfetto", &["--by", "command", "--top", "3"])?;
    let trace = python::run("trace.py", &[path.to_str().context("UTF-8")?])?;
    for (field, wanted) in [
        ("unknown_fields", json!([])),
        ("unfinished", json!(0)),
        // SEQ_INCREMENTAL_STATE_CLEARED
        ("first_flags", json!(1)),
        // BUILTIN_CLOCK_REALTIME
        ("primary_clock", json!(1)),
        ("clocks", json!([1])),
        ("sequences", json!([1])),
        // UNIT_SIZE_BYTES
        ("units", json!([3])),
    ] {
        ensure!(trace[field] == wanted, "{field}: {}", trace[field]);
    }
    counters(&trace, &made.report("command")?)?;
    slices(&trace)
}

/// The sum of the values of the counters whose track's name has this in it.
fn sum(trace: &Value, part: &str) -> Result<u64> {
    let counters = trace["counters"].as_object().context("no counters")?;
    let mut sum = 0;
    for (_, values) in counters.iter().filter(|(name, _)| name.contains(part)) {
        for value in values.as_array().context("no values")? {
            sum += value[1].as_u64().context("not a number of bytes")?;
        }
    }
    Ok(sum)
}

fn counters(trace: &Value, report: &[Value]) -> Result<()> {
    let total = &report[0];
    let metadata = total["metadata_bytes"].as_u64().context("metadata")?;
    let written = total["written_bytes"].as_u64().context("written")?;
    for (part, bytes) in [
        ("/written: ", Some(written)),
        ("vda/written: journals and metadata", Some(metadata)),
        ("/written: no owner", total["without_owner_bytes"].as_u64()),
        ("/read", total["read_bytes"].as_u64()),
        ("/copies of writes to devices above", Some(35 * 8192)),
        ("bytes written by command/", Some(written)),
    ] {
        let found = sum(trace, part)?;
        ensure!(
            Some(found) == bytes && found != 0,
            "{part}: {found}, not {bytes:?}"
        );
    }
    let rows = report.iter().filter(|line| line["kind"] == "row");
    for row in rows.take(3) {
        let name = row["name"].as_str().context("a name")?;
        // Names are escaped there.
        if name.chars().all(|c| c.is_ascii_alphanumeric()) {
            let found = sum(trace, &format!("bytes written by command/{name}"))?;
            ensure!(
                Some(found) == row["written_bytes"].as_u64(),
                "{name}: {found}"
            );
        }
    }
    // The first interval starts where the report does.
    let start: jiff::Timestamp = total["start"].as_str().context("a start")?.parse()?;
    let snapshot = trace["snapshot"][0][1].as_i64().context("a time")?;
    let apart = i128::from(snapshot) - start.as_nanosecond();
    ensure!(apart.abs() < 1000, "{apart} ns apart");
    Ok(())
}

fn slices(trace: &Value) -> Result<()> {
    let slices = trace["slices"].as_array().context("no slices")?;
    let flushes = slices
        .iter()
        .filter(|slice| slice["category"][0] == "flush");
    let flushes: Vec<&Value> = flushes.collect();
    ensure!(flushes.len() == 35, "{} flushes", flushes.len());
    let mut bytes = 0;
    for (seq, slice) in (1_u64..).zip(flushes) {
        ensure!(slice["track"] == "vda/[kworker]", "{slice}");
        ensure!(slice["name"] == "periodic", "{slice}");
        let args = &slice["args"];
        bytes += args["bytes"].as_u64().context("bytes")?;
        ensure!(args["bytes"] == 8192 * seq, "{slice}");
        let why = args["why"].as_str().context("why")?;
        ensure!(why.contains("vm.dirty_expire_centisecs"), "{why}");
        let owner = &args["owners"][0];
        ensure!(owner["task"] == "db (PID 100)", "{slice}");
        ensure!(owner["bytes"] == args["bytes"], "{slice}");
        ensure!(owner["files"] == "/srv/db/data", "{slice}");
        let length = slice["end"].as_u64().zip(slice["start"].as_u64());
        let length = length.map(|(end, start)| end - start);
        // The interval, to a microsecond.
        ensure!(
            length.is_some_and(|ns| ns.abs_diff(10_000_000_000) < 1000),
            "{slice}"
        );
    }
    ensure!(
        bytes == (1..=35).map(|seq| 8192 * seq).sum::<u64>(),
        "{bytes}"
    );
    Ok(())
}
