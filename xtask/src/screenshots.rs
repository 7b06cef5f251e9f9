//! The pictures of README and docs/: the real program's screens under a real load.

mod questions;
mod replay;
mod review;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::bench::disk::{Disk, FileSystem};
use crate::svg::{self, Paper};
use crate::terminal::Terminal;
use crate::{privilege, process, workspace};

/// Where they are kept.
const PLACE: &str = ".github";
const SIZE: (u16, u16) = (132, 34);

#[derive(clap::Args)]
pub struct Options {
    /// Set for the second start, as root in a mount namespace
    #[arg(long, hide = true)]
    make: bool,
    /// Instead, make pictures of every page at three sizes, dark, light and without colours, in
    /// target/screens
    #[arg(long)]
    review: bool,
    /// Make only the picture of a recording, of this one
    #[arg(long, value_name = "DIR", conflicts_with = "review")]
    recording: Option<PathBuf>,
    /// Run this iotop-trace instead of building one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// What the pictures' terminals have set. The settings of `place` are used.
fn variables(place: Option<&str>) -> [(&str, Option<&str>); 5] {
    [
        ("TERM", Some("xterm-256color")),
        ("COLORTERM", Some("truecolor")),
        ("LC_ALL", Some("C.UTF-8")),
        ("NO_COLOR", None),
        ("XDG_CONFIG_HOME", place),
    ]
}

/// Builds, and starts this program again as root in its own mount namespace.
pub fn run(options: &Options) -> Result<()> {
    if options.make {
        return make(options);
    }
    if options.program.is_none() {
        let build = ["--release", "--package", "iotop-trace"];
        process::run(workspace::cargo("build").args(build))?;
    }
    if let Some(recording) = &options.recording {
        let settings = tempfile::tempdir()?;
        let variables = variables(settings.path().to_str());
        return replay::take(&program(options), recording, &variables);
    }
    let error = privilege::command("unshare")?
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe()?)
        .args(["screenshots", "--make"])
        .args(options.review.then_some("--review"))
        .args(
            options
                .program
                .iter()
                .flat_map(|program| ["--program".as_ref(), program.as_os_str()]),
        )
        .exec();
    Err(error).context("could not start unshare (of util-linux)")
}

fn program(options: &Options) -> PathBuf {
    let built = || workspace::target().join("release/iotop-trace");
    options.program.clone().unwrap_or_else(built)
}

fn make(options: &Options) -> Result<()> {
    let program = program(options);
    let directory = tempfile::tempdir()?;
    if options.review {
        review::take(&program, directory.path(), false)?;
    }
    // Only this process sees what is mounted there.
    let disk = Disk::create(Path::new("/srv"), FileSystem::Ext4)?;
    let place = disk.file("file");
    let place = place.parent().context("a directory")?;
    let _background = Background::lower()?;
    let _load = Load::start(place)?;
    if options.review {
        return review::take(&program, directory.path(), true);
    }
    let variables = variables(directory.path().to_str());
    let recording = directory.path().join("recording");
    let recorder = replay::Recorder::start(&program, &recording)?;
    let mut terminal = Terminal::start(&program, &["-o"], &variables, SIZE)?;
    terminal.wait_for("a flusher", |text| text.contains("flush loop"))?;
    sleep(Duration::from_secs(22));
    terminal.wait_for("a flusher", |text| text.contains("flush loop"))?;
    save(
        &terminal,
        "live",
        "iotop-trace: who really causes the writes",
    )?;
    terminal.keys("w")?;
    sleep(Duration::from_secs(3));
    save(&terminal, "why", "iotop-trace: the flushes as they happen")?;
    terminal.keys("\x1b")?;
    sleep(Duration::from_millis(300));
    terminal.keys("bbbbbb")?;
    sleep(Duration::from_secs(2));
    terminal.keys("\r")?;
    sleep(Duration::from_secs(2));
    save(&terminal, "detail", "iotop-trace: one unit in detail")?;
    terminal.keys("q")?;
    terminal.end()?;
    recorder.end()?;
    replay::take(&program, &recording, &variables)?;
    questions::write(&program, &variables)
}

fn save(terminal: &Terminal, name: &str, title: &str) -> Result<()> {
    let path = workspace::root().join(PLACE).join(format!("{name}.svg"));
    fs::create_dir_all(workspace::root().join(PLACE))?;
    fs::write(&path, svg::picture(&terminal.screen(), title, Paper::DARK))
        .with_context(|| format!("could not write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// A lower background threshold: flushers begin early, as on a machine with less
/// memory.
struct Background(String);

const BACKGROUND: &str = "/proc/sys/vm/dirty_background_ratio";

impl Background {
    fn lower() -> Result<Background> {
        let before = fs::read_to_string(BACKGROUND)?;
        fs::write(
            "/proc/sys/vm/dirty_background_bytes",
            (96 << 20).to_string(),
        )?;
        Ok(Background(before))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = fs::write(BACKGROUND, self.0.trim());
    }
}

/// A database that commits, a backup that copies, a log and a search, each a unit.
struct Load(Vec<(Child, Unit)>);

impl Load {
    fn start(place: &Path) -> Result<Load> {
        let place = place.display();
        let database = format!(
            "exec fio --name=postgres --rw=randwrite --bs=8k --size=64m --fsync=8 --rate=12m \
             --ioengine=psync --time_based --runtime=600 --filename={place}/base.db"
        );
        let backup = format!(
            "n=0; while :; do n=$((n % 3 + 1)); rm -f {place}/backup.$n; \
             dd if=/dev/zero of={place}/backup.$n bs=1M count=220 2>/dev/null; sleep 2; done"
        );
        let log = format!(
            "while :; do printf '%0400d\\n' 1 2 3 4 5 >> {place}/app.log; sleep 0.01; done"
        );
        // The first dd drops the file from the page cache: grep reads it from the disk.
        let search = format!(
            "dd if=/dev/zero of={place}/archive bs=1M count=48 2>/dev/null; while :; do \
             dd of={place}/archive oflag=nocache conv=notrunc,fdatasync count=0 2>/dev/null; \
             grep -q nothing {place}/archive; sleep 1; done"
        );
        let mut load = Load(Vec::new());
        for (name, command) in [
            ("postgresql", database),
            ("backup", backup),
            ("app", log),
            ("search", search),
        ] {
            let unit = Unit::new(&format!("{name}.service"))?;
            let script = format!("{place}/{name}.sh");
            fs::write(&script, format!("echo $$ > {}\n{command}\n", unit.procs()))?;
            let child = Command::new("sh")
                .arg(script)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()?;
            load.0.push((child, unit));
        }
        Ok(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for (child, unit) in &mut self.0 {
            // fio's children have their own sessions, so the cgroup is killed.
            let _ = fs::write(format!("{}/cgroup.kill", unit.0), "1");
            let _ = child.kill();
            let _ = child.wait();
        }
        // Wait until the last ones have left their cgroups.
        sleep(Duration::from_millis(300));
    }
}

/// A cgroup named as systemd names a service's.
struct Unit(String);

impl Unit {
    fn new(name: &str) -> Result<Unit> {
        let unified = Path::new("/sys/fs/cgroup/unified");
        let root = match unified.exists() {
            true => unified,
            false => Path::new("/sys/fs/cgroup"),
        };
        let path = root.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Unit(path.display().to_string()))
    }

    fn procs(&self) -> String {
        format!("{}/cgroup.procs", self.0)
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
