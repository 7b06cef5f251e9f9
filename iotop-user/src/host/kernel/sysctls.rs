//! Settings of the running kernel that decide what can be shown.

use std::{fs, path::Path, time::Duration};

/// `PROC_PID_INIT_INO` of include/linux/proc_ns.h.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The settings. `None` if a setting can't be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sysctls {
    /// `uname -r`.
    pub release: Option<String>,
    /// `kernel.task_delayacct`. A kernel before 5.14 has no such switch, and counts delays
    /// unless it was started with `nodelayacct`.
    pub task_delayacct: Option<bool>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<u32>,
    /// The lockdown mode in force: `none`, `integrity` or `confidentiality`.
    pub lockdown: Option<String>,
    /// `vm.dirty_expire_centisecs`: the age at which the kernel writes dirty pages.
    pub dirty_expire: Option<Duration>,
    /// True if this process is in the initial pid namespace.
    pub first_pid_namespace: Option<bool>,
    /// True if tracefs is mounted. eBPF does not need it.
    pub tracefs: bool,
}

impl Sysctls {
    /// Reads the settings below a proc and a sys root.
    pub fn read(proc_root: &Path, sys_root: &Path) -> Sysctls {
        let kernel = proc_root.join("sys/kernel");
        let text = |path: &Path| Some(fs::read_to_string(path).ok()?.trim().to_owned());
        Sysctls {
            release: text(&kernel.join("osrelease")),
            task_delayacct: task_delayacct(proc_root),
            dirty_expire: text(&proc_root.join("sys/vm/dirty_expire_centisecs"))
                .and_then(|value| value.parse().ok())
                .map(|centiseconds: u32| Duration::from_millis(10) * centiseconds),
            first_pid_namespace: fs::read_link(proc_root.join("self/ns/pid"))
                .ok()
                .map(|name| name == Path::new(FIRST_PID_NAMESPACE)),
            unprivileged_bpf_disabled: text(&kernel.join("unprivileged_bpf_disabled"))
                .and_then(|value| value.parse().ok()),
            lockdown: text(&sys_root.join("kernel/security/lockdown"))
                .and_then(|modes| chosen(&modes)),
            tracefs: sys_root.join("kernel/tracing/events").is_dir()
                || sys_root.join("kernel/debug/tracing/events").is_dir(),
        }
    }

    /// The kernel's version, from its release.
    pub fn version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.release.as_deref()?.split(['.', '-', '+']);
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }

    /// True if delays are counted for tasks that start now.
    pub fn counts_delays(&self) -> bool {
        self.task_delayacct.unwrap_or(true)
    }
}

/// True if delays are counted for tasks that start now. It reads the switch again, which may
/// change while we run.
pub fn counts_delays(proc_root: &Path) -> bool {
    task_delayacct(proc_root).unwrap_or(true)
}

/// Whether delays are counted, and the command that changes it. The kernel asks for
/// `CAP_SYS_ADMIN` then (kernel/delayacct.c), which is too much for this program to keep.
pub fn about_delays(proc_root: &Path) -> &'static str {
    match task_delayacct(proc_root) {
        Some(true) => {
            "SWAPIN and IO are counted; `sysctl kernel.task_delayacct=0` as root ends that"
        }
        Some(false) => {
            "SWAPIN and IO are not counted; `sysctl kernel.task_delayacct=1` as root counts them \
             for tasks that start afterwards"
        }
        None => "this kernel has no kernel.task_delayacct that turns SWAPIN and IO on and off",
    }
}

fn task_delayacct(proc_root: &Path) -> Option<bool> {
    let value = fs::read_to_string(proc_root.join("sys/kernel/task_delayacct")).ok()?;
    Some(value.trim() != "0")
}

/// The word in brackets, as in `[none] integrity confidentiality`.
pub(crate) fn chosen(modes: &str) -> Option<String> {
    let (_, rest) = modes.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_a_kernel_does_not_have_are_unknown() {
        let root = tempfile::tempdir().expect("a directory");
        let settings = Sysctls::read(root.path(), root.path());
        assert_eq!(settings, Sysctls::default());
        assert!(settings.counts_delays());
    }

    #[test]
    fn settings_are_read_from_their_files() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let kernel = root.path().join("sys/kernel");
        fs::create_dir_all(&kernel)?;
        fs::create_dir_all(root.path().join("kernel/security"))?;
        fs::write(kernel.join("task_delayacct"), "0\n")?;
        fs::write(
            root.path().join("kernel/security/lockdown"),
            "none [integrity] confidentiality\n",
        )?;
        let settings = Sysctls::read(root.path(), root.path());
        assert_eq!(settings.task_delayacct, Some(false));
        assert!(!settings.counts_delays());
        assert_eq!(settings.lockdown.as_deref(), Some("integrity"));
        Ok(())
    }

    #[test]
    fn the_command_for_delays_is_the_one_that_changes_them() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        assert!(!about_delays(root.path()).contains("sysctl"));
        let kernel = root.path().join("sys/kernel");
        fs::create_dir_all(&kernel)?;
        for (now, other) in [("0\n", "1"), ("1\n", "0")] {
            fs::write(kernel.join("task_delayacct"), now)?;
            let command = format!("`sysctl kernel.task_delayacct={other}`");
            assert!(about_delays(root.path()).contains(&command), "{now:?}");
        }
        Ok(())
    }
}
