//! Which counters of a task this kernel keeps. It may be built without some of them.

use std::path::Path;

use iotop_common::Layout;

use super::sysctls::Sysctls;

/// The counters that the kernel keeps. Others are unknown, not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// CONFIG_TASK_XACCT: the number of system calls, and their bytes.
    pub calls: bool,
    /// CONFIG_TASK_IO_ACCOUNTING: bytes read from and written to storage.
    pub bytes: bool,
    /// CONFIG_TASK_DELAY_ACCT: delays. They may still be switched off at run time.
    pub delays: bool,
}

impl Counted {
    /// The counters of distributions' kernels: all.
    pub const ALL: Counted = Counted {
        calls: true,
        bytes: true,
        delays: true,
    };

    /// No source of counters.
    pub const NONE: Counted = Counted {
        calls: false,
        bytes: false,
        delays: false,
    };

    /// The counters that `task_struct` has.
    pub fn by_layout(layout: &Layout) -> Counted {
        Counted {
            calls: layout.task_rchar != 0,
            bytes: layout.task_read_bytes != 0,
            delays: layout.task_delays != 0,
        }
    }

    /// The counters that are valid in a taskstats record, which has 0 for those that are not
    /// kept. /proc/PID/io exists only if bytes are counted, and then calls are counted too.
    pub fn by_proc(proc_root: &Path, settings: &Sysctls) -> Counted {
        let io = proc_root.join("self/io").exists();
        // Since 5.14, a kernel that counts delays has the switch.
        let without_switch = settings.version().is_none_or(|version| version < (5, 14));
        Counted {
            calls: io,
            bytes: io,
            delays: settings.task_delayacct.is_some() || without_switch,
        }
    }

    /// What is unknown, and which kernel option would count it.
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
    fn unknown_counters_are_named_with_the_missing_kernel_option() {
        let unknown = |calls, bytes, delays| {
            let counted = Counted {
                calls,
                bytes,
                delays,
            };
            counted.unknown().collect::<Vec<_>>().join("\n")
        };
        assert_eq!(unknown(true, true, true), "");
        assert!(unknown(false, true, true).contains("CONFIG_TASK_XACCT"));
        assert!(unknown(true, false, true).contains("CONFIG_TASK_IO_ACCOUNTING"));
        assert!(unknown(true, true, false).contains("CONFIG_TASK_DELAY_ACCT"));
        assert_eq!(unknown(false, false, false).lines().count(), 3);
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
    fn a_kernel_since_5_14_without_the_switch_counts_no_delays() {
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
