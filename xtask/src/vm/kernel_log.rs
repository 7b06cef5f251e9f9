//! Finds what must not be in a kernel's log.

/// How each kind of trouble begins, as the kernel's sources print it.
const TROUBLE: [&str; 20] = [
    "WARNING:",
    "BUG:",
    "kernel BUG at",
    "Oops",
    "Kernel panic",
    "Call Trace",
    "general protection fault",
    "double fault",
    "unable to handle",
    "KASAN:",
    "UBSAN:",
    "soft lockup",
    "hard LOCKUP",
    "blocked for more than",
    "detected stalls",
    "self-detected stall",
    "rcu_preempt kthread starved",
    "possible recursive locking",
    "possible circular locking",
    "suspicious RCU usage",
];

/// Messages that are no trouble here.
const HARMLESS: [&str; 1] = [
    // An emulated CPU's mitigations.
    "Spectre V2 : WARNING:",
];

/// How many lines to show of it: a trace's first frames.
const SHOWN: usize = 12;

/// The first trouble in the log, with the lines that follow it.
pub fn trouble(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    let first = lines.iter().position(|line| {
        let any = |words: &[&str]| words.iter().any(|word| line.contains(word));
        any(&TROUBLE) && !any(&HARMLESS)
    })?;
    let end = lines.len().min(first + SHOWN);
    Some(lines[first..end].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_found_with_its_trace() {
        let log = "[    1.0] Linux version 6.1\r\n\
            [    1.1] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on\r\n\
            [    9.0] ------------[ cut here ]------------\r\n\
            [    9.0] WARNING: CPU: 0 PID: 7 at fs/inode.c:1 f+0x1/0x2\r\n\
            [    9.0] Call Trace:\r\n";
        let found = trouble(log).unwrap_or_default();
        assert!(found.starts_with("[    9.0] WARNING: CPU"), "{found}");
        assert!(found.ends_with("Call Trace:"), "{found}");
    }

    #[test]
    fn stalls_and_hung_tasks_are_trouble() {
        for line in [
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            "INFO: task kworker/0:1:9 blocked for more than 120 seconds.",
            "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [dd:7]",
            "traps: PANIC: double fault, error_code: 0x0",
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
        ] {
            assert!(trouble(line).is_some(), "{line}");
        }
        assert!(trouble("[    1.0] EXT4-fs (loop0): mounted filesystem").is_none());
    }
}
