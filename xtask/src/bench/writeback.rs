//! Keeps dirty pages dirty for a while.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use super::files::MIB;

/// Values that start no writeback. Those in bytes take the place of those in percent.
const RAISED: [(&str, u64); 3] = [
    ("dirty_bytes", 4096 * MIB),
    ("dirty_background_bytes", 3072 * MIB),
    // No periodic writeback.
    ("dirty_writeback_centisecs", 0),
];

/// While it exists, the kernel starts no writeback on its own. Dropping it puts
/// the machine's settings back.
///
/// A shell restores them as soon as its input ends, which happens however this process
/// ends.
pub struct Held {
    shell: Child,
}

impl Held {
    pub fn start() -> Result<Held> {
        let dir = Path::new("/proc/sys/vm");
        let read = |name: &str| {
            let text = std::fs::read_to_string(dir.join(name));
            text.with_context(|| format!("could not read vm.{name}"))
        };
        let restore = restore(read)?;
        let shell = Command::new("setsid")
            .args(["sh", "-c"])
            .arg(format!("cat >/dev/null; cd {}; {restore}", dir.display()))
            .stdin(Stdio::piped())
            .spawn()
            .context("could not start setsid (of util-linux)")?;
        let held = Held { shell };
        for (name, value) in RAISED {
            std::fs::write(dir.join(name), value.to_string())
                .with_context(|| format!("could not set vm.{name}"))?;
        }
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        match self.shell.wait() {
            Ok(status) if status.success() => {}
            end => {
                let mut stderr = std::io::stderr();
                // If this fails, nothing is left to report it with.
                drop(writeln!(
                    stderr,
                    "warning: vm.dirty_* not restored: {end:?}"
                ));
            }
        }
    }
}

/// Shell commands that restore the current settings. Of a pair in bytes and in percent,
/// the one that is not in use is 0 and must not be written.
fn restore(read: impl Fn(&str) -> Result<String>) -> Result<String> {
    let mut commands = Vec::new();
    for names in [
        ["dirty_background_bytes", "dirty_background_ratio"],
        ["dirty_bytes", "dirty_ratio"],
        ["dirty_writeback_centisecs", "dirty_writeback_centisecs"],
    ] {
        let values = [read(names[0])?, read(names[1])?];
        let used = usize::from(values[0].trim() == "0");
        let value: u64 = values[used].trim().parse()?;
        commands.push(format!("echo {value} >{}", names[used]));
    }
    Ok(commands.join(" && "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_restored() -> Result<()> {
        let read = |name: &str| {
            let value = match name {
                "dirty_ratio" => "20\n",
                "dirty_background_bytes" => "4096\n",
                "dirty_writeback_centisecs" => "500\n",
                _ => "0\n",
            };
            Ok(value.to_owned())
        };
        assert_eq!(
            restore(read)?,
            "echo 4096 >dirty_background_bytes && echo 20 >dirty_ratio && \
             echo 500 >dirty_writeback_centisecs"
        );
        Ok(())
    }
}
