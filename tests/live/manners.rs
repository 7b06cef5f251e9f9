//! How the program treats the terminal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::stage::{NOBODY, Stage, variables};
use super::support::tracer::BINARY;
use super::terminal::Terminal;

pub fn resize(stage: &Stage) -> Result<()> {
    let mut terminal = stage.start(&["-d", "0.5"], (150, 40))?;
    for (columns, rows, sign) in [
        (40, 10, "TID"),
        (20, 5, "at least 40x10"),
        (80, 24, "COMMAND"),
        (220, 60, "VIA_KERNEL"),
    ] {
        terminal.resize(columns, rows)?;
        let text = terminal.wait_for("the new size", |text| text.contains(sign))?;
        let width = text.lines().map(|line| line.chars().count()).max();
        ensure!(width <= Some(usize::from(columns)), "{text}");
    }
    terminal.keys("q")?;
    terminal.end()?;
    Ok(())
}

/// The terminal is restored after a key, after a signal, and after a number of
/// intervals.
pub fn restored(stage: &Stage) -> Result<()> {
    for (what, options, keys, signal) in [
        ("q", &["-d", "0.2"][..], "q", None),
        ("^C", &["-d", "0.2"], "\x03", None),
        ("SIGINT", &["-d", "0.2"], "", Some(libc::SIGINT)),
        ("SIGTERM", &["-d", "0.2"], "", Some(libc::SIGTERM)),
        ("SIGHUP", &["-d", "0.2"], "", Some(libc::SIGHUP)),
        ("-n 2", &["-d", "0.2", "-n", "2"], "", None),
    ] {
        let mut terminal = stage.open(options, (100, 30))?;
        let before = terminal.modes();
        terminal.wait_for("the first interval", |text| {
            text.contains("Actual") || what == "-n 2"
        })?;
        terminal.keys(keys)?;
        if let Some(signal) = signal {
            // SAFETY: kill takes plain numbers; the program is ours.
            unsafe { libc::kill(terminal.pid()? as libc::pid_t, signal) };
        }
        let status = terminal.end()?;
        ensure!(status.success(), "{what}: {status:?}");
        terminal.wait_for("the terminal as it was", |_| {
            let screen = terminal.screen();
            !screen.alternate_screen()
                && !screen.hide_cursor()
                && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
        })?;
        ensure!(terminal.modes() == before, "{what}: {:?}", terminal.modes());
    }
    Ok(())
}

/// If set, this program takes over its terminal and panics.
pub const PANIC: &str = "IOTOP_TRACE_PANIC";

/// Takes over the terminal and panics.
pub fn panic() -> ExitCode {
    let screen = iotop_trace::tui::terminal::Screen::enter();
    if screen.is_ok() {
        panic!("this was to happen");
    }
    ExitCode::SUCCESS
}

pub fn panicked(_: &Stage) -> Result<()> {
    let ourselves = Path::new("/proc/self/exe").canonicalize()?;
    let mut variables = variables("/nonexistent").to_vec();
    variables.push((PANIC, Some("1")));
    let mut terminal = Terminal::start::<&str>(&ourselves, &[], &variables, (100, 20))?;
    let status = terminal.end()?;
    ensure!(status.exit_code() == 101, "{status:?}");
    // On the screen from before.
    terminal.wait_for("the message", |text| {
        text.contains("this was to happen") && !terminal.screen().alternate_screen()
    })?;
    ensure!(!terminal.screen().hide_cursor(), "the cursor is hidden");
    Ok(())
}

/// A user who may not load eBPF still sees the task counters.
pub fn unprivileged(_: &Stage) -> Result<()> {
    let directory = TempDir::new()?;
    let place = directory.path();
    fs::set_permissions(place, fs::Permissions::from_mode(0o755))?;
    let program = place.join("iotop-trace");
    fs::copy(BINARY, &program)?;
    let program = program.to_str().context("a plain path")?;
    let nobody = [&NOBODY[..], &[program, "-d", "0.5"]].concat();
    let mut terminal = Terminal::start(
        Path::new("setpriv"),
        &nobody,
        &variables("/nonexistent"),
        (140, 30),
    )?;
    let text = terminal.wait_for("the first interval", |text| text.contains("Actual"))?;
    ensure!(
        text.contains("no eBPF, so it is unknown who caused"),
        "{text}"
    );
    ensure!(
        text.contains("DISK_WRITE") && !text.contains("VIA_KERNEL"),
        "{text}"
    );
    terminal.keys("?")?;
    let text = terminal.wait_for("the help", |text| text.contains("KEYS"))?;
    ensure!(text.contains("CAP_BPF"), "{text}");
    Ok(())
}

pub fn wrong_settings(stage: &Stage) -> Result<()> {
    let path = stage.settings();
    fs::create_dir_all(path.parent().context("a directory")?)?;
    fs::write(&path, "only = true\ncolour = \"red\"\n")?;
    let mut terminal = stage.open(&[], (120, 20))?;
    let status = terminal.end()?;
    ensure!(status.exit_code() == 2, "{status:?}");
    let text = terminal.wait_for("what is wrong", |text| text.contains("line 2, column 1"))?;
    ensure!(
        text.contains("config.toml") && text.contains("`colors`") && !text.contains("colour"),
        "{text}"
    );
    Ok(())
}
