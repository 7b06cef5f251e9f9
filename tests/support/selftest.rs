//! Trials of the harness itself, on made-up lines: a check that cannot fail
//! proves nothing. They need no privilege.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::{Completion, Trial};
use serde_json::{Value, json};

use super::checks::{conservation, copied, flushes_are, near, owners_are_writers};
use super::command::run;
use super::counters::{DeviceStat, Vmstat};
use super::deadline::{Deadline, lines_of};
use super::ndjson::Report;
use super::trial::{self, LeftOut, required};

type Selftest = fn() -> Result<()>;

pub fn trials() -> Vec<Trial> {
    let trials: [(&str, Selftest); 8] = [
        ("a_sound_report_passes", sound_report),
        ("every_broken_promise_is_caught", broken_promises),
        ("copies_and_their_makers_are_told_apart", copies),
        ("owners_add_up_over_intervals", owners),
        ("kernel_counters_are_read_as_bytes", counters),
        ("a_cut_off_line_is_caught", cut_off),
        ("a_hung_step_ends_in_time", hung_step),
        ("a_trial_is_left_out_only_for_a_reason", left_out),
    ];
    trials
        .map(|(name, trial)| {
            Trial::test(format!("harness::{name}"), move || {
                trial().map_err(|error| format!("{error:#}").into())
            })
        })
        .into()
}

const MIB: u64 = 1 << 20;

/// Two intervals, each with 10 MiB of one exited writer, 1 MiB shared and 2 MiB without
/// an owner.
fn lines() -> Vec<Value> {
    (1..=2)
        .flat_map(|seq| [system(seq), task(seq), flush(seq)])
        .collect()
}

fn system(seq: u64) -> Value {
    json!({
        "v": 1, "type": "system", "seq": seq, "time": "2026-01-01T00:00:00.000000Z",
        "interval_s": 0.5, "pgpgin_bytes": 4 * MIB, "pgpgout_bytes": 13 * MIB,
        "block_read_bytes": 4 * MIB, "block_write_bytes": 13 * MIB,
        "attributed_write_bytes": 10 * MIB, "shared_write_bytes": MIB,
        "shared": {"data": 0, "journal": MIB, "home": 0, "tree": 0},
        "unattributed_write_bytes": 2 * MIB,
        "unattributed": {"pre_trace": MIB, "metadata": MIB, "swap": 0,
                         "stacked": 7 * MIB, "overflow": 0, "unknown": 0},
        "lost": {"exit_records": null, "facts": 0},
    })
}

fn task(seq: u64) -> Value {
    json!({
        "v": 1, "type": "task", "seq": seq, "time": "2026-01-01T00:00:00.000000Z",
        "interval_s": 0.5, "pid": 7, "tid": 8, "comm": "w", "exited": seq == 2,
        "block_read_bytes": 0, "dirtied_bytes": 10 * MIB, "dirty_pending_bytes": 2 - seq,
        "cancelled_dirty_bytes": 0, "block_write_bytes": 10 * MIB,
        "block_write_self_bytes": 4 * MIB, "block_write_flushed_bytes": 6 * MIB,
        "block_write_shared_bytes": MIB, "metadata_bytes": MIB, "home_bytes": 0,
    })
}

/// All that was written, in one flush.
fn flush(seq: u64) -> Value {
    json!({
        "v": 1, "type": "flush", "seq": seq, "time": "2026-01-01T00:00:00.000000Z",
        "device": {"name": "dm-0"}, "bytes": 13 * MIB,
        "owners": [{"pid": 7, "comm": "w", "bytes": 10 * MIB},
                   {"pid": null, "comm": null, "bytes": MIB}],
        "unattributed": {"pre_trace": MIB, "metadata": MIB, "swap": 0,
                         "stacked": 7 * MIB, "overflow": 0, "unknown": 0},
    })
}

fn check(lines: &[Value]) -> Result<()> {
    check_but(&[], lines)
}

/// The same, with losses that do not matter.
fn check_but(may_lose: &[&str], lines: &[Value]) -> Result<()> {
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    let [inner, outer] = [25, 27].map(|written| Vmstat {
        read: 8 * MIB,
        written: written * MIB,
    });
    conservation(&Report::parse(&lines)?, may_lose, inner, outer)
}

fn sound_report() -> Result<()> {
    check(&lines())
}

/// Each entry breaks one thing in the second interval and names the message that must
/// follow.
fn broken_promises() -> Result<()> {
    let breaks: &[(usize, &str, Value, &str)] = &[
        (3, "/v", json!(2), "not version 1"),
        (3, "/seq", json!(3), "seq 3, not 2"),
        (3, "/block_write_bytes", json!(13 * MIB + 1), "its parts"),
        (
            3,
            "/attributed_write_bytes",
            json!(10 * MIB - 1),
            "its parts",
        ),
        (3, "/block_write_bytes", json!(null), "null although"),
        (3, "/unattributed/swap", json!(1), "its reasons"),
        (3, "/unattributed/swap", json!(null), "swap is null"),
        (3, "/lost/facts", json!(1), "lost.facts"),
        (
            3,
            "/pgpgout_bytes",
            json!(14 * MIB),
            "block_write_bytes and pgpgout",
        ),
        (
            3,
            "/pgpgin_bytes",
            json!(5 * MIB),
            "block_read_bytes and pgpgin",
        ),
        (
            4,
            "/block_write_self_bytes",
            json!(0),
            "a task's block_write_bytes",
        ),
        (
            4,
            "/block_write_shared_bytes",
            json!(0),
            "shared_write_bytes",
        ),
        (3, "/shared/home", json!(1), "its kinds"),
        (3, "/shared/journal", json!(null), "journal is null"),
        (4, "/metadata_bytes", json!(0), "tasks' metadata_bytes"),
        (5, "/bytes", json!(13 * MIB + 1), "a flush and its parts"),
        (5, "/type", json!("spike"), "and the flushes"),
        (4, "/type", json!("system"), "seq 2, not 3"),
        (4, "/type", json!("tusk"), "an unexpected line"),
    ];
    for (line, path, value, complaint) in breaks {
        let mut lines = lines();
        let field = lines[*line].pointer_mut(path).context("no such field")?;
        *field = value.clone();
        must_say(check(&lines), complaint)?;
    }
    let mut lost = lines();
    lost[3]["lost"]["facts"] = json!(1);
    check_but(&["facts"], &lost)?;
    must_say(check_but(&["paths"], &lost), "lost.facts")?;
    let mut both = lines();
    for line in [0, 3] {
        both[line]["pgpgout_bytes"] = json!(14 * MIB);
        both[line]["block_write_bytes"] = json!(14 * MIB);
        both[line]["shared_write_bytes"] = json!(2 * MIB);
        both[line]["shared"]["data"] = json!(MIB);
        both[line + 1]["block_write_shared_bytes"] = json!(2 * MIB);
        both[line + 2]["bytes"] = json!(14 * MIB);
        both[line + 2]["owners"][1]["bytes"] = json!(2 * MIB);
    }
    must_say(check(&both), "as read beside it")?;
    let mut renamed = lines();
    renamed[4]
        .as_object_mut()
        .context("an object")?
        .remove("block_write_bytes");
    must_say(check(&renamed), "no field block_write_bytes")
}

fn must_say(end: Result<()>, complaint: &str) -> Result<()> {
    let said = end.err().map(|error| format!("{error:#}"));
    ensure!(
        said.as_ref().is_some_and(|said| said.contains(complaint)),
        "{said:?} does not say {complaint:?}"
    );
    Ok(())
}

fn copies() -> Result<()> {
    let mut lines = lines();
    let parse = |lines: &[Value]| {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        Report::parse(&lines)
    };
    let report = parse(&lines)?;
    copied(&report, &["loop0"], 14 * MIB)?;
    must_say(copied(&report, &["loop0"], 13 * MIB), "copied to lower")?;
    must_say(copied(&report, &["dm-0"], 14 * MIB), "counted as written")?;
    owners_are_writers(&report, "loop0")?;
    must_say(owners_are_writers(&report, "dm-0"), "w owns")?;
    for line in [2, 5] {
        lines[line]["owners"][0]["comm"] = json!("gt-w");
        lines[line]["owners"][1]["comm"] = json!("gt-x");
    }
    owners_are_writers(&parse(&lines)?, "dm-0")
}

fn owners() -> Result<()> {
    let lines: Vec<String> = lines().iter().map(Value::to_string).collect();
    let report = Report::parse(&lines)?;
    let owners = report.owners()?;
    let owner = owners.get(&("w", 7)).context("no owner w")?;
    ensure!(owner.written == 20 * MIB && owner.written_flushed == 12 * MIB);
    ensure!(owner.shared == 0 && owner.metadata == 2 * MIB && owner.exited && owner.pending == 0);
    ensure!(owner.tids.iter().eq([&8]));
    ensure!(report.pending("w")? == 0 && report.pending("v")? == 0);
    ensure!(report.unattributed_on("dm-0", "metadata")? == 2 * MIB);
    ensure!(report.unattributed_on("dm-1", "metadata")? == 0);
    flushes_are(&report, &["dm-0"], 26 * MIB..=26 * MIB)?;
    flushes_are(&report, &["dm-1", "dm-0"], 26 * MIB..=26 * MIB)?;
    must_say(
        flushes_are(&report, &["dm-0", "dm-1"], 26 * MIB + 1..=27 * MIB),
        "of dm-0 and dm-1",
    )?;
    near("within 64 KiB", MIB, MIB + 64 * 1024)?;
    near("within 0.5 %", 199 * MIB, 200 * MIB)?;
    must_say(near("small", MIB, MIB + 64 * 1024 + 1), "small")?;
    must_say(near("large", 199 * MIB - 1, 200 * MIB), "large")
}

fn counters() -> Result<()> {
    let vmstat = Vmstat::parse("nr_dirty 1\npgpgin 5\npgpgout 7\npgpgoutside 9\n")?;
    ensure!(vmstat.read == 5 * 1024 && vmstat.written == 7 * 1024);
    let stat = DeviceStat::parse("  1 0 8 0 2 0 16 0 0 0 0\n")?;
    ensure!(stat.read == 8 * 512 && stat.written == 16 * 512);
    must_say(Vmstat::parse("pgpgin 5\n").map(drop), "no pgpgout")
}

fn cut_off() -> Result<()> {
    let whole = system(1).to_string();
    let lines: Vec<String> = lines_of(std::io::Cursor::new(format!("{whole}\n{whole}")))
        .into_iter()
        .collect();
    ensure!(lines.len() == 2 && lines[0] == whole);
    must_say(Report::parse(&lines).map(drop), "cut off")
}

fn hung_step() -> Result<()> {
    let start = Instant::now();
    let end = run(
        Command::new("sleep").arg("20"),
        Deadline::after(Duration::from_millis(50)),
    );
    must_say(end.map(drop), "took too long")?;
    ensure!(start.elapsed() < Duration::from_secs(5));
    Ok(())
}

fn left_out() -> Result<()> {
    let is_ignored = |end: &Completion| matches!(end, Completion::Ignored { reason: Some(_) });
    let elsewhere = trial::end(Err(LeftOut::elsewhere("this is no such machine")));
    ensure!(elsewhere.is_ok_and(|end| is_ignored(&end)));
    let missing = trial::end(Err(LeftOut::missing("this is no such machine")));
    match missing {
        Ok(end) => ensure!(is_ignored(&end) && !required()),
        Err(_) => ensure!(required(), "a failure where nothing is required"),
    }
    ensure!(trial::end(Err(anyhow!("wrong"))).is_err());
    ensure!(matches!(trial::end(Ok(())), Ok(Completion::Completed)));
    Ok(())
}
