//! cgroups: the path of a process's cgroup, and the path of a cgroup id.

use std::{
    collections::HashMap,
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

/// The paths of cgroup ids. An id is the inode number of the cgroup's directory in the
/// version 2 hierarchy.
#[derive(Debug)]
pub struct Cgroups {
    roots: [PathBuf; 2],
    /// `None` if no cgroup with this id was found.
    paths: HashMap<u64, Option<String>>,
    /// True if the hierarchy was walked in this refresh.
    walked: bool,
}

impl Cgroups {
    /// Uses the version 2 hierarchy below a sys root, alone or beside version 1.
    pub fn new(sys_root: &Path) -> Cgroups {
        let cgroup = sys_root.join("fs/cgroup");
        Cgroups {
            roots: [cgroup.join("unified"), cgroup],
            paths: HashMap::new(),
            walked: false,
        }
    }

    /// An id's path. The hierarchy is walked at most once a refresh.
    pub fn path(&mut self, id: u64) -> Option<String> {
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

    fn walk(&mut self) {
        let is_version_2 = |root: &&PathBuf| root.join("cgroup.controllers").exists();
        let Some(root) = self.roots.iter().find(is_version_2).cloned() else {
            return;
        };
        let mut waiting = vec![(root, String::new())];
        while let Some((directory, path)) = waiting.pop() {
            let Ok(metadata) = fs::metadata(&directory) else {
                continue;
            };
            let shown = if path.is_empty() { "/" } else { &path };
            self.paths.insert(metadata.ino(), Some(shown.to_owned()));
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

#[cfg(test)]
mod tests {
    use super::*;

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
