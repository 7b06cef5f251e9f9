//! Why a flush was written: one sentence with the numbers behind it.

use super::{explain::name, units};
use crate::{
    escape::escape,
    sample::{Flush, FlushReason, System, Task},
};

/// The sentence for a flush.
pub(crate) fn why(flush: &Flush, system: &System) -> String {
    match &flush.reason {
        FlushReason::Journal => "journal: the file system commits a transaction".to_owned(),
        FlushReason::Home => {
            "home: logged metadata is written to its final place, which frees log space".to_owned()
        }
        FlushReason::Reclaim => {
            "reclaim: memory is low, so pages are swapped out or written back".to_owned()
        }
        FlushReason::Direct => "direct I/O (O_DIRECT), past the page cache".to_owned(),
        FlushReason::Kthread => "reason unknown: written by a kernel thread".to_owned(),
        FlushReason::Task => {
            "reason unknown: written by the task, but not in a system call that explains it"
                .to_owned()
        }
        FlushReason::Syscall(call) => of_syscall(call).to_owned(),
        FlushReason::Writeback(reason) => of_worker(reason, flush, system),
    }
}

fn of_syscall(call: &str) -> String {
    let what = match call {
        "io_uring" => return "io_uring: a worker thread of the task writes".to_owned(),
        "exit" => return "the task exits and closes its files".to_owned(),
        "fsync" | "fdatasync" | "msync" | "sync" | "syncfs" => "; the task waits",
        "sync_file_range" => " for part of a file",
        "umount" => "; the file system is unmounted",
        "write" | "pwrite" | "writev" | "pwritev" => {
            "; the file is open with O_SYNC, or the file system writes at once"
        }
        "rename" | "close" | "ftruncate" => {
            "; the file system writes a file at once if it replaces older content"
        }
        _ => "; the task submits the write itself",
    };
    format!("{call}() called{what}")
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
            "background: more is dirty than vm.dirty_background_* allows ({}); {} were dirty \
             when the interval began, {} are now",
            level(system.background_threshold_bytes),
            level(system.dirty_before_bytes),
            level(system.dirty_bytes),
        ),
        "periodic" => format!(
            "periodic: data was dirty for longer than vm.dirty_expire_centisecs{}",
            oldest.map_or(String::new(), |oldest| format!("; the oldest for {oldest}")),
        ),
        "sync" => match askers(flush) {
            askers if askers.is_empty() => {
                "sync: sync(), syncfs() or umount() called, by an unknown task".to_owned()
            }
            askers => format!("sync: requested by {askers}"),
        },
        "vmscan" => "vmscan: memory is low, so reclaim needs clean pages".to_owned(),
        "laptop_timer" => {
            "laptop_timer: laptop mode writes everything while the disk is spinning".to_owned()
        }
        "fs_free_space" => "fs_free_space: the file system is low on free space".to_owned(),
        "foreign_flush" => {
            "foreign_flush: tasks outside the cgroup that is charged for the files dirty them"
                .to_owned()
        }
        other => match askers(flush) {
            askers if askers.is_empty() => format!("{}: the kernel's own reason", escape(other)),
            askers => format!(
                "{}: the kernel's own reason; requested by {askers}",
                escape(other)
            ),
        },
    }
}

/// The tasks that requested the runs, each named once. If a task was seen requesting one run
/// and is inferred for another, it was seen.
fn askers(flush: &Flush) -> String {
    let all = || flush.runs.iter().filter_map(|run| run.asker.as_ref());
    let mut seen: Vec<String> = Vec::new();
    let mut inferred: Vec<String> = Vec::new();
    for asker in all().filter(|asker| !asker.inferred) {
        push_new(&mut seen, name_and_place(&asker.task));
    }
    for asker in all().filter(|asker| asker.inferred) {
        let name = name_and_place(&asker.task);
        if !seen.contains(&name) {
            push_new(&mut inferred, format!("{name}, probably"));
        }
    }
    seen.append(&mut inferred);
    seen.join("; ")
}

fn push_new(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}

fn name_and_place(task: &Task) -> String {
    match task.container.as_ref().or(task.unit.as_ref()) {
        Some(place) => format!("{} in {}", name(task), escape(place)),
        None => name(task),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden, sample::Asker};

    /// The reason of a run that tasks with these TIDs requested, seen or inferred.
    fn requested_by(tasks: &[(u32, bool)]) -> String {
        let mut flush = golden::flushed().flushes.swap_remove(0);
        let run = flush.runs.swap_remove(0);
        let with_asker = |&(tid, inferred): &(u32, bool)| {
            let task = Task {
                pid: tid,
                tid,
                comm: "sync".into(),
                exited: true,
                ..Task::default()
            };
            crate::sample::Run {
                asker: Some(Asker { task, inferred }),
                ..run.clone()
            }
        };
        flush.runs = tasks.iter().map(with_asker).collect();
        why(&flush, &golden::sample().system)
    }

    #[test]
    fn an_inferred_task_is_probable_and_a_seen_one_is_not() {
        for (tasks, wanted) in [
            (&[(7, true)][..], "sync (PID 7, exited), probably"),
            (&[(7, true), (7, false)], "sync (PID 7, exited)"),
            (
                &[(7, true), (8, false)],
                "sync (PID 8, exited); sync (PID 7, exited), probably",
            ),
        ] {
            assert_eq!(requested_by(tasks), format!("sync: requested by {wanted}"));
        }
    }

    #[test]
    fn a_system_call_is_named_as_one() {
        assert_eq!(
            of_syscall("fdatasync"),
            "fdatasync() called; the task waits"
        );
    }
}
