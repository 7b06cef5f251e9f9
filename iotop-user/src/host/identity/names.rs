//! The names of tasks. They are looked up once for each task and command, and kept after
//! the task's exit.

use std::{
    collections::{HashMap, HashSet},
    fs,
    hash::Hash,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use iotop_common::ExecutedHead;
use jiff::{SignedDuration, Timestamp};

use super::{Cgroups, Thread, Users, cgroup, container, executed::Executed, priority, unit};
use crate::{
    host::kernel::clock,
    sample::{Task, TaskKey},
};

/// The names of tasks.
#[derive(Debug)]
pub struct Names {
    proc_root: PathBuf,
    boot: Option<Timestamp>,
    users: Users,
    cgroups: Cgroups,
    executed: Executed,
    places: HashMap<Arc<str>, Place>,
    strings: HashSet<Arc<str>>,
    known: HashMap<TaskKey, Arc<Named>>,
    /// One copy of each: threads often have all their names in common.
    named: HashSet<Arc<Named>>,
    /// The processes that were looked up in this refresh: threads share their names.
    processes: HashMap<u32, Process>,
}

/// A task's names when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Named {
    comm: Arc<str>,
    process: Process,
    prio: Option<Arc<str>>,
}

/// What all threads of a process have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Process {
    cmdline: Option<Arc<str>>,
    cgroup: Option<Arc<str>>,
}

/// What a cgroup's path names.
#[derive(Clone, Debug)]
struct Place {
    unit: Option<Arc<str>>,
    container: Option<Arc<str>>,
}

impl Names {
    /// Starts without names.
    pub fn new(proc_root: &Path, sys_root: &Path) -> Names {
        Names {
            boot: boot_time(proc_root),
            proc_root: proc_root.to_owned(),
            users: Users::default(),
            cgroups: Cgroups::new(sys_root),
            executed: Executed::default(),
            places: HashMap::new(),
            strings: HashSet::new(),
            known: HashMap::new(),
            named: HashSet::new(),
            processes: HashMap::new(),
        }
    }

    /// Finds the paths of all cgroups that exist now.
    pub fn look_at_cgroups(&mut self) {
        self.cgroups.walk();
    }

    /// Adds a cgroup that was just created.
    pub fn cgroup_made(&mut self, id: u64, path: &[u8]) {
        self.cgroups.made(id, path);
    }

    /// The programs that were executed.
    pub fn executed(&self) -> &Executed {
        &self.executed
    }

    /// Adds a program that was just executed, with its arguments.
    pub fn add_executed(&mut self, head: &ExecutedHead, arguments: &[u8]) {
        self.executed.add(head, arguments);
    }

    /// Fills in a task's names. What the task has already (comm, uid, cgroup id) is right,
    /// whatever /proc says.
    pub fn fill(&mut self, task: &mut Task) {
        let key = task.key();
        task.start_time = self.start_time(key.start_boottime);
        task.user = task.uid.map(|uid| self.users.name(uid));
        let named = match self.known.get_mut(&key) {
            Some(named) if named.comm == task.comm => {
                // The priority may change while the comm stays the same.
                if named.prio.is_some() && !task.exited && task.did_io() {
                    let prio = priority::of(task.tid);
                    if prio.as_deref() != named.prio.as_deref() {
                        let prio = prio.map(|prio| intern(&mut self.strings, prio));
                        Arc::make_mut(named).prio = prio;
                    }
                }
                named.clone()
            }
            _ => {
                let named = self.look_up(task);
                let named = shared_copy(&mut self.named, named.into());
                self.known.insert(key, named.clone());
                named
            }
        };
        task.comm = named.comm.clone();
        task.cmdline = named.process.cmdline.clone();
        task.prio = named.prio.clone().filter(|_| !task.exited);
        if let Some(cgroup) = named.process.cgroup.clone() {
            let place = self
                .places
                .entry(cgroup.clone())
                .or_insert_with(|| Place::of(&cgroup));
            task.unit = place.unit.clone();
            task.container = place.container.clone();
            task.cgroup = Some(cgroup);
        }
    }

    /// Ends a refresh. Forgets the tasks that are not `wanted` any more.
    pub fn keep(&mut self, wanted: impl Fn(&TaskKey) -> bool) {
        self.known.retain(|key, _| wanted(key));
        self.processes.clear();
        self.cgroups.look_again();
        self.named.retain(|named| Arc::strong_count(named) > 1);
        self.strings.retain(|string| Arc::strong_count(string) > 1);
        let strings = &self.strings;
        self.places.retain(|cgroup, _| strings.contains(cgroup));
    }

    fn look_up(&mut self, task: &Task) -> Named {
        let is_there = self.is_of_process(task);
        let process = if is_there {
            self.process(task)
        } else {
            Process::default()
        };
        let cgroup = match (process.cgroup, task.cgroup_id) {
            (None, Some(id)) => self.cgroup(id),
            (known, _) => known,
        };
        // A process that is exiting has none in /proc.
        let cmdline = process.cmdline.or_else(|| {
            let line = self.executed.command_line(task)?;
            Some(intern(&mut self.strings, line))
        });
        let prio = (is_there && !task.exited).then(|| priority::of(task.tid));
        Named {
            comm: shared_copy(&mut self.strings, task.comm.clone()),
            process: Process {
                cmdline: cmdline.filter(|_| !task.kthread),
                cgroup,
            },
            prio: prio.flatten().map(|prio| intern(&mut self.strings, prio)),
        }
    }

    /// True if `/proc/PID` is this task's process. Pids are reused, and differ between pid
    /// namespaces. A live thread must therefore have the same start time, and the process of
    /// an exited thread must not be younger than the thread.
    fn is_of_process(&self, task: &Task) -> bool {
        let started = task.start_boottime / clock::TICK_NS;
        let stat = |tid| Thread { pid: task.pid, tid }.stat(&self.proc_root);
        if task.exited {
            task.tid != task.pid && stat(task.pid).is_some_and(|s| s.start_ticks <= started)
        } else {
            stat(task.tid).is_some_and(|stat| stat.start_ticks == started)
        }
    }

    /// A cgroup's path by its id. `None` for a root.
    pub fn cgroup_below_root(&mut self, id: u64) -> Option<Arc<str>> {
        // In kernfs, the root of a hierarchy has the number 1.
        if id > 1 { self.cgroup(id) } else { None }
    }

    fn cgroup(&mut self, id: u64) -> Option<Arc<str>> {
        let path = self.cgroups.path(id)?;
        Some(intern(&mut self.strings, path))
    }

    fn process(&mut self, task: &Task) -> Process {
        let strings = &mut self.strings;
        let directory = self.proc_root.join(task.pid.to_string());
        let look = || Process {
            cmdline: command_line(&directory).map(|line| intern(strings, line)),
            cgroup: cgroup::of_process(&directory).map(|path| intern(strings, path)),
        };
        self.processes.entry(task.pid).or_insert_with(look).clone()
    }

    /// When a task started. It is off by as much as the clock was set since boot.
    fn start_time(&self, start_boottime: u64) -> Option<Timestamp> {
        let ticks = start_boottime / clock::TICK_NS * clock::TICK_NS;
        let since_boot = SignedDuration::from_nanos(i64::try_from(ticks).ok()?);
        self.boot?.checked_add(since_boot).ok()
    }
}

impl Place {
    fn of(cgroup: &str) -> Place {
        Place {
            unit: unit::of(cgroup).map(Arc::from),
            container: container::of(cgroup).map(Arc::from),
        }
    }
}

/// The shared copy of a string.
fn intern(strings: &mut HashSet<Arc<str>>, string: String) -> Arc<str> {
    match strings.get(&*string) {
        Some(known) => known.clone(),
        None => shared_copy(strings, string.into()),
    }
}

/// The shared copy of a value: the one that is known, or else `new`.
fn shared_copy<T: ?Sized + Eq + Hash>(all: &mut HashSet<Arc<T>>, new: Arc<T>) -> Arc<T> {
    match all.get(&new) {
        Some(known) => known.clone(),
        None => {
            all.insert(new.clone());
            new
        }
    }
}

/// The time of boot: `btime` of /proc/stat, in whole seconds.
fn boot_time(proc_root: &Path) -> Option<Timestamp> {
    let text = fs::read_to_string(proc_root.join("stat")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(line.trim().parse().ok()?).ok()
}

/// How many bytes of a command line are read. A process may declare all its memory to be
/// its command line (`PR_SET_MM_MAP` of prctl(2)).
const MAX_COMMAND_LINE: u64 = 64 * 1024;

/// A command line, with spaces between the arguments. `None` for a process that has none: a
/// kernel thread, or a process that is exiting or that cleared it. A line that is cut off
/// ends with an ellipsis.
fn command_line(process: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(process.join("cmdline")).ok()?;
    file.take(MAX_COMMAND_LINE + 1)
        .read_to_end(&mut bytes)
        .ok()?;
    let is_cut = bytes.len() as u64 > MAX_COMMAND_LINE;
    bytes.truncate(MAX_COMMAND_LINE as usize);
    joined(&bytes, is_cut)
}

/// Arguments with spaces between them. `None` if there are none.
pub(super) fn joined(arguments: &[u8], is_cut: bool) -> Option<String> {
    let text = String::from_utf8_lossy(arguments);
    let mut line = text.trim_end_matches('\0').replace('\0', " ");
    if is_cut && !line.is_empty() {
        line.push('…');
    }
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: &str = "/system.slice/docker-\
        4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01.scope";

    struct FakeProc(tempfile::TempDir);

    impl FakeProc {
        /// Process 7 with the threads 7 and 8, started 2.5 and 3 s after boot.
        fn new() -> FakeProc {
            let root = tempfile::tempdir().expect("a directory");
            fs::write(root.path().join("stat"), "cpu 1\nbtime 1000\n").expect("written");
            let fake = FakeProc(root);
            fake.thread(7, "sh", 250);
            fake.thread(8, "worker", 300);
            fake.write("7/cmdline", "sh\0-c\0a b\0");
            fake.write("7/cgroup", &format!("5:memory:/x\n0::{SCOPE}\n"));
            fake
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, text).expect("written");
        }

        fn thread(&self, tid: u32, comm: &str, start: u32) {
            let line =
                format!("{tid} ({comm}) S 1 7 7 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0");
            self.write(&format!("7/task/{tid}/stat"), &line);
        }

        fn names(&self) -> Names {
            Names::new(self.0.path(), self.0.path())
        }
    }

    fn task(tid: u32, comm: &str, start_ticks: u64) -> Task {
        Task {
            pid: 7,
            tid,
            start_boottime: start_ticks * clock::TICK_NS + 12345,
            uid: Some(0),
            comm: comm.into(),
            ..Task::default()
        }
    }

    fn filled(names: &mut Names, mut task: Task) -> Task {
        names.fill(&mut task);
        task
    }

    #[test]
    fn a_task_is_named_from_its_proc_files() {
        let task = filled(&mut FakeProc::new().names(), task(8, "worker", 300));
        assert_eq!(task.cmdline.as_deref(), Some("sh -c a b"));
        assert_eq!(task.cgroup.as_deref(), Some(SCOPE));
        assert_eq!(task.container.as_deref(), Some("docker:4c01db0b339c"));
        assert_eq!(task.user.as_deref(), Some("root"));
        assert_eq!(task.start_time.map(|t| t.as_millisecond()), Some(1_003_000));
    }

    #[test]
    fn a_reused_tid_does_not_get_the_names_of_the_earlier_task() {
        let task = filled(&mut FakeProc::new().names(), task(7, "sh", 9999));
        assert_eq!((task.cmdline, task.cgroup), (None, None));
    }

    #[test]
    fn a_task_keeps_its_names_after_its_exit() {
        let fake = FakeProc::new();
        let mut names = fake.names();
        filled(&mut names, task(7, "sh", 250));
        names.keep(|_| true);
        fs::remove_dir_all(fake.0.path().join("7")).expect("removed");
        let dead = Task {
            exited: true,
            ..task(7, "sh", 250)
        };
        let dead = filled(&mut names, dead);
        assert_eq!(dead.cmdline.as_deref(), Some("sh -c a b"));
        assert_eq!(dead.prio, None);
    }

    #[test]
    fn an_exited_thread_of_a_live_process_has_the_names_of_its_process() {
        let fake = FakeProc::new();
        let mut names = fake.names();
        let dead = |start| Task {
            exited: true,
            ..task(9, "worker", start)
        };
        let thread = filled(&mut names, dead(350));
        assert_eq!(thread.cmdline.as_deref(), Some("sh -c a b"));
        // This thread is older than the process that has its pid now.
        let thread = filled(&mut names, dead(100));
        assert_eq!(thread.cmdline, None);
    }

    #[test]
    fn a_task_that_executes_another_program_is_looked_up_again() {
        let fake = FakeProc::new();
        let mut names = fake.names();
        filled(&mut names, task(7, "sh", 250));
        names.keep(|_| true);
        fake.thread(7, "dd", 250);
        fake.write("7/cmdline", "dd\0if=x\0");
        let task = filled(&mut names, task(7, "dd", 250));
        assert_eq!(task.cmdline.as_deref(), Some("dd if=x"));
    }

    #[test]
    fn a_command_line_is_looked_up_once() {
        let fake = FakeProc::new();
        let mut names = fake.names();
        filled(&mut names, task(7, "sh", 250));
        names.keep(|_| true);
        fake.write("7/cmdline", "never\0asked\0");
        let task = filled(&mut names, task(7, "sh", 250));
        assert_eq!(task.cmdline.as_deref(), Some("sh -c a b"));
    }

    #[test]
    fn an_endless_command_line_is_cut_off() {
        let fake = FakeProc::new();
        fake.write("7/cmdline", &"x".repeat(1 << 20));
        let task = filled(&mut fake.names(), task(7, "sh", 250));
        let line = task.cmdline.expect("there");
        assert!(line.ends_with("x…") && line.len() < 1 << 17);
    }

    #[test]
    fn a_kernel_thread_has_no_command_line_and_a_vanished_task_is_no_error() {
        let fake = FakeProc::new();
        let kthread = Task {
            kthread: true,
            ..task(7, "sh", 250)
        };
        assert_eq!(filled(&mut fake.names(), kthread).cmdline, None);
        let gone = filled(&mut fake.names(), task(77, "gone", 250));
        assert_eq!((gone.cmdline, &*gone.comm), (None, "gone"));
    }

    #[test]
    fn a_task_that_is_gone_has_the_arguments_with_which_it_was_executed() {
        let fake = FakeProc::new();
        let mut names = fake.names();
        let arguments = b"dd\0if=/dev/zero\0";
        let head = |pid, start_ticks| ExecutedHead {
            pid,
            start_boottime: task(pid, "dd", start_ticks).start_boottime,
            length: arguments.len() as u32,
            ..ExecutedHead::default()
        };
        let gone = |pid| Task {
            pid,
            exited: true,
            ..task(pid, "dd", 100)
        };
        names.add_executed(&head(70, 100), arguments);
        names.add_executed(&head(71, 101), arguments);
        names.add_executed(&head(7, 250), arguments);
        let mut line = |task| filled(&mut names, task).cmdline;
        assert_eq!(line(gone(70)).as_deref(), Some("dd if=/dev/zero"));
        assert_eq!(line(gone(71)), None, "another process had this pid");
        let renamed = line(task(7, "sh", 250));
        assert_eq!(renamed.as_deref(), Some("sh -c a b"), "/proc knows better");
    }

    #[test]
    fn a_task_known_only_to_the_kernel_half_has_the_unit_of_its_cgroup() {
        use std::os::unix::fs::MetadataExt as _;
        let fake = FakeProc::new();
        let directory = fake.0.path().join("fs/cgroup/system.slice/db.service");
        fs::create_dir_all(&directory).expect("made");
        fs::write(fake.0.path().join("fs/cgroup/cgroup.controllers"), "").expect("written");
        let dead = Task {
            exited: true,
            cgroup_id: Some(fs::metadata(&directory).expect("there").ino()),
            ..task(70, "db", 100)
        };
        let dead = filled(&mut fake.names(), dead);
        assert_eq!(dead.cgroup.as_deref(), Some("/system.slice/db.service"));
        assert_eq!(dead.unit.as_deref(), Some("db.service"));
    }
}
