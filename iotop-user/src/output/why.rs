//! Why a flush was written: one sentence with the numbers behind it.

use super::{explain::name, units};
use crate::{
    escape::escape,
    sample::{Flush, FlushReason, System},
};

/// The sentence for a flush.
pub(super) fn why(flush: &Flush, system: &System) -> String {
    match &flush.reason {
        FlushReason::Journal => "the file system's journal commits a transaction".to_owned(),
        FlushReason::Home => {
            "metadata is written to its home, which frees room in the file system's log".to_owned()
        }
        FlushReason::Reclaim => "memory is short: pages are swapped out".to_owned(),
        FlushReason::Direct => "direct: the task writes past the page cache (O_DIRECT)".to_owned(),
        FlushReason::Kthread => "a kernel thread writes for a reason of its own".to_owned(),
        FlushReason::Task => {
            "the task writes by itself, and not in a system call that explains it".to_owned()
        }
        FlushReason::Syscall(call) => of_syscall(call).to_owned(),
        FlushReason::Writeback(reason) => of_worker(reason, flush, system),
    }
}

fn of_syscall(call: &str) -> String {
    let what = match call {
        "fsync" | "fdatasync" | "msync" => "the task wants a file to be on the disk, and waits",
        "sync" | "syncfs" => "the task wants whole file systems to be on the disk",
        "sync_file_range" => "the task wants a part of a file to be written",
        "umount" => "a file system is unmounted",
        "write" | "pwrite" | "writev" | "pwritev" => {
            "the task writes through (O_SYNC), or the file system writes at once"
        }
        "rename" | "close" | "ftruncate" => "the file replaces another one's content",
        _ => "the task writes by itself",
    };
    format!("{call}: {what}")
}

fn of_worker(reason: &str, flush: &Flush, system: &System) -> String {
    let level = |bytes: Option<u64>| {
        bytes.map_or(units::UNKNOWN.to_owned(), |bytes| {
            units::bytes(bytes as f64, false)
        })
    };
    let oldest = flush
        .written
        .lag
        .as_ref()
        .map(|lag| units::duration(lag.lag.max));
    match reason {
        "background" => format!(
            "background: more is dirty than vm.dirty_background_* allows ({}); {} was dirty \
             when the interval began, {} is now",
            level(system.background_threshold_bytes),
            level(system.dirty_before_bytes),
            level(system.dirty_bytes),
        ),
        "periodic" => format!(
            "periodic: data had been dirty for longer than vm.dirty_expire_centisecs{}",
            oldest.map_or(String::new(), |oldest| format!("; the oldest for {oldest}")),
        ),
        "sync" => match askers(flush) {
            askers if askers.is_empty() => {
                "sync: a task called sync or syncfs, or unmounted".to_owned()
            }
            askers => format!("sync: asked for by {askers}"),
        },
        "vmscan" => "vmscan: memory is short, and reclaim asked for clean pages".to_owned(),
        "laptop_timer" => {
            "laptop_timer: laptop mode writes everything while the disk spins".to_owned()
        }
        "fs_free_space" => "fs_free_space: the file system runs out of free space".to_owned(),
        "foreign_flush" => {
            "foreign_flush: another cgroup than the one that is charged makes the files dirty"
                .to_owned()
        }
        other => match askers(flush) {
            askers if askers.is_empty() => format!("{}: the kernel's reason", escape(other)),
            askers => format!(
                "{}: the kernel's reason; asked for by {askers}",
                escape(other)
            ),
        },
    }
}

/// The tasks that asked for the runs, each named once.
fn askers(flush: &Flush) -> String {
    let mut askers: Vec<String> = Vec::new();
    for asker in flush.runs.iter().filter_map(|run| run.asker.as_ref()) {
        let task = &asker.task;
        let mut text = name(task);
        if let Some(place) = task.container.as_ref().or(task.unit.as_ref()) {
            text.push_str(&format!(" of {}", escape(place)));
        }
        if asker.inferred {
            text.push_str(" (as it seems)");
        }
        if !askers.contains(&text) {
            askers.push(text);
        }
    }
    askers.join(", ")
}
