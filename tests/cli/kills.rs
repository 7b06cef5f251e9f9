//! A recorder that is killed again and again while it writes, removes and adds up: each byte is
//! counted once, in its daily totals or in a recording.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::recordings::{Ext4, MIB, end, start_with};
use super::{complaint, is_root, run};

/// Set for 50 kills instead of a few.
const LONG: &str = "IOTOP_TRACE_LONG";

/// Little room, so that frames are short and files go while the test runs.
const OPTIONS: [&str; 6] = ["-d", "0.1", "--keep", "1", "--max-size", "1M"];

/// Tasks that write all the time. Dropping it ends them.
struct Load(Vec<Child>);

impl Load {
    fn start(directory: &Path) -> Result<Load> {
        let mut load = Load(Vec::new());
        for n in 0..4 {
            let script = "while :; do dd if=/dev/zero of=\"$0\" bs=4k count=2 conv=fsync,notrunc \
                          2>/dev/null; sleep 0.1; done";
            let mut shell = Command::new("sh");
            shell
                .args(["-c", script])
                .arg(directory.join(format!("load-{n}")));
            load.0.push(shell.stdin(Stdio::null()).spawn()?);
        }
        Ok(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a report says.
struct Reported {
    /// Exact bytes by command.
    commands: BTreeMap<String, u64>,
    /// The end of the last interval.
    end: String,
    samples: u64,
    /// Torn frames.
    torn: u64,
}

fn report(directory: &Path) -> Result<Reported> {
    let at = directory.to_str().context("UTF-8")?;
    let output = run(&["report", at, "--by", "command", "--format", "ndjson"])?;
    let said = complaint(&output);
    ensure!(output.status.success(), "{said}");
    let (mut commands, mut sum) = (BTreeMap::new(), 0);
    let (mut total, mut end, mut samples) = (0, String::new(), 0);
    for line in super::json_lines(&output)? {
        let number = |name: &str| {
            line[name]
                .as_u64()
                .with_context(|| format!("{name}: {line}"))
        };
        match line["kind"].as_str() {
            Some("total") => {
                total = number("written_bytes")?;
                samples = number("samples")?;
                end = line["time"].as_str().context("a time")?.to_owned();
                continue;
            }
            Some("row") => {
                let name = line["name"].as_str().context("a name")?;
                commands.insert(name.to_owned(), number("exact_bytes")?);
            }
            _ => {}
        }
        sum += number("written_bytes")?;
    }
    ensure!(sum == total, "the rows have {sum} bytes, the span {total}");
    let torn = said.split("left out ").nth(1).map_or(Ok(0), |rest| {
        rest.split(' ').next().unwrap_or_default().parse()
    });
    ensure!(!said.contains("daily totals"), "{said}");
    Ok(Reported {
        commands,
        end,
        samples,
        torn: torn.with_context(|| said.clone())?,
    })
}

/// Recordings of a day become those of an older one, which has to go: with `--keep 1`, the two
/// newest days stay.
fn grow_old(directory: &Path, day: &str) -> Result<()> {
    for file in fs::read_dir(directory)? {
        let path = file?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .context("a name")?;
        if let Some(end) = name.strip_suffix(".ndjson.zst") {
            let part = end.split_once('.').map_or("1", |(_, part)| part);
            if end.starts_with("2001-") {
                continue;
            }
            let name = match part {
                "1" => format!("{day}.ndjson.zst"),
                part => format!("{day}.{part}.ndjson.zst"),
            };
            fs::rename(&path, directory.join(name))?;
        }
    }
    Ok(())
}

fn has_totals(directory: &Path) -> Result<usize> {
    let names =
        fs::read_dir(directory)?.filter_map(|file| file.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.ends_with(".ledger.zst")).count())
}

#[test]
fn a_recorder_that_is_killed_at_random_loses_at_most_a_frame_and_doubles_nothing() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: only root mounts a file system");
        return Ok(());
    }
    let kills = if env::var_os(LONG).is_some() { 50 } else { 5 };
    let ext4 = Ext4::mount()?;
    let recordings = TempDir::new()?;
    let directory = recordings.path().join("recording");
    let _load = Load::start(&ext4.dir())?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut random = now.subsec_nanos().into();
    println!("seed {random}");
    let (mut known, mut samples) = (BTreeMap::<String, u64>::new(), 0);
    let (mut lost, mut longest, mut torn) = (0, 0.0_f64, 0);
    for kill in 0..=kills {
        let recorder = start_with(&directory, &OPTIONS)?;
        let name = format!("kill-{kill}");
        let written = (1 + kill % 3) * MIB;
        ext4.write(&name, 1 + kill % 3)?;
        random = 6_364_136_223_846_793_005_u64
            .wrapping_mul(random)
            .wrapping_add(1);
        sleep(Duration::from_millis(200 + (random >> 33) % 1800));
        let is_last = kill == kills;
        end(
            recorder,
            if is_last {
                libc::SIGTERM
            } else {
                libc::SIGKILL
            },
            &directory,
        )?;
        let killed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
        let reported = match report(&directory) {
            // The first recorder may have been killed before its first frame was whole.
            Err(_) if samples == 0 && !is_last => continue,
            reported => reported?,
        };
        // Whatever was there is still there, once.
        for (name, bytes) in &known {
            let found = reported.commands.get(name).copied().unwrap_or(0);
            ensure!(
                found == *bytes,
                "kill {kill}: {name} had {bytes}, and has {found}"
            );
        }
        ensure!(
            reported.samples >= samples,
            "{} after {samples}",
            reported.samples
        );
        samples = reported.samples;
        let found = reported.commands.get(&name).copied().unwrap_or(0);
        // The recorder that wrote it is gone, so it stays as it is.
        known.insert(name.clone(), found);
        ensure!(found <= written, "{name} wrote {written}, and has {found}");
        ensure!(
            !is_last || found == written,
            "{name} wrote {written}, and has {found}"
        );
        lost += u64::from(found != written);
        let last: f64 = reported.end.parse::<jiff::Timestamp>()?.as_nanosecond() as f64 / 1e9;
        ensure!(reported.torn <= 1, "{} torn frames", reported.torn);
        torn += reported.torn;
        longest = longest.max(killed - last);
        // The frame that was being filled.
        ensure!(
            killed - last < 65.0,
            "nothing of the last {} s",
            killed - last
        );
        match kill {
            1 => grow_old(&directory, "2001-01-01")?,
            2 => grow_old(&directory, "2001-01-02")?,
            _ => {}
        }
    }
    println!(
        "{kills} kills: {samples} intervals, {torn} torn frames, {lost} writers in a lost frame, \
         at most {longest:.1} s lost, totals of {} days",
        has_totals(&directory)?
    );
    ensure!(has_totals(&directory)? >= 1, "no file had to go");
    Ok(())
}
