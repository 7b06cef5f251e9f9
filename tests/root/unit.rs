//! The systemd unit of the recorder: what it grants is enough. systemd itself is not asked: its
//! user, its capabilities and its memory limit are set by hand, as the unit says.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::program::{BINARY, Running, complaint, soon};
use super::trial::LeftOut;

const UNIT: &str = include_str!("../../iotop-user/dist/iotop-trace-record.service");

/// One of those that systemd gives to a DynamicUser.
const USER: u32 = 61_234;

/// The value of a setting that the unit has once.
fn setting(name: &str) -> Result<&'static str> {
    let mut values = UNIT
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let value = values.next().with_context(|| format!("no {name}"))?;
    ensure!(values.next().is_none(), "{name} is there twice");
    Ok(value)
}

/// Capabilities as setpriv(1) takes them.
fn capabilities(name: &str) -> Result<String> {
    let words = setting(name)?.split(' ');
    let words = words.map(|word| word.strip_prefix("CAP_").context("a capability"));
    let words: Vec<&str> = words.collect::<Result<_>>()?;
    Ok(format!("-all,+{}", words.join(",+").to_lowercase()))
}

/// A cgroup with a memory limit. Dropping it removes it.
struct Limited {
    path: PathBuf,
    most: &'static str,
}

impl Limited {
    fn new(limit: &str) -> Result<Limited> {
        let name = format!("iotop-trace-test-{}", std::process::id());
        let root = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(root.join("cgroup.controllers"));
        let has_memory = |text: String| text.split(' ').any(|word| word.trim() == "memory");
        let (path, file, most) = match controllers.map(has_memory) {
            Ok(true) => (root.join(name), "memory.max", "memory.peak"),
            _ if root.join("memory/memory.limit_in_bytes").exists() => (
                root.join("memory").join(name),
                "memory.limit_in_bytes",
                "memory.max_usage_in_bytes",
            ),
            _ => return Err(LeftOut::elsewhere("there is no memory controller here")),
        };
        fs::create_dir(&path)?;
        let limited = Limited { path, most };
        fs::write(limited.path.join(file), limit)
            .map_err(|error| LeftOut::elsewhere(format!("no memory limit here: {error}")))?;
        Ok(limited)
    }

    /// The most memory that was used, if the kernel has counted it.
    fn most(&self) -> Option<u64> {
        let most = fs::read_to_string(self.path.join(self.most)).ok()?;
        most.trim().parse().ok()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // It is empty a moment after its last process was waited for.
        for _ in 0..50 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            sleep(Duration::from_millis(20));
        }
    }
}

pub fn grants_what_recording_needs() -> Result<()> {
    ensure!(setting("NoNewPrivileges")? == "yes");
    let (ambient, bounding) = (
        capabilities("AmbientCapabilities")?,
        capabilities("CapabilityBoundingSet")?,
    );
    ensure!(ambient == bounding);
    let mebibytes: u64 = setting("MemoryMax")?.trim_end_matches('M').parse()?;
    let limited = Limited::new(&(mebibytes << 20).to_string())?;

    // What systemd makes: a directory of the user, below one of root.
    let dir = TempDir::new()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let (binary, state) = (dir.path().join("iotop-trace"), dir.path().join("state"));
    fs::copy(BINARY, &binary)?;
    fs::create_dir(&state)?;
    let mode = u32::from_str_radix(setting("StateDirectoryMode")?, 8)?;
    fs::set_permissions(&state, fs::Permissions::from_mode(mode))?;
    chown(&state, Some(USER), Some(USER))?;

    let exec: Vec<&str> = setting("ExecStart")?.split(' ').collect();
    let (Some((_, ["record", options @ ..])), Some(&"/var/lib/iotop-trace")) =
        (exec.split_first(), exec.last())
    else {
        anyhow::bail!("it runs {exec:?}");
    };
    let options = &options[..options.len() - 1];
    let said = dir.path().join("said");
    let script = "echo $$ > \"$0\" && exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(limited.path.join("cgroup.procs"));
    command.args(["setpriv", "--clear-groups", "--no-new-privs"]);
    command
        .arg(format!("--reuid={USER}"))
        .arg(format!("--regid={USER}"));
    command
        .arg(format!("--inh-caps={ambient}"))
        .arg(format!("--ambient-caps={ambient}"));
    command.arg(format!("--bounding-set={bounding}"));
    command
        .arg(&binary)
        .arg("record")
        .args(options)
        .args(["-d", "0.2"])
        .arg(&state);
    command
        .stdin(Stdio::null())
        .stderr(fs::File::create(&said)?);
    let mut recorder = Running(command.spawn()?);
    let mut text = String::new();
    for _ in 0..600 {
        text = fs::read_to_string(&said)?;
        if text.contains("recording into") || recorder.0.try_wait()?.is_some() {
            break;
        }
        sleep(Duration::from_millis(100));
    }
    ensure!(
        text.contains("recording into"),
        "it does not record: {text}"
    );
    ensure!(!text.contains("no attribution"), "{text}");

    let file = dir.path().join("written");
    fs::write(&file, vec![1; 8 << 20])?;
    fs::File::open(&file)?.sync_all()?;
    sleep(Duration::from_millis(600));
    recorder.signal(libc::SIGTERM)?;
    let status = soon().wait(&mut recorder.0)?;
    let text = fs::read_to_string(&said)?;
    ensure!(status.success(), "{status}: {text}");

    let mut report = Command::new(BINARY);
    report
        .args(["report", "--format", "ndjson", "--by", "device"])
        .arg(&state);
    let reported = soon().output(&mut report)?;
    ensure!(reported.status.success(), "{}", complaint(&reported));
    let lines = String::from_utf8(reported.stdout)?;
    let total: Value = serde_json::from_str(lines.lines().next().context("no line")?)?;
    ensure!(total["samples"].as_u64() > Some(0), "{total}");
    ensure!(total["untraced_samples"] == 0, "without eBPF: {total}");
    ensure!(text.contains(" that it saw"), "{text}");
    if let Some(most) = limited.most() {
        println!("it used {} of {mebibytes} MiB", most >> 20);
        ensure!(most < (mebibytes << 20) / 2, "it used {most} bytes");
    }
    Ok(())
}
