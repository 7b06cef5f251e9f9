//! The live view over a recording that the real program has made.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::stage::{MIB, NOBODY, Stage, line, variables};
use super::support::tracer::BINARY;
use super::terminal::Terminal;

const SIZE: (u16, u16) = (150, 40);

/// A recorder. Dropping it ends it.
struct Recorder(Child);

impl Recorder {
    /// Starts it, and waits until it records.
    fn start(directory: &Path, said: &Path) -> Result<Recorder> {
        let mut command = Command::new(BINARY);
        command.args(["record", "-d", "0.2"]).arg(directory);
        command.stdin(Stdio::null()).stderr(File::create(said)?);
        let recorder = Recorder(command.spawn()?);
        for _ in 0..300 {
            if fs::read_to_string(said)?.contains("recording into") {
                return Ok(recorder);
            }
            sleep(Duration::from_millis(100));
        }
        anyhow::bail!("it does not record: {}", fs::read_to_string(said)?);
    }

    /// Lets it write what it has, and end.
    fn end(mut self) -> Result<()> {
        let pid = libc::pid_t::try_from(self.0.id())?;
        // SAFETY: kill takes plain numbers; the program is ours.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let status = self.0.wait()?;
        ensure!(status.success(), "{status}");
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The number of the sample on the screen, and that of all.
fn place(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().nth(1)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let of = words.iter().position(|word| *word == "of")?;
    let number = |word: &str| word.replace(',', "").parse().ok();
    Some((
        number(words.get(of.checked_sub(1)?)?)?,
        number(words.get(of + 1)?)?,
    ))
}

/// The lines, without the spaces that end them: some were never written.
fn written(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim_end().to_owned());
    lines.collect()
}

pub fn replayed(stage: &Stage) -> Result<()> {
    let home = TempDir::new()?;
    let directory = home.path().join("recording");
    let said = home.path().join("said");
    let recorder = Recorder::start(&directory, &said)?;
    let path = directory.to_str().context("a plain path")?;
    // Its first minute is not over.
    let mut early = stage.open(&["replay", path], SIZE)?;
    ensure!(!early.end()?.success(), "there is nothing to show");
    let pid = recorder.0.id();
    early.wait_for("who records", |text| {
        text.contains(&format!("process {pid} is recording into"))
    })?;
    stage.wrote("lv-before", "before", 4 * MIB)?;
    stage.flush("lv-flush")?;
    sleep(Duration::from_millis(1500));
    stage.wrote("lv-after", "after", 8 * MIB)?;
    stage.flush("lv-flush")?;
    sleep(Duration::from_millis(500));
    recorder.end()?;

    let mut terminal = stage.start(&["replay", path], SIZE)?;
    let text = terminal.wait_for("the first sample", |text| text.contains("paused"))?;
    let (first, all) = place(&text).context("a place")?;
    ensure!(text.contains("REPLAY") && first == 1 && all > 5, "{text}");
    // Back and forth: each sample is the same, whichever way it is come to.
    terminal.keys("..")?;
    terminal.wait_for("the third", |text| place(text) == Some((3, all)))?;
    // All of it is drawn.
    sleep(Duration::from_millis(300));
    let third = written(&terminal.text());
    terminal.keys("gend\r")?;
    terminal.wait_for("the last", |text| place(text) == Some((all, all)))?;
    terminal.keys(&"<".repeat(usize::try_from(all / 10)? + 1))?;
    terminal.wait_for("the first", |text| place(text) == Some((1, all)))?;
    terminal.keys("..")?;
    terminal.wait_for("the third as it was", |text| written(text) == third)?;
    // A bad time keeps the prompt.
    terminal.keys("gsoon\r")?;
    terminal.wait_for("why", |text| text.contains("not a time"))?;
    terminal.keys("\x15end\r")?;
    terminal.wait_for("the last", |text| place(text) == Some((all, all)))?;
    // All that was written is in the totals, and less of it before.
    terminal.keys("a/lv-\r")?;
    let row = |text: &str, bytes: &str| line(text, &[bytes, "/proc/self/exe write"]).is_some();
    terminal.wait_for("both", |text| row(text, "4.00M") && row(text, "8.00M"))?;
    let mut back = 0;
    while row(&terminal.text(), "8.00M") {
        back += 1;
        ensure!(back < all, "it is in all samples: {}", terminal.text());
        terminal.keys(",")?;
        terminal.wait_for("one less", |text| place(text) == Some((all - back, all)))?;
    }
    terminal.wait_for("the first one", |text| row(text, "4.00M"))?;
    // It plays to its end.
    terminal.keys("v ")?;
    terminal.wait_for("the end", |text| {
        place(text) == Some((all, all)) && text.contains("this is the last sample")
    })?;
    terminal.keys("\x14")?;
    terminal.wait_for("a refusal", |text| text.contains("this is a recording"))?;
    terminal.keys("q")?;
    ensure!(terminal.end()?.success(), "q ends it well");
    unprivileged(&directory)
}

/// A user needs no right but to read the files.
fn unprivileged(directory: &Path) -> Result<()> {
    let home = TempDir::new()?;
    let copy = home.path().join("recording");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
    fs::create_dir(&copy)?;
    for file in fs::read_dir(directory)? {
        let file = file?;
        let to = copy.join(file.file_name());
        fs::copy(file.path(), &to)?;
        chown(&to, Some(65534), Some(65534))?;
    }
    let program = home.path().join("iotop-trace");
    fs::copy(BINARY, &program)?;
    let (program, copy) = (program.to_str(), copy.to_str());
    let (program, copy) = program.zip(copy).context("plain paths")?;
    let nobody = [&NOBODY[..], &[program, "replay", copy]].concat();
    let variables = variables("/nonexistent");
    let mut terminal = Terminal::start(Path::new("setpriv"), &nobody, &variables, SIZE)?;
    terminal.wait_for("a sample", |text| text.contains("Attributed:"))?;
    terminal.keys(".")?;
    terminal.wait_for("the next", |text| {
        place(text).is_some_and(|(number, _)| number == 2)
    })?;
    terminal.keys("q")?;
    ensure!(terminal.end()?.success(), "q ends it well");
    Ok(())
}
