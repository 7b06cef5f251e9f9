//! What keys and the mouse do.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::stage::{MIB, Stage, line};
use super::support::process::Writer;

const SIZE: (u16, u16) = (150, 40);

pub fn all(stage: &Stage) -> Result<()> {
    let mut terminal = stage.start(&["-d", "0.5"], SIZE)?;
    terminal.keys("/lv-\r")?;
    terminal.wait_for("the filter", |text| text.contains("/lv-/"))?;
    let large = stage.wrote("lv-large", "large", 24 * MIB)?;
    let small = stage.wrote("lv-small", "small", 12 * MIB)?;
    let rows = |text: &str| {
        let row = |line: &str| {
            Some((
                line.split_whitespace().next()?.parse::<u64>().ok()?,
                line.contains("lv-"),
            ))
        };
        let rows = text.lines().filter_map(row).filter(|(_, ours)| *ours);
        rows.map(|(tid, _)| tid).collect::<Vec<u64>>()
    };
    terminal.keys("c")?;
    terminal.wait_for("both", |text| rows(text) == [large, small])?;
    // By TID, the newest first, and then reversed.
    terminal.keys(&"\x1b[D".repeat(9))?;
    terminal.wait_for("by TID", |text| {
        rows(text) == [small, large] && text.contains("▼TID")
    })?;
    terminal.keys("r")?;
    terminal.wait_for("rising", |text| {
        rows(text) == [large, small] && text.contains("▲TID")
    })?;
    terminal.keys("m/\x15lv-small\r")?;
    terminal.wait_for("one", |text| rows(text) == [small])?;
    terminal.keys("s")?;
    let frozen = terminal.wait_for("frozen", |text| text.contains("FROZEN"))?;
    stage.flush("lv-flush")?;
    std::thread::sleep(std::time::Duration::from_millis(1200));
    ensure!(terminal.text() == frozen, "a frozen screen moved");
    terminal.keys("s/\x15\r")?;
    terminal.wait_for("all again", |text| {
        !text.contains("FROZEN") && !text.contains("/lv-")
    })?;
    terminal.keys("bbbbbbbb")?;
    let device = stage.device();
    terminal.wait_for("devices", |text| {
        text.contains("by device") && line(text, &[device]).is_some()
    })?;
    terminal.keys("p?")?;
    terminal.wait_for("the help", |text| {
        text.contains("KEYS") && text.contains("open the selected row")
    })?;
    terminal.keys("\x1b")?;
    let text = terminal.wait_for("processes", |text| {
        text.contains("by process") && text.contains("COMMAND")
    })?;
    ensure!(text.contains("PID"), "{text}");
    terminal.keys("q")?;
    ensure!(terminal.end()?.success(), "q ends it well");
    Ok(())
}

pub fn priority(stage: &Stage) -> Result<()> {
    let path = stage.file("file");
    let mut writer = Writer::start("lv-nice", &["write", &path, "0", "4194304"])?;
    writer.go()?;
    writer.done(stage.deadline)?;
    let mut terminal = stage.start(&["-d", "0.5", "--filter", "^lv-nice$"], (200, 30))?;
    let pid = writer.pid().to_string();
    terminal.wait_for("the writer", |text| line(text, &[&pid, "be/"]).is_some())?;
    terminal.keys("ibe/9\r")?;
    terminal.wait_for("a refusal", |text| {
        text.contains("be/0 to be/7, rt/0 to rt/7") || text.contains("none, idle")
    })?;
    terminal.keys("\x15idle\r")?;
    terminal.wait_for("that it is done", |text| text.contains("set to idle"))?;
    let asked = std::process::Command::new("ionice")
        .args(["-p", &pid])
        .output()?;
    ensure!(
        String::from_utf8_lossy(&asked.stdout).trim() == "idle",
        "{asked:?}"
    );
    writer.exit(stage.deadline)?;
    Ok(())
}

pub fn settings(stage: &Stage) -> Result<()> {
    let mut terminal = stage.start(&["-d", "0.5"], SIZE)?;
    terminal.keys("bbbbox2W")?;
    terminal.wait_for("that it is saved", |text| {
        text.contains("settings saved to")
    })?;
    terminal.keys("q")?;
    terminal.end()?;
    let text = fs::read_to_string(stage.settings()).context("the configuration")?;
    for setting in [
        "group_by = \"user\"",
        "only = true",
        "exited = false",
        "delay = 0.5",
    ] {
        ensure!(text.contains(setting), "{setting} is not in {text}");
    }
    let terminal = stage.start(&[], SIZE)?;
    let text = terminal.text();
    ensure!(
        text.contains("by user") && text.contains("only active"),
        "{text}"
    );
    Ok(())
}

pub fn mouse(stage: &Stage) -> Result<()> {
    stage.wrote("lv-mouse", "file", 8 * MIB)?;
    let mut terminal = stage.start(&["-d", "0.5"], SIZE)?;
    let text = terminal.wait_for("a head", |text| text.contains("COMMAND"))?;
    let head = text
        .lines()
        .position(|line| line.contains("COMMAND"))
        .context("a head")?;
    let column = |text: &str, name: &str| text.lines().nth(head).and_then(|line| line.find(name));
    let x = column(&text, "DISK_WRITE").context("a column")?;
    // SGR's mouse: button 0 at column and row, counted from 1.
    terminal.keys(&format!(
        "\x1b[<0;{};{}M\x1b[<0;{};{}m",
        x + 1,
        head + 1,
        x + 1,
        head + 1
    ))?;
    terminal.wait_for("that it is sorted", |text| text.contains("▼DISK_WRITE"))?;
    terminal.keys(&format!("\x1b[<0;3;{}M", head + 4))?;
    let chosen = |terminal: &super::terminal::Terminal| {
        let screen = terminal.screen();
        let row = u16::try_from(head + 3).unwrap_or(0);
        screen.cell(row, 1).is_some_and(vt100::Cell::inverse)
    };
    terminal.wait_for("the third row", |_| chosen(&terminal))?;
    Ok(())
}
