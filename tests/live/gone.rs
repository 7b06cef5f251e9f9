//! A terminal that is closed, blocked, without a size or dumb: the program ends when it
//! should, and burns no CPU.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::pty::{Pty, Start};
use super::stage::{Stage, variables};
use super::support::deadline::slower;

const OPTIONS: [&str; 3] = ["--no-ebpf", "-d", "0.3"];
/// Within this time it ends.
const SECOND: Duration = Duration::from_secs(1);

fn start<'a>(variables: &'a [(&'a str, Option<&'a str>)]) -> Start<'a> {
    Start {
        options: &OPTIONS,
        size: (60, 200),
        controlling: true,
        variables,
        stderr: None,
    }
}

/// With SIGHUP and without it, it ends with success, and says nothing.
pub fn closed(_: &Stage) -> Result<()> {
    let variables = variables("/nonexistent");
    let directory = TempDir::new()?;
    let file = directory.path().join("stderr");
    let file = file.to_str().context("a plain path")?;
    for controlling in [true, false] {
        for stderr in [None, Some(file)] {
            let mut pty = Pty::start(&Start {
                controlling,
                stderr,
                // Without a signal, the next picture must not be what ends it.
                options: &["--no-ebpf", "-d", "30"],
                ..start(&variables)
            })?;
            pty.read_until("q quit")?;
            pty.close();
            let (status, took) = pty.end()?;
            ensure!(
                status.success(),
                "{status:?}, controlling: {controlling}, stderr: {stderr:?}"
            );
            ensure!(took < SECOND * slower(), "{took:?}");
        }
    }
    let said = fs::read_to_string(file)?;
    ensure!(said.is_empty(), "{said}");
    Ok(())
}

/// Nobody reads what is drawn: signals and keys still end it.
pub fn blocked(_: &Stage) -> Result<()> {
    let variables = variables("/nonexistent");
    for (keys, signal) in [
        ("", Some(libc::SIGTERM)),
        ("", Some(libc::SIGHUP)),
        ("", Some(libc::SIGINT)),
        ("\x03", None),
        ("q", None),
    ] {
        let mut pty = Pty::start(&start(&variables))?;
        pty.read_until("Actual")?;
        for _ in 0..12 {
            pty.keys("\x0c")?;
            std::thread::sleep(Duration::from_millis(100));
        }
        pty.keys(keys)?;
        if let Some(signal) = signal {
            pty.signal(signal)?;
        }
        let (status, took) = pty.end()?;
        ensure!(took < SECOND * slower(), "{keys:?} {signal:?}: {took:?}");
        ensure!(status.success(), "{keys:?} {signal:?}: {status:?}");
    }
    Ok(())
}

/// What is drawn while nobody reads is there once somebody does.
pub fn unblocked(_: &Stage) -> Result<()> {
    let variables = variables("/nonexistent");
    let mut pty = Pty::start(&start(&variables))?;
    pty.read_until("Actual")?;
    for _ in 0..12 {
        pty.keys("\x0c")?;
        std::thread::sleep(Duration::from_millis(100));
    }
    pty.keys("?")?;
    std::thread::sleep(Duration::from_millis(500));
    pty.read_until("KEYS")?;
    // The rest of what was drawn meanwhile: at the end it has 0.3 s to be taken.
    pty.read_for(Duration::from_millis(500))?;
    pty.keys("q")?;
    // It waits for the reader to take the sequences that restore the terminal.
    pty.read_until("\x1b[?1049l")?;
    let (status, _) = pty.end()?;
    ensure!(status.success(), "{status:?}");
    Ok(())
}

/// The program leads its session, so no shell could continue it.
pub fn orphaned(_: &Stage) -> Result<()> {
    let variables = variables("/nonexistent");
    let mut pty = Pty::start(&start(&variables))?;
    pty.read_until("Actual")?;
    for _ in 0..2 {
        pty.keys("\x1a")?;
        pty.read_until("no shell could continue it")?;
        pty.keys("?")?;
        pty.read_until("KEYS")?;
        pty.keys("\x1b")?;
        pty.read_for(Duration::from_millis(700))?;
    }
    pty.keys("q")?;
    pty.read_until("\x1b[?1049l")?;
    let (status, _) = pty.end()?;
    ensure!(status.success(), "{status:?}");
    Ok(())
}

/// A terminal without a size is drawn on as if it had 80x24, until it gets one.
pub fn sizeless(_: &Stage) -> Result<()> {
    let variables = variables("/nonexistent");
    for size in [(0, 0), (0, 80), (24, 0)] {
        let mut pty = Pty::start(&Start {
            size,
            ..start(&variables)
        })?;
        pty.read_until("Actual")?;
        idle(&mut pty)?;
        pty.resize((5, 20))?;
        pty.read_until("at least 40x10")?;
        pty.resize((0, 0))?;
        pty.read_until("? help")?;
        pty.resize((1, 1))?;
        idle(&mut pty)?;
        pty.keys("q")?;
        pty.read_for(Duration::from_millis(300))?;
        let (status, _) = pty.end()?;
        ensure!(status.success(), "{size:?}: {status:?}");
    }
    Ok(())
}

/// A terminal that can't be drawn on gets text.
pub fn dumb(_: &Stage) -> Result<()> {
    for term in [Some("dumb"), Some(""), None] {
        let mut variables = variables("/nonexistent").to_vec();
        variables.push(("TERM", term));
        let mut pty = Pty::start(&start(&variables))?;
        pty.read_until("Actual")?;
        idle(&mut pty)?;
        ensure!(!pty.text().contains('\x1b'), "{term:?}: {}", pty.text());
        pty.signal(libc::SIGTERM)?;
        pty.read_for(Duration::from_millis(1000))?;
        let (status, _) = pty.end()?;
        ensure!(status.success(), "{term:?}: {status:?}");
        ensure!(pty.text().ends_with('\n'), "{term:?}: {}", pty.text());
    }
    Ok(())
}

/// It uses little CPU time.
fn idle(pty: &mut Pty) -> Result<()> {
    let before = pty.cpu()?;
    pty.read_for(Duration::from_secs(2))?;
    let used = pty.cpu()? - before;
    ensure!(used < 0.8, "{used} s of CPU in two seconds");
    Ok(())
}
