//! cgroups: the path of a process's cgroup, and the path of a cgroup id.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The path of a process's cgroup. `process` is its directory in /proc. A cgroup of version
/// 2 is preferred, then systemd's hierarchy, then the first one (cgroups(7)).
pub fn of_process(process: &Path) -> Option<String> {
    choose(&fs::read_to_string(process.join("cgroup")).ok()?)
}

fn choose(text: &str) -> Option<String> {
    let entries = || {
        text.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((parts.next()?, parts.next()?))
        })
    };
    let path_of = |wanted: &str| {
        let mut found = entries().filter(|(controllers, _)| *controllers == wanted);
        found.next().map(|(_, path)| path)
    };
    let first = || entries().next().map(|(_, path)| path);
    // On a hybrid system, all processes may be in the root of the unified hierarchy.
    let path = match path_of("") {
        Some("/") | None => path_of("name=systemd")
            .or_else(|| path_of(""))
            .or_else(first),
        unified => unified,
    };
    path.map(str::to_owned)
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
    roots: [PathBuf; 2],
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
        let cgroup = sys_root.join("fs/cgroup");
        Cgroups {
            roots: [cgroup.join("unified"), cgroup],
            paths: HashMap::new(),
            walked: false,
            made: HashMap::new(),
            made_ids: VecDeque::new(),
        }
    }

    /// Adds a cgroup that was just created. It may be removed before the next walk.
    pub fn made(&mut self, id: u64, path: &[u8]) {
        // In a cgroup namespace, all other paths begin at the namespace's root.
        if self.root().is_some_and(|root| number(root) != Some(ROOT)) {
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

    /// An id's path. The hierarchy is walked at most once a refresh.
    pub fn path(&mut self, id: u64) -> Option<String> {
        if let Some(path) = self.made.get(&id) {
            return Some(path.clone());
        }
        if !self.paths.contains_key(&id) && !self.walked {
            self.walked = true;
            // The walk finds all existing cgroups again.
            if self.paths.len() >= MAX_IDS {
                self.paths.clear();
            }
            self.walk();
        }
        self.paths.entry(id).or_insert(None).clone()
    }

    /// Starts a new refresh.
    pub fn look_again(&mut self) {
        self.walked = false;
    }

    /// The root of the version 2 hierarchy, where it is mounted.
    fn root(&self) -> Option<&Path> {
        let is_version_2 = |root: &&PathBuf| root.join("cgroup.controllers").exists();
        Some(self.roots.iter().find(is_version_2)?)
    }

    /// Finds the paths of all cgroups that exist now. One of them may be removed before it is
    /// asked for.
    pub fn walk(&mut self) {
        let Some(root) = self.root().map(Path::to_owned) else {
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

/// A directory's inode number.
fn number(directory: &Path) -> Option<u64> {
    Some(fs::metadata(directory).ok()?.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_that_was_removed_at_once_has_its_path() {
        let root = tempfile::tempdir().expect("a directory");
        let mut cgroups = Cgroups::new(root.path());
        for id in 1..=2 * MAX_MADE as u64 {
            cgroups.made(id, format!("/system.slice/job-{id}.service").as_bytes());
        }
        let last = cgroups.path(2 * MAX_MADE as u64);
        assert_eq!(last.as_deref(), Some("/system.slice/job-8192.service"));
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
        assert_eq!(cgroups.path(id).as_deref(), Some("/a"));
    }

    #[test]
    fn an_id_has_a_path_and_the_hierarchy_is_walked_once_a_refresh() {
        let root = tempfile::tempdir().expect("a directory");
        let top = root.path().join("fs/cgroup/unified");
        fs::create_dir_all(top.join("a/b")).expect("made");
        fs::write(top.join("cgroup.controllers"), "").expect("written");
        let id = |path: &str| fs::metadata(top.join(path)).expect("there").ino();
        let mut cgroups = Cgroups::new(root.path());
        assert_eq!(cgroups.path(id("a/b")).as_deref(), Some("/a/b"));
        assert_eq!(cgroups.path(id("")).as_deref(), Some("/"));
        fs::create_dir(top.join("new")).expect("made");
        assert_eq!(cgroups.path(id("new")), None);
        fs::create_dir(top.join("later")).expect("made");
        cgroups.look_again();
        assert_eq!(cgroups.path(id("later")).as_deref(), Some("/later"));
    }
}
