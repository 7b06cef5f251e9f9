//! A configuration file that can't be written or read, and a switch of the kernel that
//! needs a privilege.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::stage::{NOBODY, Stage, variables};
use super::support::mount::Mount;
use super::support::tracer::BINARY;
use super::terminal::Terminal;

const OPTIONS: [&str; 3] = ["--no-ebpf", "-d", "0.3"];
const SIZE: (u16, u16) = (160, 30);
const SWITCH: &str = "/proc/sys/kernel/task_delayacct";

fn open(variables: &[(&str, Option<&str>)]) -> Result<Terminal> {
    let terminal = Terminal::start(Path::new(BINARY), &OPTIONS, variables, SIZE)?;
    terminal.wait_for("the first interval", |text| text.contains("Actual"))?;
    Ok(terminal)
}

/// On a full file system W says so, and the old file stays.
pub fn full(stage: &Stage) -> Result<()> {
    let directory = TempDir::new()?;
    let place = directory.path().to_str().context("a plain path")?;
    let options = ["-t", "tmpfs", "-o", "size=64k", "none"];
    let _mount = Mount::new(&options, place, stage.deadline)?;
    let config = directory.path().join("iotop-trace");
    fs::create_dir(&config)?;
    let comment = "# why this is set\n".repeat(200);
    let settings = format!("{comment}\nonly = true\nsort = \"pid\"\n");
    let target = directory.path().join("dotfile.toml");
    fs::write(&target, &settings)?;
    symlink("../dotfile.toml", config.join("config.toml"))?;
    // Until nothing more fits.
    let _ = fs::write(directory.path().join("fill"), vec![1; 1 << 17]);
    let mut terminal = open(&variables(place))?;
    terminal.keys("W")?;
    terminal.wait_for("that there is no room", |text| {
        text.contains("config.toml: ")
            && text.to_lowercase().contains("no")
            && text.contains("space")
    })?;
    ensure!(fs::read_to_string(&target)? == settings, "it was changed");
    fs::remove_file(directory.path().join("fill"))?;
    terminal.keys("W")?;
    terminal.wait_for("that it is saved", |text| {
        text.contains("settings saved to")
    })?;
    let text = fs::read_to_string(&target)?;
    ensure!(
        text.starts_with(&comment) && text.contains("delay = 0.3"),
        "{text}"
    );
    let left: Vec<_> = fs::read_dir(directory.path())?.collect::<Result<_, _>>()?;
    ensure!(left.len() == 2, "{left:?}");
    terminal.keys("q")?;
    ensure!(terminal.end()?.success(), "q ends it well");
    Ok(())
}

/// A HOME that can't be used: the view starts, and says so.
pub fn no_home(_: &Stage) -> Result<()> {
    let mut variables = variables("").to_vec();
    variables.extend([("XDG_CONFIG_HOME", None), ("HOME", Some("/dev/null"))]);
    let notice = |text: &str| text.contains("the configuration file can't be read");
    let mut terminal = open(&variables)?;
    terminal.keys("?")?;
    terminal.wait_for("the notice", |text| {
        notice(text) && text.contains("Not a directory")
    })?;
    terminal.keys("\x1bW")?;
    terminal.wait_for("why it is not saved", |text| {
        text.contains("/dev/null/.config/iotop-trace/config.toml: Not a directory")
    })?;
    drop(terminal);
    // A directory of another user.
    let directory = TempDir::new()?;
    let home = directory.path().join("home");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    fs::create_dir(&home)?;
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700))?;
    let program = directory.path().join("iotop-trace");
    fs::copy(BINARY, &program)?;
    let program = program.to_str().context("a plain path")?;
    variables.push(("HOME", home.to_str()));
    let arguments = [&NOBODY[..], &[program], &OPTIONS].concat();
    let mut terminal = Terminal::start(Path::new("setpriv"), &arguments, &variables, SIZE)?;
    terminal.wait_for("the first interval", |text| text.contains("Actual"))?;
    terminal.keys("?")?;
    terminal.wait_for("the notice", |text| {
        notice(text) && text.contains("Permission denied")
    })?;
    Ok(())
}

/// The switch needs a privilege that is dropped, so ^T says the command.
pub fn delays(_: &Stage) -> Result<()> {
    let before = fs::read_to_string(SWITCH).unwrap_or_default();
    let command = match before.trim() {
        "" => "no kernel.task_delayacct",
        "0" => "`sysctl kernel.task_delayacct=1`",
        _ => "`sysctl kernel.task_delayacct=0`",
    };
    let mut terminal = open(&variables("/nonexistent"))?;
    terminal.keys("\x14")?;
    terminal.wait_for("the command", |text| {
        text.lines()
            .last()
            .is_some_and(|line| line.contains(command))
    })?;
    ensure!(fs::read_to_string(SWITCH).unwrap_or_default() == before);
    Ok(())
}
