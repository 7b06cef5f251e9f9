//! The names of every task alive, looked up when it is first seen.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{Stat, Thread, Users, priority};
use crate::{
    collect::{Task, TaskKey},
    kernel::clock,
};

/// The names of tasks.
#[derive(Debug)]
pub struct Identities {
    proc_root: PathBuf,
    boot: Option<Timestamp>,
    users: Users,
    known: HashMap<TaskKey, Task>,
}

impl Identities {
    /// Nothing known yet.
    pub fn new(proc_root: &Path) -> Identities {
        Identities {
            boot: boot_time(proc_root),
            proc_root: proc_root.to_owned(),
            users: Users::default(),
            known: HashMap::new(),
        }
    }

    /// Who a live thread is; `None` when it is gone. The name may change
    /// (`execve`, `prctl`), the rest is looked up once for each name.
    pub fn task(&mut self, thread: Thread) -> Option<(TaskKey, Task)> {
        let process = self.proc_root.join(thread.pid.to_string());
        let directory = process.join("task").join(thread.tid.to_string());
        let stat = Stat::parse(&fs::read(directory.join("stat")).ok()?).ok()?;
        let key = TaskKey {
            tid: thread.tid,
            start_ticks: stat.start_ticks,
        };
        if let Some(known) = self
            .known
            .get(&key)
            .filter(|known| *known.comm == *stat.comm)
        {
            return Some((key, known.clone()));
        }
        // /proc shows a task's files under its effective user.
        let uid = fs::metadata(&directory).ok()?.uid();
        let task = Task {
            pid: thread.pid,
            tid: thread.tid,
            ppid: Some(stat.ppid),
            start_time: self.start_time(stat.start_ticks),
            cmdline: (!stat.kthread).then(|| command_line(&process)).flatten(),
            user: Some(self.users.name(uid)),
            uid: Some(uid),
            cgroup: cgroup(&process).map(Arc::from),
            prio: priority::of(thread.tid, stat.nice).map(Arc::from),
            kthread: stat.kthread,
            comm: stat.comm.into(),
            ..Task::default()
        };
        self.known.insert(key, task.clone());
        Some((key, task))
    }

    /// What was known of a task that may be gone.
    pub fn remembered(&self, key: &TaskKey) -> Option<&Task> {
        self.known.get(key)
    }

    /// A user's name.
    pub fn user(&mut self, uid: u32) -> Arc<str> {
        self.users.name(uid)
    }

    /// When a task started, to a hundredth of a second; off by as much as the
    /// clock was set since boot.
    pub fn start_time(&self, start_ticks: u64) -> Option<Timestamp> {
        let since_boot = i64::try_from(start_ticks.checked_mul(clock::TICK_NS)?).ok()?;
        self.boot?
            .checked_add(SignedDuration::from_nanos(since_boot))
            .ok()
    }

    /// Forgets tasks that are gone.
    pub fn keep(&mut self, wanted: impl Fn(&TaskKey) -> bool) {
        self.known.retain(|key, _| wanted(key));
    }
}

/// `btime` of /proc/stat: whole seconds.
fn boot_time(proc_root: &Path) -> Option<Timestamp> {
    let text = fs::read_to_string(proc_root.join("stat")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(line.trim().parse().ok()?).ok()
}

/// The command line with spaces between the arguments; `None` for a process
/// that has none (it is exiting, or cleared it).
fn command_line(process: &Path) -> Option<Arc<str>> {
    let bytes = fs::read(process.join("cmdline")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.trim_end_matches('\0').replace('\0', " ");
    (!line.is_empty()).then(|| line.into())
}

/// The cgroup's path: version 2 where the process has one, else systemd's
/// hierarchy, else the first (cgroups(7)).
fn cgroup(process: &Path) -> Option<String> {
    let text = fs::read_to_string(process.join("cgroup")).ok()?;
    let path_of = |wanted: &str| {
        text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            (controllers == wanted).then(|| path.to_owned())
        })
    };
    let unified = path_of("");
    // On a hybrid system everything may sit in the unified root.
    match unified.as_deref() {
        Some("/") | None => path_of("name=systemd").or(unified),
        Some(_) => unified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake_proc(comm: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        let task = root.path().join("7/task/7");
        fs::create_dir_all(&task).expect("made");
        fs::write(root.path().join("stat"), "cpu 1\nbtime 1000\n").expect("written");
        let stat = format!("7 ({comm}) S 1 7 7 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 250 0 0");
        fs::write(task.join("stat"), stat).expect("written");
        fs::write(root.path().join("7/cmdline"), "sh\0-c\0a b\0").expect("written");
        fs::write(
            root.path().join("7/cgroup"),
            "5:memory:/x\n1:name=systemd:/system.slice/db.service\n0::/\n",
        )
        .expect("written");
        root
    }

    #[test]
    fn a_task_is_named_from_a_proc_tree() {
        let root = fake_proc("sh");
        let mut identities = Identities::new(root.path());
        let (key, task) = identities.task(Thread { pid: 7, tid: 7 }).expect("there");
        assert_eq!(key.start_ticks, 250);
        assert_eq!(task.cmdline.as_deref(), Some("sh -c a b"));
        assert_eq!(task.cgroup.as_deref(), Some("/system.slice/db.service"));
        assert_eq!(task.start_time.map(|t| t.as_millisecond()), Some(1_002_500));
    }

    #[test]
    fn a_task_that_becomes_another_program_is_looked_up_again() {
        let root = fake_proc("sh");
        let mut identities = Identities::new(root.path());
        identities.task(Thread { pid: 7, tid: 7 }).expect("there");
        let stat = "7 (dd) S 1 7 7 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 250 0 0";
        fs::write(root.path().join("7/task/7/stat"), stat).expect("written");
        fs::write(root.path().join("7/cmdline"), "dd\0if=x\0").expect("written");
        let (_, task) = identities.task(Thread { pid: 7, tid: 7 }).expect("there");
        assert_eq!(
            (&*task.comm, task.cmdline.as_deref()),
            ("dd", Some("dd if=x"))
        );
    }

    #[test]
    fn a_task_that_is_gone_is_no_error() {
        let root = fake_proc("sh");
        let mut identities = Identities::new(root.path());
        assert!(identities.task(Thread { pid: 8, tid: 8 }).is_none());
    }
}
