//! cgroups: the path of a process's cgroup, and the path of a cgroup id.

use std::{
    collections::{HashMap, VecDeque},
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::{Thread, container};

/// The path of a thread's or process's cgroup. `thread` is its directory in /proc.
pub fn of_thread(thread: &Path) -> Option<String> {
    choose(&read(thread)?)
}

/// The same for a thread that has exited, of which only its cgroup of version 2 is known. Its
/// parent is in the same hierarchies, if it is in the same cgroup of version 2: a runtime that
/// knows only version 1 moves a container as a whole.
pub fn like_parent(parent: &Path, own: &str) -> Option<String> {
    let text = read(parent)?;
    let is_same = path_of(&text, "") == Some(own);
    is_same.then(|| choose(&text)).flatten()
}

/// `/proc/PID/cgroup` (cgroups(7)). Names may have any byte but a newline.
fn read(directory: &Path) -> Option<String> {
    let text = fs::read(directory.join("cgroup")).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// The paths of a task in each hierarchy, with its controllers: none for version 2.
fn entries(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        // A zombie may be in a cgroup that was removed.
        Some((controllers, path.strip_suffix(" (deleted)").unwrap_or(path)))
    })
}

fn path_of<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let mut found = entries(text).filter(|(controllers, _)| *controllers == wanted);
    found.next().map(|(_, path)| path)
}

/// On a hybrid system a runtime may know only one of the versions: the path that names a
/// container says most. Else version 2 is preferred, then systemd's hierarchy, then the first
/// one. All processes may be in the root of version 2.
pub(crate) fn choose(text: &str) -> Option<String> {
    let unified = path_of(text, "");
    let systemd = path_of(text, "name=systemd");
    let first = || entries(text).map(|(_, path)| path);
    let mut all = unified.into_iter().chain(systemd).chain(first());
    let path = all
        .find(|path| container::of(path).is_some())
        .or(unified.filter(|path| *path != "/"))
        .or(systemd)
        .or(unified)
        .or_else(|| first().next());
    path.map(str::to_owned)
}

/// Where the version 2 hierarchy is mounted below a sys root: alone, or beside version 1.
fn hierarchy(sys_root: &Path) -> Option<PathBuf> {
    let cgroup = sys_root.join("fs/cgroup");
    let roots = [cgroup.join("unified"), cgroup];
    let is_version_2 = |root: &PathBuf| root.join("cgroup.controllers").exists();
    roots.into_iter().find(is_version_2)
}

/// The cache is emptied once it has this many ids. It grows beyond that only while there
/// are as many cgroups.
const MAX_IDS: usize = 16 * 1024;
/// How many cgroups are remembered that were reported when they were created.
const MAX_MADE: usize = 4 * 1024;
/// The number of the root of a hierarchy (kernfs).
const ROOT: u64 = 1;

/// The paths of cgroup ids. An id is the inode number of the cgroup's directory in the
/// version 2 hierarchy.
#[derive(Debug)]
pub struct Cgroups {
    hierarchy: Option<PathBuf>,
    /// `None` if no cgroup with this id was found.
    paths: HashMap<u64, Option<String>>,
    /// True if the hierarchy was walked in this refresh.
    walked: bool,
    /// The paths of cgroups that were created during the trace, and their ids, the oldest
    /// first. Ids are not reused, and the kernel does not rename these cgroups.
    made: HashMap<u64, String>,
    made_ids: VecDeque<u64>,
}

impl Cgroups {
    /// Uses the version 2 hierarchy below a sys root, alone or beside version 1.
    pub fn new(sys_root: &Path) -> Cgroups {
        Cgroups {
            hierarchy: hierarchy(sys_root),
            paths: HashMap::new(),
            walked: false,
            made: HashMap::new(),
            made_ids: VecDeque::new(),
        }
    }

    /// Adds a cgroup that was just created. It may be removed before the next walk.
    pub fn made(&mut self, id: u64, path: &[u8]) {
        // In a cgroup namespace, all other paths begin at the namespace's root.
        let root = self.hierarchy.as_deref();
        if root.is_some_and(|root| number(root) != Some(ROOT)) {
            return;
        }
        let path = String::from_utf8_lossy(path).into_owned();
        if self.made.insert(id, path).is_none() {
            self.made_ids.push_back(id);
        }
        if self.made_ids.len() > MAX_MADE
            && let Some(oldest) = self.made_ids.pop_front()
        {
            self.made.remove(&oldest);
        }
    }

    /// True if there is no hierarchy of version 1.
    pub fn are_unified(&self) -> bool {
        let root = self.hierarchy.as_ref();
        root.is_some_and(|root| root.ends_with("cgroup"))
    }

    /// An id's path. The hierarchy is walked at most once a refresh.
    pub fn path(&mut self, id: u64) -> Option<&str> {
        if self.made.contains_key(&id) {
            return self.made.get(&id).map(String::as_str);
        }
        if !self.paths.contains_key(&id) && !self.walked {
            self.walked = true;
            // The walk finds all existing cgroups again.
            if self.paths.len() >= MAX_IDS {
                self.paths.clear();
            }
            self.walk();
        }
        self.paths.entry(id).or_insert(None).as_deref()
    }

    /// Starts a new refresh.
    pub fn look_again(&mut self) {
        self.walked = false;
    }

    /// Finds the paths of all cgroups that exist now. One of them may be removed before it is
    /// asked for.
    pub fn walk(&mut self) {
        let Some(root) = self.hierarchy.clone() else {
            return;
        };
        let mut waiting = vec![(root, String::new())];
        while let Some((directory, path)) = waiting.pop() {
            let Some(id) = number(&directory) else {
                continue;
            };
            let shown = if path.is_empty() { "/" } else { &path };
            self.paths.insert(id, Some(shown.to_owned()));
            let Ok(entries) = fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries.flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    let name = entry.file_name();
                    let below = format!("{path}/{}", name.to_string_lossy());
                    waiting.push((entry.path(), below));
                }
            }
        }
    }
}

/// The cgroup ids of threads, read from /proc. Made for one pass over all threads: a cgroup
/// may be removed and made again.
#[derive(Debug)]
pub struct CgroupIds {
    hierarchy: Option<PathBuf>,
    known: HashMap<Vec<u8>, Cgroup>,
    /// The process whose cgroup was read last.
    process: Option<(u32, Cgroup)>,
}

/// A cgroup of version 2.
#[derive(Clone, Copy, Debug, Default)]
struct Cgroup {
    id: Option<u64>,
    /// True if threads of one process may be in different cgroups below it.
    threaded: bool,
}

impl CgroupIds {
    /// Starts a pass.
    pub fn new(sys_root: &Path) -> CgroupIds {
        CgroupIds {
            hierarchy: hierarchy(sys_root),
            known: HashMap::new(),
            process: None,
        }
    }

    /// The id of a thread's cgroup. Fastest if a process's threads follow one another.
    pub fn of(&mut self, thread: Thread, proc_root: &Path) -> Option<u64> {
        self.hierarchy.as_ref()?;
        let process = match self.process {
            Some((pid, cgroup)) if pid == thread.pid => cgroup,
            _ => {
                let cgroup = self.read(&proc_root.join(thread.pid.to_string()));
                self.process = Some((thread.pid, cgroup));
                cgroup
            }
        };
        if process.threaded && thread.tid != thread.pid {
            return self.read(&thread.directory(proc_root)).id;
        }
        process.id
    }

    fn read(&mut self, directory: &Path) -> Cgroup {
        let text = fs::read(directory.join("cgroup")).unwrap_or_default();
        let mut lines = text.split(|byte| *byte == b'\n');
        let path = lines.find_map(|line| line.strip_prefix(b"0::/"));
        let (Some(path), Some(hierarchy)) = (path, &self.hierarchy) else {
            return Cgroup::default();
        };
        if let Some(known) = self.known.get(path) {
            return *known;
        }
        let directory = hierarchy.join(OsStr::from_bytes(path));
        let cgroup = Cgroup {
            id: fs::metadata(&directory).ok().map(|found| found.ino()),
            threaded: is_threaded(&directory),
        };
        self.known.insert(path.to_owned(), cgroup);
        cgroup
    }
}

/// True if a cgroup is `threaded`, or the parent of such ones (`domain threaded`). The root has
/// no type.
fn is_threaded(cgroup: &Path) -> bool {
    let kind = |cgroup: &Path| fs::read(cgroup.join("cgroup.type")).ok();
    match kind(cgroup) {
        Some(kind) => kind.ends_with(b"threaded\n"),
        None => {
            let below = fs::read_dir(cgroup).into_iter().flatten().flatten();
            let mut kinds = below.filter_map(|entry| kind(&entry.path()));
            kinds.any(|kind| kind == b"threaded\n")
        }
    }
}

/// A directory's inode number.
fn number(directory: &Path) -> Option<u64> {
    Some(fs::metadata(directory).ok()?.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_hybrid_system_the_path_that_names_a_container_is_chosen() {
        let id = "ab12".repeat(16);
        let docker = format!("/docker/{id}");
        let chosen = |text: String| choose(&text).expect("chosen");
        // Docker knows only version 1 there.
        let of_service = "0::/system.slice/containerd.service\n";
        assert_eq!(
            chosen(format!(
                "5:memory:{docker}\n1:name=systemd:{docker}\n{of_service}"
            )),
            docker
        );
        assert_eq!(
            chosen(format!("5:memory:{docker}\n1:name=systemd:/\n{of_service}")),
            docker
        );
        assert_eq!(
            chosen(format!(
                "1:name=systemd:/system.slice/x.service\n0::{docker}\n"
            )),
            docker
        );
        assert_eq!(
            chosen(format!("1:name=systemd:/init.scope\n{of_service}")),
            "/system.slice/containerd.service"
        );
    }

    #[test]
    fn a_dead_task_has_the_cgroup_of_a_parent_in_the_same_place() {
        let root = tempfile::tempdir().expect("a directory");
        let docker = format!("/docker/{}", "ab12".repeat(16));
        let text = format!("1:name=systemd:{docker}\n0::/system.slice/containerd.service\n");
        fs::write(root.path().join("cgroup"), text).expect("written");
        let like = |own| like_parent(root.path(), own);
        assert_eq!(like("/system.slice/containerd.service"), Some(docker));
        assert_eq!(like("/system.slice/other.service"), None);
    }

    #[test]
    fn a_name_that_is_not_utf_8_hides_no_other_hierarchy() {
        let root = tempfile::tempdir().expect("a directory");
        let text = b"5:memory:/caf\xe9\n1:name=systemd:/a\n0::/b\xff/c\n";
        fs::write(root.path().join("cgroup"), text).expect("written");
        assert_eq!(of_thread(root.path()).as_deref(), Some("/b\u{fffd}/c"));
    }

    #[test]
    fn each_thread_of_a_threaded_cgroup_has_its_own_id() {
        let root = tempfile::tempdir().expect("a directory");
        let top = root.path().join("fs/cgroup");
        let write = |path: &str, text: &[u8]| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("fs/cgroup/cgroup.controllers", b"");
        write("fs/cgroup/plain/cgroup.type", b"domain\n");
        write("fs/cgroup/db/cgroup.type", b"domain threaded\n");
        write("fs/cgroup/db/io/cgroup.type", b"threaded\n");
        write("7/cgroup", b"0::/db\n");
        write("7/task/8/cgroup", b"0::/db/io\n");
        write("9/cgroup", b"0::/plain\n");
        write("11/cgroup", b"0::/\n");
        write("11/task/12/cgroup", b"0::/loose\n");
        let id = |path: &str| fs::metadata(top.join(path)).expect("there").ino();
        let mut ids = CgroupIds::new(root.path());
        let mut of = |pid, tid| ids.of(Thread { pid, tid }, root.path());
        assert_eq!(of(7, 7), Some(id("db")));
        assert_eq!(of(7, 8), Some(id("db/io")));
        assert_eq!(of(9, 9), Some(id("plain")));
        assert_eq!(of(9, 10), Some(id("plain")), "its process's, not read");
        assert_eq!(of(77, 77), None);
        assert_eq!(of(11, 12), Some(id("")), "the root has no threaded cgroup");
        write("fs/cgroup/loose/cgroup.type", b"threaded\n");
        let mut ids = CgroupIds::new(root.path());
        let in_root = Thread { pid: 11, tid: 12 };
        assert_eq!(ids.of(in_root, root.path()), Some(id("loose")));
    }

    #[test]
    fn a_cgroup_that_was_removed_at_once_has_its_path() {
        let root = tempfile::tempdir().expect("a directory");
        let mut cgroups = Cgroups::new(root.path());
        for id in 1..=2 * MAX_MADE as u64 {
            cgroups.made(id, format!("/system.slice/job-{id}.service").as_bytes());
        }
        let last = cgroups.path(2 * MAX_MADE as u64);
        assert_eq!(last, Some("/system.slice/job-8192.service"));
        assert_eq!(cgroups.path(1), None, "forgotten");
        assert_eq!(cgroups.made.len(), MAX_MADE);
    }

    #[test]
    fn in_a_cgroup_namespace_the_kernels_own_paths_are_not_mixed_with_the_namespaces() {
        let root = tempfile::tempdir().expect("a directory");
        let top = root.path().join("fs/cgroup");
        fs::create_dir_all(&top).expect("made");
        fs::write(top.join("cgroup.controllers"), "").expect("written");
        let mut cgroups = Cgroups::new(root.path());
        cgroups.made(7, b"/kubepods/pod/tracer/job");
        assert_eq!(cgroups.path(7), None);
    }

    #[test]
    fn each_version_has_its_own_rule() {
        let chosen = |text| choose(text).expect("chosen");
        assert_eq!(chosen("0::/user.slice\n"), "/user.slice");
        let hybrid = "5:memory:/m\n1:name=systemd:/system.slice/db.service\n0::/\n";
        assert_eq!(chosen(hybrid), "/system.slice/db.service");
        assert_eq!(chosen("3:cpu,cpuacct:/a:b\n2:memory:/m\n"), "/a:b");
        assert_eq!(chosen("0::/\n"), "/");
        assert_eq!(choose("nonsense"), None);
    }

    #[test]
    fn ids_of_removed_cgroups_are_forgotten() {
        let root = tempfile::tempdir().expect("a directory");
        let top = root.path().join("fs/cgroup");
        fs::create_dir_all(top.join("a")).expect("made");
        fs::write(top.join("cgroup.controllers"), "").expect("written");
        let id = fs::metadata(top.join("a")).expect("there").ino();
        let mut cgroups = Cgroups::new(root.path());
        for gone in 0..2 * MAX_IDS as u64 {
            cgroups.path(u64::MAX - gone);
            if gone % 1000 == 0 {
                cgroups.look_again();
            }
        }
        assert!(
            cgroups.paths.len() < MAX_IDS + 1000,
            "{}",
            cgroups.paths.len()
        );
        cgroups.look_again();
        assert_eq!(cgroups.path(id), Some("/a"));
    }

    #[test]
    fn an_id_has_a_path_and_the_hierarchy_is_walked_once_a_refresh() {
        let root = tempfile::tempdir().expect("a directory");
        let top = root.path().join("fs/cgroup/unified");
        fs::create_dir_all(top.join("a/b")).expect("made");
        fs::write(top.join("cgroup.controllers"), "").expect("written");
        let id = |path: &str| fs::metadata(top.join(path)).expect("there").ino();
        let mut cgroups = Cgroups::new(root.path());
        assert_eq!(cgroups.path(id("a/b")), Some("/a/b"));
        assert_eq!(cgroups.path(id("")), Some("/"));
        fs::create_dir(top.join("new")).expect("made");
        assert_eq!(cgroups.path(id("new")), None);
        fs::create_dir(top.join("later")).expect("made");
        cgroups.look_again();
        assert_eq!(cgroups.path(id("later")), Some("/later"));
    }
}
