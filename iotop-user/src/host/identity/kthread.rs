//! The names of kernel threads. `task_struct.comm` has only the first 15 bytes; /proc shows the
//! whole name (from Linux 5.17).

use std::path::Path;

use super::Thread;

/// The bytes of a name that `task_struct.comm` holds.
const COMM: usize = 15;

/// The part of a kernel thread's name in /proc that stays. The kernel adds to the name of a
/// kworker what it does or did last: `kworker/u8:0-events_unbound`, `kworker/0:1H+kblockd`
/// (`wq_worker_comm` of kernel/workqueue.c).
pub fn lasting(name: &[u8]) -> &[u8] {
    let Some(rest) = name.strip_prefix(b"kworker/") else {
        return name;
    };
    // Rescuers have no number: `kworker/R-rcu_gp`.
    let is_of_number = |byte: &u8| byte.is_ascii_digit() || b"u:H".contains(byte);
    let number = rest.iter().take_while(|byte| is_of_number(byte)).count();
    match rest.get(number) {
        Some(b'-' | b'+') if number != 0 => &name[..name.len() - rest.len() + number],
        _ => name,
    }
}

/// The whole name of a kernel thread, of which a part is known. `None` if that is all.
pub fn whole_name(thread: Thread, known: &str, proc_root: &Path) -> Option<String> {
    if known.len() < COMM {
        return None;
    }
    let stat = thread.stat(proc_root)?;
    let whole = String::from_utf8_lossy(lasting(&stat.comm)).into_owned();
    (whole.len() > known.len() && whole.starts_with(known)).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_does_is_not_its_name() {
        for (name, part) in [
            ("kworker/u8:0-btrfs-endio-write", "kworker/u8:0"),
            ("kworker/0:1H+kblockd", "kworker/0:1H"),
            ("kworker/u9:2", "kworker/u9:2"),
            ("kworker/R-rcu_gp", "kworker/R-rcu_gp"),
            (
                "kworker/R-ext4-rsv-conversion",
                "kworker/R-ext4-rsv-conversion",
            ),
            ("kworker/dying", "kworker/dying"),
            ("jbd2/nvme0n1p2-8", "jbd2/nvme0n1p2-8"),
            ("kworker/", "kworker/"),
        ] {
            assert_eq!(lasting(name.as_bytes()), part.as_bytes(), "{name}");
        }
    }
}
