//! `record` and `replay`: what was written is in the recording, whatever becomes of the recorder,
//! and bad input is said.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{BINARY, complaint, is_root, program::Running, run, soon};

pub(super) const MIB: u64 = 1 << 20;

/// An ext4 on a loop device. Dropping it unmounts it.
pub(super) struct Ext4 {
    dir: TempDir,
    pub(super) device: String,
}

impl Ext4 {
    pub(super) fn mount() -> Result<Ext4> {
        let dir = TempDir::new()?;
        let (image, at) = (dir.path().join("image"), dir.path().join("mnt"));
        File::create(&image)?.set_len(256 * MIB)?;
        fs::create_dir(&at)?;
        done(Command::new("mkfs.ext4").arg("-q").arg(&image))?;
        done(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&at),
        )?;
        let found = soon().output(Command::new("findmnt").args(["-no", "SOURCE"]).arg(&at))?;
        let source = String::from_utf8(found.stdout)?;
        let device = source.trim().trim_start_matches("/dev/").to_owned();
        Ok(Ext4 { dir, device })
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    /// Lets a program of this name write so much, and waits until it is on the device.
    pub(super) fn write(&self, name: &str, mib: u64) -> Result<()> {
        let program = self.dir.path().join(name);
        if !program.exists() {
            fs::copy("/bin/dd", &program)?;
        }
        let file = format!("of={}", self.dir().join(name).display());
        let count = format!("count={mib}");
        let args = ["if=/dev/zero", &file, "bs=1M", &count, "conv=fsync,notrunc"];
        done(Command::new(program).args(args))
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        let _ = done(Command::new("umount").arg(self.dir()));
    }
}

fn done(command: &mut Command) -> Result<()> {
    let output = soon().output(command)?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        complaint(&output)
    );
    Ok(())
}

/// Where what the recorder says goes: never to the disk that may be full.
fn said(directory: &Path) -> PathBuf {
    let name = directory.to_string_lossy().replace('/', "-");
    std::env::temp_dir().join(format!("iotop-trace-said{name}"))
}

/// Starts a recorder, and waits until it records.
fn start(directory: &Path) -> Result<Running> {
    start_with(directory, &["-d", "0.2"])
}

/// The same, with these options.
pub(super) fn start_with(directory: &Path, options: &[&str]) -> Result<Running> {
    let said = said(directory);
    let child = Command::new(BINARY)
        .arg("record")
        .args(options)
        .arg(directory)
        .stdin(Stdio::null())
        .stderr(File::create(&said)?)
        .spawn()?;
    let running = Running(child);
    for _ in 0..200 {
        if fs::read_to_string(&said)?.contains("recording into") {
            return Ok(running);
        }
        sleep(Duration::from_millis(100));
    }
    anyhow::bail!("it does not record: {}", fs::read_to_string(&said)?);
}

/// The file of a recording that has one.
fn file_of(directory: &Path) -> Result<PathBuf> {
    fs::read_dir(directory)?
        .filter_map(|file| Some(file.ok()?.path()))
        .find(|path| {
            path.to_str()
                .is_some_and(|name| name.ends_with(".ndjson.zst"))
        })
        .context("no file")
}

/// Ends it with this signal. Its status and what it said.
pub(super) fn end(mut recorder: Running, signal: libc::c_int, directory: &Path) -> Result<String> {
    recorder.signal(signal)?;
    let status = soon().wait(&mut recorder.0)?;
    let path = said(directory);
    let said = fs::read_to_string(&path)?;
    fs::remove_file(path)?;
    ensure!(
        signal == libc::SIGKILL || status.success(),
        "{status}: {said}"
    );
    Ok(said)
}

#[test]
fn recorded_bytes_are_those_written_although_recorders_are_killed() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: only root mounts a file system");
        return Ok(());
    }
    let ext4 = Ext4::mount()?;
    let recordings = TempDir::new()?;
    let directory = recordings.path().join("recording");
    for (n, kill_after) in [(1, None), (2, Some(0)), (3, Some(700)), (4, None)] {
        let recorder = start(&directory)?;
        let second = run(&["record", directory.to_str().context("UTF-8")?])?;
        let pid = format!("process {}", recorder.0.id());
        ensure!(second.status.code() == Some(1), "{}", second.status);
        ensure!(complaint(&second).contains(&pid), "{}", complaint(&second));
        ext4.write("rec-one", 4 * n)?;
        ext4.write("rec-two", 3)?;
        match kill_after {
            // All that it has is a frame that is not finished.
            Some(millis) => {
                sleep(Duration::from_millis(millis));
                end(recorder, libc::SIGKILL, &directory)?;
            }
            None => {
                end(recorder, libc::SIGTERM, &directory)?;
            }
        }
    }
    let at = directory.to_str().context("UTF-8")?;
    let replayed = run(&[
        "replay",
        at,
        "-a",
        "--final",
        "--group-by",
        "command",
        "--device",
        &ext4.device,
        "--export",
        "csv",
        "--fields",
        "block_write_bytes,name",
    ])?;
    let said = complaint(&replayed);
    ensure!(
        replayed.status.success() && !said.contains("left out"),
        "{said}"
    );
    let text = String::from_utf8(replayed.stdout)?;
    let bytes = |name: &str| {
        let mut lines = text.lines().filter(|line| line.ends_with(name));
        let line = lines
            .next()
            .with_context(|| format!("no {name} in {text}"))?;
        let bytes = line.rsplit(',').nth(1).context("bytes")?;
        Ok::<u64, anyhow::Error>(bytes.parse()?)
    };
    // Twice each: in the first run and in the last.
    ensure!(bytes("rec-one")? == (4 + 16) * MIB, "{text}");
    ensure!(bytes("rec-two")? == 2 * 3 * MIB, "{text}");
    let report = ["report", at, "--by", "command", "--format", "csv"];
    let reported = run(&report)?;
    ensure!(reported.status.success(), "{}", complaint(&reported));
    let text = String::from_utf8(reported.stdout)?;
    let exact = |name: &str| {
        let name = format!(",row,{name},");
        let line = text.lines().find(|line| line.contains(&name));
        let cells = line.with_context(|| format!("no {name} in {text}"))?;
        let bytes = cells.split(',').nth(8).context("exact_bytes")?;
        Ok::<u64, anyhow::Error>(bytes.parse()?)
    };
    ensure!(exact("rec-one")? == (4 + 16) * MIB, "{text}");
    ensure!(exact("rec-two")? == 2 * 3 * MIB, "{text}");
    let file = file_of(&directory)?;
    let plain = soon().output(Command::new("zstd").arg("-dc").arg(&file));
    if let Ok(plain) = plain {
        ensure!(plain.status.success(), "{}", complaint(&plain));
        let lines = String::from_utf8(plain.stdout)?;
        let facts = lines
            .lines()
            .filter(|line| line.contains("\"type\":\"fact\""));
        ensure!(facts.count() > 0, "no facts");
    }
    Ok(())
}

/// A file system of this many KiB in memory. Dropping it unmounts it.
struct Small(TempDir);

impl Small {
    fn mount(kib: u64) -> Result<Small> {
        let small = Small(TempDir::new()?);
        let options = format!("size={kib}k,mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "iotop-trace-test"]);
        done(mount.arg(small.0.path()))?;
        Ok(small)
    }

    /// Fills it with a file of this name.
    fn fill(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.path().join("recording").join(name);
        let mut zeros = std::io::repeat(0);
        let filled = std::io::copy(&mut zeros, &mut File::create(&path)?);
        ensure!(filled.is_err(), "it is not full");
        Ok(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = done(Command::new("umount").arg(self.0.path()));
    }
}

#[test]
fn a_full_disk_costs_the_oldest_day_and_then_recording_pauses() -> Result<()> {
    if !is_root() {
        eprintln!("ignored: only root mounts a file system");
        return Ok(());
    }
    let small = Small::mount(512)?;
    let directory = small.0.path().join("recording");
    let recorder = start(&directory)?;
    let old = small.fill("2999-01-01.ndjson.zst")?;
    end(recorder, libc::SIGTERM, &directory)?;
    ensure!(!old.exists(), "the other day is still there");
    let replay = [
        "replay",
        directory.to_str().context("UTF-8")?,
        "--export",
        "csv",
    ];
    let recorded = run(&replay)?;
    ensure!(recorded.status.success(), "{}", complaint(&recorded));
    let spikes = run(&[&replay[..2], &["--explain-writeback", "-o"]].concat())?;
    ensure!(spikes.stdout.is_empty(), "a spike");
    let said = complaint(&spikes);
    ensure!(said.contains("no spikes in"), "{said}");
    let full = Stdio::from(File::options().write(true).open("/dev/full")?);
    let mut command = Command::new(BINARY);
    let full = command.args(replay).stdout(full).output()?;
    let said = complaint(&full);
    ensure!(full.status.code() == Some(1), "{}: {said}", full.status);
    ensure!(
        said.contains("writing to standard output: No space"),
        "{said}"
    );

    // Without a page that a small frame would still fit into.
    let file = file_of(&directory)?;
    fs::remove_file(file)?;
    ensure!(
        directory.join("2999-01-01.1.ledger.zst").exists(),
        "no daily totals"
    );
    let recorder = start(&directory)?;
    let other = small.fill("not-a-recording")?;
    let paused = end(recorder, libc::SIGTERM, &directory)?;
    ensure!(paused.matches("the disk is full").count() == 1, "{paused}");
    ensure!(other.exists(), "a foreign file was removed");
    let none = run(&replay)?;
    let said = complaint(&none);
    ensure!(said.contains("no interval that can be read"), "{said}");
    ensure!(
        !said.contains("left out"),
        "a part of a frame is there: {said}"
    );
    Ok(())
}

/// Fails with this status, prints nothing, and says this.
fn refused(args: &[&str], status: i32, named: &str) -> Result<()> {
    let output = run(args)?;
    let said = complaint(&output);
    let code = output.status.code();
    ensure!(code == Some(status), "{args:?}: {code:?}: {said}");
    ensure!(output.stdout.is_empty(), "{args:?}");
    ensure!(
        said.contains(named),
        "{args:?}: {named:?} is not in {said:?}"
    );
    Ok(())
}

#[test]
fn bad_input_is_said_with_its_status() -> Result<()> {
    let dir = TempDir::new()?;
    let empty = dir.path().to_str().context("UTF-8")?;
    refused(
        &["replay", "/nonexistent"],
        1,
        "record /nonexistent` makes them",
    )?;
    refused(&["replay", empty], 1, "has no recordings")?;
    refused(&["replay", empty, "--at", "2999-01-01"], 2, "in the future")?;
    let backwards = [
        "replay",
        empty,
        "--since",
        "2001-01-02",
        "--until",
        "2001-01-01",
    ];
    refused(&backwards, 2, "is not after --since")?;
    let one = ["replay", empty, "--at", "2001-01-02", "-n", "2"];
    refused(&one, 2, "can't be combined with -n")?;
    refused(
        &["replay", empty, "--since", "2999-01-01"],
        2,
        "in the future",
    )?;
    refused(&["replay", empty, "--at", "soon"], 2, "not a time")?;
    refused(&["-o", "replay", empty], 2, "iotop-trace replay [OPTIONS]")?;
    refused(
        &["-d", "1", "record", empty],
        2,
        "iotop-trace record [OPTIONS]",
    )?;
    refused(&["-P", "record", empty], 2, "iotop-trace record [OPTIONS]")?;
    refused(&["record", "--keep", "x", empty], 2, "days")?;
    refused(&["report", empty], 1, "has no recordings")?;
    refused(
        &["report", empty, "--since", "2999-01-01"],
        2,
        "in the future",
    )?;
    refused(
        &["report", empty, "--compare", "soon", "today"],
        2,
        "not a day",
    )?;
    refused(&["-o", "report", empty], 2, "iotop-trace report [OPTIONS]")?;
    refused(&["record", "--max-size", "1", empty], 2, "at least 1M")?;
    let foreign = dir.path().join("2026-11-28.ndjson.zst");
    fs::write(&foreign, "something else")?;
    refused(&["replay", empty], 1, "no interval that can be read")?;
    refused(&["replay", empty], 1, "is not a recording")?;
    if is_root() {
        fs::set_permissions(
            dir.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o777),
        )?;
        refused(&["record", empty], 1, "only you can write")?;
    }
    Ok(())
}
