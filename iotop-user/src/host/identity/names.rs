//! The names of tasks. They are looked up when a task is first seen, again when its command
//! or its cgroup has changed, and in each interval in which it is active. They are kept after
//! its exit.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use iotop_common::ExecutedHead;
use jiff::{SignedDuration, Timestamp};

use super::{
    Cgroups, Thread, Users, cgroup, cmdline::CommandLines, container, executed::Executed, kthread,
    priority, unit,
};
use crate::{
    host::kernel::clock,
    sample::{Task, TaskKey, Unanswered},
};

/// After this time it is said that a question has no answer.
const GIVEN_UP: Duration = Duration::from_secs(3);

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
    known: HashMap<TaskKey, Known>,
    /// One copy of each: threads often have all their names in common.
    named: HashSet<Arc<Named>>,
    cmdlines: CommandLines,
    /// True for user names, and for command lines, if it was said that one has no answer.
    told: [bool; 2],
    /// Counts the refreshes.
    refresh: u64,
    read: ReadCgroups,
}

/// What is known of a task.
#[derive(Clone, Debug)]
struct Known {
    named: Arc<Named>,
    /// False while there is no answer to what its command line is.
    is_whole: bool,
    /// The refresh in which it was looked up.
    refresh: u64,
}

/// A task's names when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Named {
    /// The name that the source reports.
    comm: Arc<str>,
    /// The whole name of a kernel thread, if `comm` is cut off.
    whole: Option<Arc<str>>,
    cmdline: Option<Arc<str>>,
    cgroup_id: Option<u64>,
    cgroup: Option<Arc<str>>,
    prio: Option<Arc<str>>,
}

impl Known {
    /// True if the task has to be looked up again: it may have changed while it was active.
    fn is_due(&self, task: &Task, refresh: u64) -> bool {
        self.refresh != refresh && !task.exited && (task.is_active() || !self.is_whole)
    }
}

impl Named {
    /// True if these are still a task's names, as far as the source tells.
    fn fit(&self, task: &Task) -> bool {
        let same_comm = self.comm == task.comm || self.whole.as_ref() == Some(&task.comm);
        same_comm && (task.cgroup_id.is_none() || task.cgroup_id == self.cgroup_id)
    }
}

/// The cgroups that were read from /proc in this refresh. Threads of a process that are
/// together in version 2 are so in version 1.
#[derive(Debug, Default)]
struct ReadCgroups {
    /// By pid and cgroup id.
    of_tasks: HashMap<(u32, Option<u64>), Arc<str>>,
    /// By the parent's pid and the dead child's cgroup id. A shell may have thousands of
    /// children in one interval.
    of_parents: HashMap<(u32, u64), Option<ParentCgroup>>,
}

/// The cgroup of a parent.
#[derive(Debug)]
struct ParentCgroup {
    start_ticks: u64,
    path: Arc<str>,
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
            boot: clock::boot_time(),
            proc_root: proc_root.to_owned(),
            users: Users::default(),
            cgroups: Cgroups::new(sys_root),
            executed: Executed::default(),
            places: HashMap::new(),
            strings: HashSet::new(),
            known: HashMap::new(),
            named: HashSet::new(),
            cmdlines: CommandLines::new(proc_root),
            told: [false; 2],
            refresh: 0,
            read: ReadCgroups::default(),
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

    /// Asks for what these tasks need and what may take long, all at once: an interval waits
    /// only once for answers that do not come.
    pub fn ask_for<'a>(&mut self, tasks: impl Iterator<Item = &'a Task> + Clone) {
        self.users
            .look_up(tasks.clone().filter_map(|task| task.uid));
        let known = &self.known;
        let reads = |task: &&Task| match known.get(&task.key()) {
            Some(known) if known.named.fit(task) => known.is_due(task, self.refresh),
            _ => !task.exited,
        };
        let tasks = tasks.filter(|task| !task.kthread).filter(reads);
        self.cmdlines.read(tasks.map(|task| task.pid));
    }

    /// Fills in a task's names. What the task has already (comm, uid, cgroup id) is right,
    /// whatever /proc says. Returns false if a name is not known yet, because it was asked for
    /// and there is no answer.
    pub fn fill(&mut self, task: &mut Task) -> bool {
        let key = task.key();
        task.start_time = self.start_time(key.start_boottime);
        task.user = task.uid.map(|uid| self.users.name(uid));
        let known = self.known.get(&key);
        let (named, is_whole) = match known {
            Some(known) if known.named.fit(task) && !known.is_due(task, self.refresh) => {
                (known.named.clone(), known.is_whole)
            }
            _ => self.look(task, known.cloned()),
        };
        task.comm = named.whole.as_ref().unwrap_or(&named.comm).clone();
        task.cmdline = named.cmdline.clone();
        task.prio = named.prio.clone().filter(|_| !task.exited);
        if let Some(cgroup) = named.cgroup.clone() {
            let place = self
                .places
                .entry(cgroup.clone())
                .or_insert_with(|| Place::of(&cgroup));
            task.unit = place.unit.clone();
            task.container = place.container.clone();
            task.cgroup = Some(cgroup);
        }
        is_whole && task.uid.is_none_or(|uid| self.users.is_known(uid))
    }

    /// Looks a task up, and keeps what is found. Returns false if there is no answer yet to what
    /// its command line is.
    fn look(&mut self, task: &Task, known: Option<Known>) -> (Arc<Named>, bool) {
        let (named, is_whole) = match known.map(|known| known.named) {
            Some(known) if known.fit(task) => self.look_again(task, &known),
            known => self.look_up(task, known.as_deref()),
        };
        let known = Known {
            named: shared_copy(&mut self.named, named),
            is_whole,
            refresh: self.refresh,
        };
        let named = known.named.clone();
        self.known.insert(task.key(), known);
        (named, is_whole)
    }

    /// The names that have no answer for long. Each kind is told once.
    pub fn unanswered(&mut self) -> Vec<Unanswered> {
        let [user, line] = &mut self.told;
        let is_new = |told: &mut bool| !mem::replace(told, true);
        let stuck = self.users.stuck(GIVEN_UP).filter(|_| is_new(user));
        let user = stuck.map(Unanswered::User);
        let stuck = self.cmdlines.stuck(GIVEN_UP).filter(|_| is_new(line));
        let line = stuck.map(Unanswered::CommandLine);
        user.into_iter().chain(line).collect()
    }

    /// Ends a refresh. Forgets the tasks that are not `wanted` any more.
    pub fn keep(&mut self, wanted: impl Fn(&TaskKey) -> bool) {
        self.known.retain(|key, _| wanted(key));
        self.cmdlines.forget();
        self.refresh += 1;
        self.read = ReadCgroups::default();
        self.follow_clock();
        self.cgroups.look_again();
        self.named.retain(|named| Arc::strong_count(named) > 1);
        self.strings.retain(|string| Arc::strong_count(string) > 1);
        let strings = &self.strings;
        self.places.retain(|cgroup, _| strings.contains(cgroup));
    }

    /// A task's names, if `known` ones do not fit any more.
    fn look_up(&mut self, task: &Task, known: Option<&Named>) -> (Arc<Named>, bool) {
        let is_there = self.is_of_process(task);
        let known = known.filter(|known| known.comm == task.comm);
        let line = match is_there {
            true => self.command_line(task),
            false => Some(None),
        };
        let is_whole = line.is_some();
        let cmdline = line.flatten().or_else(|| known?.cmdline.clone());
        // A process that is exiting has none in /proc.
        let cmdline = cmdline.or_else(|| {
            let line = self.executed.command_line(task)?;
            Some(intern(&mut self.strings, &line))
        });
        let whole = (is_there && task.kthread)
            .then(|| kthread::whole_name(thread_of(task), &task.comm, &self.proc_root));
        let prio = (is_there && !task.exited).then(|| priority::of(task.tid));
        let named = Named {
            comm: shared_copy(&mut self.strings, task.comm.clone()),
            whole: whole.flatten().map(|name| intern(&mut self.strings, &name)),
            cmdline: cmdline.filter(|_| !task.kthread),
            cgroup_id: task.cgroup_id,
            cgroup: self.cgroup_of(task, is_there),
            prio: prio.flatten().map(|prio| intern(&mut self.strings, &prio)),
        };
        (named.into(), is_whole)
    }

    /// An active task's names. It may have executed a program of the same name, given itself
    /// another title (setproctitle(3)) or priority, or been moved in a hierarchy of version 1.
    fn look_again(&mut self, task: &Task, known: &Arc<Named>) -> (Arc<Named>, bool) {
        let line = self.command_line(task);
        let is_whole = line.is_some();
        if !is_whole && !task.is_active() {
            return (known.clone(), false);
        }
        let cgroup = match self.cgroups.are_unified() {
            true => None,
            false => self.read_cgroup(task),
        };
        let prio = known.prio.as_ref().and_then(|_| priority::of(task.tid));
        let now = Named {
            cmdline: line.flatten().or_else(|| known.cmdline.clone()),
            cgroup: cgroup.or_else(|| known.cgroup.clone()),
            prio: prio.map(|prio| intern(&mut self.strings, &prio)),
            ..Named::clone(known)
        };
        // If it has just exited, its numbers may belong to another task by now.
        if now == **known || !self.is_of_process(task) {
            return (known.clone(), is_whole);
        }
        (now.into(), is_whole)
    }

    /// True if `/proc/PID` is this task's process. Pids are reused, and differ between pid
    /// namespaces. A live thread must therefore have the same start time, and the process of
    /// an exited thread must not be younger than the thread.
    fn is_of_process(&self, task: &Task) -> bool {
        let started = clock::ticks(task.start_boottime);
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
        Some(intern(&mut self.strings, self.cgroups.path(id)?))
    }

    /// The path of a task's cgroup. `is_there` says whether its process is in /proc.
    fn cgroup_of(&mut self, task: &Task, is_there: bool) -> Option<Arc<str>> {
        let by_id = |names: &mut Names| names.cgroup(task.cgroup_id?);
        if self.cgroups.are_unified()
            && let Some(path) = by_id(self)
        {
            return Some(path);
        }
        if is_there && let Some(path) = self.read_cgroup(task) {
            return Some(path);
        }
        let own = by_id(self)?;
        Some(self.like_parent(task, &own).unwrap_or(own))
    }

    /// Reads the path of a task's cgroup from /proc.
    fn read_cgroup(&mut self, task: &Task) -> Option<Arc<str>> {
        let key = (task.pid, task.cgroup_id);
        if let Some(known) = self.read.of_tasks.get(&key) {
            return Some(known.clone());
        }
        let directory = match task.exited {
            true => self.proc_root.join(task.pid.to_string()),
            false => thread_of(task).directory(&self.proc_root),
        };
        let path = intern(&mut self.strings, &cgroup::of_thread(&directory)?);
        self.read.of_tasks.insert(key, path.clone());
        Some(path)
    }

    /// The cgroup of a dead task, if its parent is still there.
    fn like_parent(&mut self, task: &Task, own: &str) -> Option<Arc<str>> {
        let (pid, cgroup_id) = (task.ppid?, task.cgroup_id?);
        let (proc_root, strings) = (&self.proc_root, &mut self.strings);
        let read = || {
            let parent = Thread { pid, tid: pid }.stat(proc_root)?;
            let path = cgroup::like_parent(&proc_root.join(pid.to_string()), own)?;
            Some(ParentCgroup {
                start_ticks: parent.start_ticks,
                path: intern(strings, &path),
            })
        };
        let parents = &mut self.read.of_parents;
        let parent = parents.entry((pid, cgroup_id)).or_insert_with(read);
        let parent = parent.as_ref()?;
        (parent.start_ticks <= clock::ticks(task.start_boottime)).then(|| parent.path.clone())
    }

    /// The command line of a task's process. The outer `None`: there is no answer yet.
    fn command_line(&mut self, task: &Task) -> Option<Option<Arc<str>>> {
        if task.kthread {
            return Some(None);
        }
        let line = self.cmdlines.of(task.pid, task.start_boottime)?;
        Some(line.map(|line| intern(&mut self.strings, line)))
    }

    /// When a task started: exact to the tick, which is all that /proc tells.
    fn start_time(&self, start_boottime: u64) -> Option<Timestamp> {
        let whole_ticks = clock::of_ticks(clock::ticks(start_boottime));
        let since_boot = SignedDuration::from_nanos(i64::try_from(whole_ticks).ok()?);
        self.boot?.checked_add(since_boot).ok()
    }

    /// Takes the time of boot again if the clock on the wall was set.
    fn follow_clock(&mut self) {
        let now = clock::boot_time();
        let tick = SignedDuration::from_nanos(clock::TICK_NS as i64);
        let was_set = |(now, then): (Timestamp, Timestamp)| now.duration_since(then).abs() > tick;
        if now.zip(self.boot).is_none_or(was_set) {
            self.boot = now;
        }
    }
}

fn thread_of(task: &Task) -> Thread {
    Thread {
        pid: task.pid,
        tid: task.tid,
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
fn intern(strings: &mut HashSet<Arc<str>>, string: &str) -> Arc<str> {
    match strings.get(string) {
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

#[cfg(test)]
mod tests {
    use std::{fs, sync::Mutex, time::Instant};

    use super::*;
    use crate::sample::TaskCounters;

    const SCOPE: &str = "/system.slice/docker-\
        4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01db0b339c4c01.scope";

    struct FakeProc(tempfile::TempDir);

    impl FakeProc {
        /// Process 7 with the threads 7 and 8, started 2.5 and 3 s after boot.
        fn new() -> FakeProc {
            let root = tempfile::tempdir().expect("a directory");
            let fake = FakeProc(root);
            fake.thread(7, "sh", 250);
            fake.thread(8, "worker", 300);
            fake.write("7/cmdline", "sh\0-c\0a b\0");
            for directory in ["7", "7/task/7", "7/task/8"] {
                let text = format!("5:memory:/x\n0::{SCOPE}\n");
                fake.write(&format!("{directory}/cgroup"), &text);
            }
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
            let mut names = Names::new(self.0.path(), self.0.path());
            names.boot = Timestamp::from_second(1000).ok();
            names
        }
    }

    fn task(tid: u32, comm: &str, start_ticks: u64) -> Task {
        Task {
            pid: 7,
            tid,
            start_boottime: clock::of_ticks(start_ticks) + 12345,
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

    /// A task that did something in the interval.
    fn active(task: Task) -> Task {
        let stats = TaskCounters {
            read_char: Some(1),
            ..TaskCounters::default()
        };
        Task { stats, ..task }
    }

    #[test]
    fn a_program_of_the_same_name_has_its_own_command_line() {
        let fake = FakeProc::new();
        let mut names = fake.names();
        filled(&mut names, task(7, "sh", 250));
        names.keep(|_| true);
        fake.write("7/cmdline", "sh\0other.sh\0");
        let line = |task: Task| task.cmdline.expect("there").to_string();
        assert_eq!(
            line(filled(&mut names, active(task(7, "sh", 250)))),
            "sh other.sh"
        );
        // While it executes the next one, it has none.
        names.keep(|_| true);
        fake.write("7/cmdline", "");
        assert_eq!(
            line(filled(&mut names, active(task(7, "sh", 250)))),
            "sh other.sh"
        );
        // It has exited, and another task has its number.
        names.keep(|_| true);
        fake.write("7/cmdline", "another\0");
        fake.thread(7, "another", 999);
        assert_eq!(
            line(filled(&mut names, active(task(7, "sh", 250)))),
            "sh other.sh"
        );
    }

    #[test]
    fn a_process_whose_main_thread_has_ended_has_its_command_line() {
        let fake = FakeProc::new();
        fake.write("7/cmdline", "");
        fake.write("7/task/8/cmdline", "sh\0-c\0a b\0");
        let mut names = fake.names();
        for tid in [(7, 250), (8, 300)] {
            let task = filled(&mut names, task(tid.0, "x", tid.1));
            assert_eq!(task.cmdline.as_deref(), Some("sh -c a b"));
        }
    }

    #[test]
    fn a_task_that_is_moved_to_another_cgroup_is_there() {
        use std::os::unix::fs::MetadataExt as _;
        let fake = FakeProc::new();
        let top = fake.0.path().join("fs/cgroup");
        for (hierarchy, unified) in [("", true), ("unified/", false)] {
            let _ = fs::remove_dir_all(&top);
            let id = |name: &str| {
                let directory = top.join(format!("{hierarchy}system.slice/{name}"));
                fs::create_dir_all(&directory).expect("made");
                fs::metadata(directory).expect("there").ino()
            };
            let in_cgroup = |name| Task {
                cgroup_id: Some(id(name)),
                ..task(8, "worker", 300)
            };
            fs::create_dir_all(top.join(hierarchy)).expect("made");
            let file = top.join(hierarchy).join("cgroup.controllers");
            fs::write(file, "").expect("written");
            let mut names = fake.names();
            assert_eq!(names.cgroups.are_unified(), unified);
            for name in ["old.service", "new.service"] {
                let text = format!("0::/system.slice/{name}\n");
                fake.write("7/task/8/cgroup", &text);
                let task = filled(&mut names, in_cgroup(name));
                assert_eq!(task.unit.as_deref(), Some(name));
                assert_eq!(task.cmdline.as_deref(), Some("sh -c a b"));
                names.keep(|_| true);
            }
            // It is dead: the cgroup of its exit record counts, its command line is kept.
            let dead = Task {
                exited: true,
                ..in_cgroup("old.service")
            };
            fs::remove_dir_all(fake.0.path().join("7/task/8")).expect("removed");
            let dead = filled(&mut names, dead);
            assert_eq!(dead.cmdline.as_deref(), Some("sh -c a b"));
            fake.thread(8, "worker", 300);
        }
    }

    #[test]
    fn a_dead_task_is_in_the_container_of_its_parent() {
        use std::os::unix::fs::MetadataExt as _;
        let fake = FakeProc::new();
        let directory = fake.0.path().join("fs/cgroup/unified/x.service");
        fs::create_dir_all(&directory).expect("made");
        fs::write(
            fake.0.path().join("fs/cgroup/unified/cgroup.controllers"),
            "",
        )
        .expect("written");
        fake.write(
            "7/cgroup",
            &format!("1:name=systemd:{SCOPE}\n0::/x.service\n"),
        );
        let dead = |start| Task {
            pid: 70,
            ppid: Some(7),
            exited: true,
            cgroup_id: Some(fs::metadata(&directory).expect("there").ino()),
            ..task(70, "dd", start)
        };
        let mut names = fake.names();
        let container = |task: Task| task.container.map(|name| name.to_string());
        let child = filled(&mut names, dead(260));
        assert_eq!(container(child).as_deref(), Some("docker:4c01db0b339c"));
        // This one is older than the process that has its parent's number.
        let other = filled(&mut names, dead(100));
        assert_eq!(
            (&*other.cgroup.clone().expect("there"), container(other)),
            ("/x.service", None)
        );
    }

    #[test]
    fn a_kernel_thread_has_its_whole_name() {
        let fake = FakeProc::new();
        fake.thread(7, "kworker/R-rcu_gp", 250);
        let mut names = fake.names();
        let kthread = Task {
            kthread: true,
            ..task(7, "kworker/R-rcu_g", 250)
        };
        let named = filled(&mut names, kthread);
        assert_eq!(&*named.comm, "kworker/R-rcu_gp");
        // It keeps it if it is filled in twice, and when /proc does not have it any more.
        fs::remove_dir_all(fake.0.path().join("7")).expect("removed");
        assert_eq!(&*filled(&mut names, named).comm, "kworker/R-rcu_gp");
    }

    #[test]
    fn start_times_follow_the_clock_when_it_is_set() {
        let fake = FakeProc::new();
        let mut names = fake.names();
        names.keep(|_| true);
        let boot = clock::boot_time().expect("a time");
        let start = names.start_time(clock::of_ticks(300)).expect("a time");
        let since_boot = start.duration_since(boot) - SignedDuration::from_secs(3);
        assert!(
            since_boot.abs() <= SignedDuration::from_millis(20),
            "{since_boot}"
        );
        // The difference of two clocks is not always the same. That alone moves nothing.
        let known = boot.checked_sub(SignedDuration::from_millis(3)).ok();
        names.boot = known;
        names.keep(|_| true);
        assert_eq!(names.boot, known);
    }

    #[test]
    fn the_command_line_of_an_idle_task_is_looked_up_once() {
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
        assert_eq!(line, format!("{}…", "x".repeat(4096)).into());
    }

    #[test]
    fn a_parent_is_looked_at_once_for_all_its_dead_children() {
        use std::os::unix::fs::MetadataExt as _;
        let fake = FakeProc::new();
        let directory = fake.0.path().join("fs/cgroup/unified/x.service");
        fs::create_dir_all(&directory).expect("made");
        let version_2 = "fs/cgroup/unified/cgroup.controllers";
        fs::write(fake.0.path().join(version_2), "").expect("written");
        let both = format!("1:name=systemd:{SCOPE}\n0::/x.service\n");
        fake.write("7/cgroup", &both);
        let cgroup_id = Some(fs::metadata(&directory).expect("there").ino());
        let mut names = fake.names();
        let container = |names: &mut Names, tid| {
            let child = Task {
                pid: tid,
                ppid: Some(7),
                exited: true,
                cgroup_id,
                ..task(tid, "dd", 260)
            };
            filled(names, child).container.is_some()
        };
        assert!(container(&mut names, 70));
        fs::remove_dir_all(fake.0.path().join("7")).expect("removed");
        assert!(container(&mut names, 71));
        names.keep(|_| true);
        assert!(!container(&mut names, 72), "the next refresh looks again");
    }

    /// Names with command lines that are answered while `open`.
    fn with_command_lines(fake: &FakeProc, open: &Arc<Mutex<()>>) -> Names {
        let (open, root) = (open.clone(), fake.0.path().to_owned());
        let mut names = fake.names();
        names.cmdlines = CommandLines::asking(move |pid| {
            drop(open.lock());
            fs::read_to_string(root.join(format!("{pid}/cmdline"))).ok()
        });
        names
    }

    #[test]
    fn a_command_line_that_is_not_answered_comes_later_also_to_an_idle_task() {
        let fake = FakeProc::new();
        fake.write("7/cmdline", "late");
        let open = Arc::new(Mutex::new(()));
        let locked = open.lock().expect("free");
        let mut names = with_command_lines(&fake, &open);
        let begin = Instant::now();
        let fill = |names: &mut Names| {
            names.ask_for([&task(7, "sh", 250)].into_iter());
            let mut task = task(7, "sh", 250);
            let is_whole = names.fill(&mut task);
            names.keep(|_| true);
            (task.cmdline.map(|line| line.to_string()), is_whole)
        };
        for _ in 0..100 {
            assert_eq!(fill(&mut names), (None, false));
        }
        assert!(begin.elapsed() < Duration::from_secs(2), "it waits once");
        drop(locked);
        while fill(&mut names) != (Some("late".to_owned()), true) {
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn a_late_answer_is_not_for_a_process_that_has_the_number_again() {
        let fake = FakeProc::new();
        let open = Arc::new(Mutex::new(()));
        let locked = open.lock().expect("free");
        let mut lines = with_command_lines(&fake, &open).cmdlines;
        let before = clock::boottime();
        assert_eq!(lines.of(7, before), None);
        let after = clock::boottime();
        drop(locked);
        let begin = Instant::now();
        while lines.of(7, before).is_none() {
            assert!(begin.elapsed() < Duration::from_secs(10));
        }
        assert_eq!(lines.of(7, after), None);
        // In the next refresh it is asked for its own.
        lines.forget();
        assert!(lines.of(7, after).is_some());
    }

    #[test]
    fn what_is_not_answered_is_said_once() {
        let fake = FakeProc::new();
        let open = Arc::new(Mutex::new(()));
        let _locked = open.lock().expect("free");
        let mut names = with_command_lines(&fake, &open);
        filled(&mut names, task(7, "sh", 250));
        assert_eq!(names.unanswered(), [], "not yet");
        std::thread::sleep(GIVEN_UP);
        assert_eq!(names.unanswered(), [Unanswered::CommandLine(7)]);
        assert_eq!(names.unanswered(), []);
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
