//! A writer that has exited, and the flusher that writes its data.

use anyhow::{Context, Result, ensure};

use super::stage::{MIB, Stage, line};
use super::support::process::Writer;

const SIZE: (u16, u16) = (170, 40);

/// The exited writer owns the bytes, and the flusher's row names it.
pub fn seen(stage: &Stage) -> Result<()> {
    let mut terminal = stage.start(&["-d", "0.5"], SIZE)?;
    let pid = stage.wrote("lv-bulk", "image", 96 * MIB)?;
    terminal.keys("c")?;
    let pid = pid.to_string();
    terminal.wait_for("what is dirty", |text| {
        line(text, &[&pid, "(exited)", "lv-bulk", "96.00M"]).is_some()
    })?;
    stage.flush("lv-flush")?;
    let device = stage.device();
    terminal.wait_for("whose data the flusher writes", |text| {
        line(
            text,
            &["[kworker/", &format!("flush {device} -> lv-bulk 100%")],
        )
        .is_some()
    })?;
    // It stays in view when all is written.
    terminal.wait_for("a quiet interval", |text| {
        line(text, &[&pid, "(exited)", "lv-bulk"]).is_some_and(|line| !line.contains("M/s"))
    })?;
    Ok(())
}

pub fn detail(stage: &Stage) -> Result<()> {
    let mut terminal = stage.start(&["-d", "0.5", "--filter", "^lv-bulk$"], SIZE)?;
    stage.wrote("lv-bulk", "image", 48 * MIB)?;
    stage.flush("lv-flush")?;
    terminal.wait_for("the writer", |text| {
        line(text, &["(exited)", "/proc/self/exe write"]).is_some()
    })?;
    terminal.keys("\r")?;
    let file = stage.file("image");
    let text = terminal.wait_for("its detail", |text| {
        line(text, &["48.00M", &file]).is_some()
    })?;
    ensure!(
        text.contains("lv-bulk (PID") && text.contains("), exited"),
        "{text}"
    );
    // The writer may have read its own program from a disk: that is part of its I/O.
    ensure!(line(&text, &["48.00M", "[kworker/"]).is_some(), "{text}");
    // The device also has its share of the metadata.
    ensure!(line(&text, &["48.0", stage.device()]).is_some(), "{text}");
    terminal.keys("\x1b")?;
    terminal.wait_for("the table", |text| text.contains("COMMAND"))?;
    Ok(())
}

/// `--detail PID` shows a process at once, also one that does nothing.
pub fn process(stage: &Stage) -> Result<()> {
    let file = stage.file("image");
    let mut writer = Writer::start("lv-one", &["write", &file, "0", "8388608"])?;
    let pid = writer.pid().to_string();
    let mut terminal = stage.start(&["-d", "0.5", "--detail", &pid], SIZE)?;
    let title = format!("lv-one (PID {pid})");
    terminal.wait_for("its page", |text| text.contains(&title))?;
    writer.go()?;
    writer.done(stage.deadline)?;
    stage.flush("lv-flush")?;
    terminal.wait_for("its file", |text| line(text, &["8.00M", &file]).is_some())?;
    terminal.keys("\x1b")?;
    terminal.wait_for("the table", |text| text.contains("by process"))?;
    writer.exit(stage.deadline)?;
    Ok(())
}

/// Position of the flusher's line in the list.
fn flush_in(text: &str) -> Option<usize> {
    let mut list = text
        .lines()
        .skip_while(|line| !line.starts_with("TIME"))
        .skip(1);
    list.position(|line| {
        ["64.00M", "sync", "[kworker/", "lv-bulk 100%"]
            .iter()
            .all(|word| line.contains(word))
    })
}

pub fn why(stage: &Stage) -> Result<()> {
    let mut terminal = stage.start(&["-d", "0.5", "--explain-writeback"], SIZE)?;
    terminal.wait_for("the list", |text| text.contains("WHY: recent flushes"))?;
    stage.wrote("lv-bulk", "image", 64 * MIB)?;
    let flusher = stage.flush("lv-flush")?;
    terminal.wait_for("the flush", |text| flush_in(text).is_some())?;
    // Selects its line.
    terminal.keys("s")?;
    let text = terminal.wait_for("a frozen list", |text| {
        text.contains("FROZEN") && flush_in(text).is_some()
    })?;
    let at = flush_in(&text).context("the flush")?;
    terminal.keys(&"\x1b[B".repeat(at))?;
    terminal.keys("\r")?;
    let file = stage.file("image");
    let text = terminal.wait_for("all of it", |text| text.contains(&file))?;
    let asker = format!("requested by lv-flush (PID {flusher}");
    ensure!(line(&text, &["why: sync", &asker]).is_some(), "{text}");
    Ok(())
}

/// The list of wake-ups has the writer of a flushed file, and opens.
pub fn woken(stage: &Stage) -> Result<()> {
    let options = ["-d", "0.5", "--explain-wakeups", "--idle", "1.5"];
    let mut terminal = stage.start(&options, SIZE)?;
    terminal.wait_for("the list", |text| text.contains("WAKE-UPS of disks"))?;
    let device = stage.device();
    let is_listed = |text: &str| line(text, &[device, "lv-wake"]).is_some();
    // A thread of ext4 may use the disk just before, once.
    for _ in 0..4 {
        std::thread::sleep(std::time::Duration::from_secs(3));
        if is_listed(&terminal.text()) {
            break;
        }
        stage.wrote("lv-wake", "image", MIB)?;
        stage.flush("lv-flush")?;
    }
    terminal.wait_for("the wake-up", is_listed)?;
    // Another disk may have been woken meanwhile.
    terminal.keys("s")?;
    let text = terminal.wait_for("a frozen list", |text| text.contains("FROZEN"))?;
    let list = text.lines().skip_while(|line| !line.starts_with("TIME"));
    let at = list.skip(1).position(|line| line.contains("lv-wake"));
    terminal.keys(&"\x1b[B".repeat(at.context("its line")?))?;
    terminal.keys("\r")?;
    let file = stage.file("image");
    terminal.wait_for("all of it", |text| {
        text.contains(&file) && text.contains("how often: ")
    })?;
    terminal.keys("\x1bz")?;
    terminal.wait_for("the table", |text| text.contains("COMMAND"))?;
    Ok(())
}

/// A name may contain any characters.
pub fn hostile(stage: &Stage) -> Result<()> {
    let mut terminal = stage.start(&["-d", "0.5"], SIZE)?;
    terminal.keys("c")?;
    stage.wrote("\x1b[2J\x1b]0;x", "a\x1b[31m\nb", 8 * MIB)?;
    stage.flush("lv-flush")?;
    let text = terminal.wait_for("the row", |text| text.contains("\\x1b[2J\\x1b]0;x"))?;
    ensure!(
        text.contains("Actual") && text.contains("COMMAND"),
        "{text}"
    );
    terminal.keys("w")?;
    terminal.wait_for("the list", |text| text.contains("\\x1b[2J\\x1b]0;x 100%"))?;
    terminal.keys("w")?;
    terminal.wait_for("the table", |text| text.contains("COMMAND"))?;
    terminal.keys("bbbbbbbbb")?;
    let text = terminal.wait_for("the file", |text| text.contains("a\\x1b[31m\\nb"))?;
    ensure!(text.contains("by file"), "{text}");
    Ok(())
}
