//! The configuration file is the user's, and so are the rights with which it is opened.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use super::stage::{Stage, variables};
use super::support::tracer::BINARY;
use super::terminal::Terminal;

const OPTIONS: [&str; 3] = ["--no-ebpf", "-d", "0.3"];
const SIZE: (u16, u16) = (160, 30);
const USER: u32 = 65534;
const UNREAD: &str = "the configuration file can't be read";

/// A home directory.
struct Home(TempDir);

impl Home {
    /// It belongs to a user, or to root.
    fn of(user: Option<u32>) -> Result<Home> {
        let home = Home(TempDir::new()?);
        fs::set_permissions(home.0.path(), fs::Permissions::from_mode(0o755))?;
        fs::create_dir(home.0.path().join("iotop-trace"))?;
        for directory in [home.0.path().into(), home.0.path().join("iotop-trace")] {
            chown(&directory, user, user)?;
        }
        Ok(home)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn settings(&self) -> std::path::PathBuf {
        self.path("iotop-trace/config.toml")
    }

    /// Starts the live view as root, for the user behind sudo if there is one.
    fn open(&self, sudo: Option<&str>) -> Result<Terminal> {
        let place = self.0.path().to_str().context("a plain path")?;
        let mut variables = variables(place).to_vec();
        variables.extend([("SUDO_UID", sudo), ("SUDO_GID", sudo)]);
        Terminal::start(Path::new(BINARY), &OPTIONS, &variables, SIZE)
    }
}

fn shown(terminal: &Terminal) -> Result<String> {
    terminal.wait_for("the first interval", |text| text.contains("Actual"))
}

/// Behind a symbolic link is a file of root's: the user behind sudo can't read it, so neither
/// can the program.
pub fn foreign(_: &Stage) -> Result<()> {
    let home = Home::of(Some(USER))?;
    let secrets = TempDir::new()?;
    let secret = secrets.path().join("shadow");
    fs::write(&secret, "SECRET:$y$SECRET:19000::::\n")?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    symlink(&secret, home.settings())?;
    let mut terminal = home.open(Some("65534"))?;
    shown(&terminal)?;
    terminal.keys("?")?;
    let text = terminal.wait_for("the notice", |text| {
        text.contains(UNREAD) && text.contains("Permission denied")
    })?;
    ensure!(!text.contains("SECRET"), "{text}");
    terminal.keys("\x1bW")?;
    terminal.wait_for("why it is not saved", |text| {
        text.contains("config.toml: Permission denied")
    })?;
    drop(terminal);
    let after = fs::read_to_string(&secret)?;
    ensure!(after.starts_with("SECRET"), "it was overwritten");
    // Nor does W create what a link leads to.
    let target = home.path("new");
    fs::remove_file(home.settings())?;
    symlink(&target, home.settings())?;
    let mut terminal = home.open(Some("65534"))?;
    shown(&terminal)?;
    terminal.keys("W")?;
    terminal.wait_for("why it is not saved", |text| {
        text.contains("does not exist")
    })?;
    ensure!(!target.exists(), "the target was created");
    Ok(())
}

/// What W writes belongs to the user behind sudo.
pub fn saved(_: &Stage) -> Result<()> {
    let home = Home::of(Some(USER))?;
    let mut terminal = home.open(Some("65534"))?;
    shown(&terminal)?;
    terminal.keys("W")?;
    terminal.wait_for("that it is saved", |text| {
        text.contains("settings saved to")
    })?;
    terminal.keys("q")?;
    ensure!(terminal.end()?.success(), "q ends it well");
    let file = fs::metadata(home.settings())?;
    ensure!((file.uid(), file.gid()) == (USER, USER), "{}", file.uid());
    // Root does not write into the directory of another user.
    let before = fs::read(home.settings())?;
    let mut terminal = home.open(None)?;
    shown(&terminal)?;
    terminal.keys("W")?;
    terminal.wait_for("why it is not saved", |text| {
        text.contains("belongs to the user 65534")
    })?;
    ensure!(fs::read(home.settings())? == before, "it was changed");
    Ok(())
}

/// A pipe blocks nothing, a device without an end fills no memory, nor does a large file.
pub fn no_file(_: &Stage) -> Result<()> {
    let home = Home::of(None)?;
    let large = home.path("large");
    fs::write(&large, "# long\n".repeat(10_000))?;
    mkfifoat(CWD, home.path("pipe"), Mode::RUSR)?;
    for (target, why) in [
        (home.path("pipe"), "not a regular file"),
        ("/dev/zero".into(), "not a regular file"),
        (large, "larger than 64 KiB"),
    ] {
        let _ = fs::remove_file(home.settings());
        symlink(&target, home.settings())?;
        let mut terminal = home.open(None)?;
        shown(&terminal)?;
        terminal.keys("?")?;
        terminal.wait_for("the notice", |text| {
            text.contains(UNREAD) && text.contains(why)
        })?;
    }
    Ok(())
}

/// A file that is not a configuration is an error that shows nothing of it.
pub fn content(_: &Stage) -> Result<()> {
    let home = Home::of(None)?;
    fs::write(home.settings(), "SECRET:$y$SECRET:19000::::\n")?;
    let mut terminal = home.open(None)?;
    let text = terminal.wait_for("the error", |text| text.contains("line 1, column"))?;
    ensure!(!text.contains("SECRET"), "{text}");
    ensure!(terminal.end()?.exit_code() == 2, "wrong usage");
    Ok(())
}

/// The live view keeps what it needs to set I/O priorities, and nothing more.
pub fn threads(_: &Stage) -> Result<()> {
    const LIVE: u64 = 1 << 2 | 1 << 12 | 1 << 23;
    let home = Home::of(None)?;
    let terminal = home.open(None)?;
    shown(&terminal)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(format!("/proc/{}/task", terminal.pid()?))? {
        let status = fs::read_to_string(entry?.path().join("status"))?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim).with_context(|| name.to_owned())
        };
        let name = value("Name:")?;
        for set in ["CapInh:", "CapAmb:", "CapBnd:"] {
            ensure!(value(set)?.trim_matches('0').is_empty(), "{name}: {set}");
        }
        for set in ["CapPrm:", "CapEff:"] {
            let kept = u64::from_str_radix(value(set)?, 16)?;
            ensure!(kept & !LIVE == 0, "{name}: {set} {kept:x}");
        }
        ensure!(value("NoNewPrivs:")? == "1", "{name}: NoNewPrivs");
        ensure!(value("Seccomp:")? == "2", "{name}: Seccomp");
        names.push(name.to_owned());
    }
    for thread in ["collector", "writer", "signals", "terminal"] {
        ensure!(
            names.iter().any(|name| name == thread),
            "{thread}: {names:?}"
        );
    }
    Ok(())
}
