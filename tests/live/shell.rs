//! In a shell with job control, through tmux.

use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::stage::Stage;
use super::support::command::run;
use super::support::deadline::Deadline;
use super::support::tracer::BINARY;

/// A tmux server for this trial. Dropping it ends it and all in it.
struct Tmux<'a> {
    stage: &'a Stage,
    socket: PathBuf,
    _directory: TempDir,
}

impl<'a> Tmux<'a> {
    fn start(stage: &'a Stage) -> Result<Tmux<'a>> {
        let directory = TempDir::new()?;
        let tmux = Tmux {
            stage,
            socket: directory.path().join("tmux"),
            _directory: directory,
        };
        let home = stage.settings();
        let home = home.ancestors().nth(2).context("a directory")?;
        let shell = format!(
            "env LC_ALL=C.UTF-8 XDG_CONFIG_HOME={} PS1='ready> ' bash --norc -i",
            home.display()
        );
        tmux.run(&["new-session", "-d", "-x", "120", "-y", "30", &shell])?;
        Ok(tmux)
    }

    fn run(&self, args: &[&str]) -> Result<String> {
        let mut tmux = Command::new("tmux");
        tmux.args(["-f", "/dev/null", "-S"])
            .arg(&self.socket)
            .args(args);
        // Otherwise tmux would think that it runs inside another one.
        run(
            tmux.env_remove("TMUX").env("LC_ALL", "C.UTF-8"),
            self.stage.deadline,
        )
    }

    fn keys(&self, keys: &[&str]) -> Result<()> {
        self.run(&[&["send-keys"], keys].concat()).map(drop)
    }

    fn wait_for(&self, what: &str, is: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = Deadline::after(Duration::from_secs(15));
        loop {
            let text = self.run(&["capture-pane", "-p"])?;
            if is(&text) {
                return Ok(text);
            }
            ensure!(!deadline.left().is_zero(), "{what} did not appear:\n{text}");
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.run(&["kill-server"]);
    }
}

pub fn suspended(stage: &Stage) -> Result<()> {
    let tmux = Tmux::start(stage)?;
    tmux.wait_for("the shell", |text| text.contains("ready>"))?;
    tmux.keys(&[&format!("{BINARY} -d 0.5 -o"), "Enter"])?;
    tmux.wait_for("the first interval", |text| {
        text.contains("Actual DISK WRITE")
    })?;
    for _ in 0..2 {
        tmux.keys(&["C-z"])?;
        let text = tmux.wait_for("the shell's word", |text| text.contains("Stopped"))?;
        ensure!(
            !text.contains("Actual"),
            "the table is still there:\n{text}"
        );
        // The terminal belongs to the shell again: what is typed is shown.
        tmux.keys(&["echo typed-$((6 * 7))", "Enter"])?;
        tmux.wait_for("the shell's echo", |text| {
            text.contains("echo typed-$((6 * 7))") && text.contains("typed-42")
        })?;
        tmux.keys(&["clear; fg", "Enter"])?;
        tmux.wait_for("the table", |text| {
            text.contains("Actual DISK WRITE") && text.contains("only active")
        })?;
    }
    tmux.keys(&["q"])?;
    tmux.keys(&["echo $?-done", "Enter"])?;
    tmux.wait_for("the end", |text| text.contains("0-done"))?;
    Ok(())
}
