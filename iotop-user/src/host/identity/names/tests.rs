//! The names of tasks, read from a made-up /proc.

use std::{fs, sync::Mutex, time::Instant};

use jiff::Timestamp;

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
        let line = format!("{tid} ({comm}) S 1 7 7 0 -1 64 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0");
        self.write(&format!("7/task/{tid}/stat"), &line);
    }

    fn names(&self) -> Names {
        let mut names = Names::new(self.0.path(), self.0.path(), Users::default());
        names.starts = StartTimes::since(Timestamp::from_second(1000).ok());
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
