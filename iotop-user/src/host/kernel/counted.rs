//! Which of a task's counters this kernel keeps: it may be built without.

use std::path::Path;

use iotop_common::Layout;

use super::sysctls::Sysctls;

/// What is not counted is unknown, and no 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// CONFIG_TASK_XACCT: bytes and calls of system calls.
    pub calls: bool,
    /// CONFIG_TASK_IO_ACCOUNTING: bytes of storage.
    pub bytes: bool,
    /// CONFIG_TASK_DELAY_ACCT: waits. They may be switched off all the same.
    pub delays: bool,
}

impl Counted {
    /// What distributions' kernels count.
    pub const ALL: Counted = Counted {
        calls: true,
        bytes: true,
        delays: true,
    };

    /// Nothing is there to count.
    pub const NONE: Counted = Counted {
        calls: false,
        bytes: false,
        delays: false,
    };

    /// What a `task_struct` has.
    pub fn by_layout(layout: &Layout) -> Counted {
        Counted {
            calls: layout.task_rchar != 0,
            bytes: layout.task_read_bytes != 0,
            delays: layout.task_delays != 0,
        }
    }

    /// What taskstats' records tell, which have 0 for what is not counted.
    /// /proc/PID/io is there only where bytes are, and so calls.
    pub fn by_proc(proc_root: &Path, settings: &Sysctls) -> Counted {
        let io = proc_root.join("self/io").exists();
        // From then on whoever keeps delays has the switch.
        let without_switch = settings.version().is_none_or(|version| version < (5, 14));
        Counted {
            calls: io,
            bytes: io,
            delays: settings.task_delayacct.is_some() || without_switch,
        }
    }

    /// What is unknown, and which kernel would tell.
    pub fn unknown(self) -> impl Iterator<Item = &'static str> {
        [
            (
                self.bytes,
                "DISK_READ, DISK_WRITE and CANCELLED are unknown; a kernel built with \
                 CONFIG_TASK_IO_ACCOUNTING counts them",
            ),
            (
                self.calls,
                "BUFFER_READ, BUFFER_WRITE, READ_SYSCALLS and WRITE_SYSCALLS are unknown; a \
                 kernel built with CONFIG_TASK_XACCT counts them",
            ),
            (
                self.delays,
                "SWAPIN and IO are unknown; a kernel built with CONFIG_TASK_DELAY_ACCT counts \
                 them",
            ),
        ]
        .into_iter()
        .filter_map(|(counted, unknown)| (!counted).then_some(unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_is_named_with_the_option_that_is_missing() {
        let said = |calls, bytes, delays| {
            let counted = Counted {
                calls,
                bytes,
                delays,
            };
            counted.unknown().collect::<Vec<_>>().join("\n")
        };
        assert_eq!(said(true, true, true), "");
        assert!(said(false, true, true).contains("CONFIG_TASK_XACCT"));
        assert!(said(true, false, true).contains("CONFIG_TASK_IO_ACCOUNTING"));
        assert!(said(true, true, false).contains("CONFIG_TASK_DELAY_ACCT"));
        assert_eq!(said(false, false, false).lines().count(), 3);
    }

    #[test]
    fn a_kernel_without_io_files_has_no_counters_in_its_records() {
        let proc_root = tempfile::tempdir().expect("a directory");
        let counted = Counted::by_proc(proc_root.path(), &Sysctls::default());
        assert!(!counted.calls && !counted.bytes);
        let counted = Counted::by_proc(Path::new("/proc"), &Sysctls::default());
        assert!(counted.calls && counted.bytes);
    }

    #[test]
    fn a_kernel_that_lacks_its_switch_counts_no_delays() {
        let delays = |release: &str, task_delayacct| {
            let settings = Sysctls {
                release: Some(release.to_owned()),
                task_delayacct,
                ..Sysctls::default()
            };
            Counted::by_proc(Path::new("/proc"), &settings).delays
        };
        assert!(delays("5.10.0-32-cloud-amd64", None));
        assert!(delays("6.1.0", Some(false)));
        assert!(!delays("6.1.0", None));
    }
}
