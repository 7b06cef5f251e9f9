//! cgroups: a process's path, and the path of an id.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A process's cgroup, from its directory in /proc: version 2 where the process
/// has one, else systemd's hierarchy, else the first (cgroups(7)).
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
    // On a hybrid system everything may sit in the unified root.
    let path = match path_of("") {
        Some("/") | None => path_of("name=systemd")
            .or_else(|| path_of(""))
            .or_else(first),
        unified => unified,
    };
    path.map(str::to_owned)
}

/// How many ids are remembered; more are there only while there are so many cgroups.
const MOST: usize = 16 * 1024;

/// The paths of cgroup ids: an id is the inode number of the directory in the
/// version 2 hierarchy.
#[derive(Debug)]
pub struct Cgroups {
    roots: [PathBuf; 2],
    /// `None`: looked for in vain.
    paths: HashMap<u64, Option<String>>,
    walked: bool,
}

impl Cgroups {
    /// Below a sys root: the version 2 hierarchy, alone or beside version 1.
    pub fn new(sys_root: &Path) -> Cgroups {
        let cgroup = sys_root.join("fs/cgroup");
        Cgroups {
            roots: [cgroup.join("unified"), cgroup],
            paths: HashMap::new(),
            walked: false,
        }
    }

    /// An id's path; the hierarchy is walked once a refresh at most.
    pub fn path(&mut self, id: u64) -> Option<String> {
        if !self.paths.contains_key(&id) && !self.walked {
            self.walked = true;
            // The walk finds anew those that there are.
            if self.paths.len() >= MOST {
                self.paths.clear();
            }
            self.walk();
        }
        self.paths.entry(id).or_insert(None).clone()
    }

    /// A new refresh begins.
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
    fn ids_that_are_gone_are_not_remembered_for_ever() {
        let root = tempfile::tempdir().expect("a directory");
        let top = root.path().join("fs/cgroup");
        fs::create_dir_all(top.join("a")).expect("made");
        fs::write(top.join("cgroup.controllers"), "").expect("written");
        let id = fs::metadata(top.join("a")).expect("there").ino();
        let mut cgroups = Cgroups::new(root.path());
        for gone in 0..2 * MOST as u64 {
            cgroups.path(u64::MAX - gone);
            if gone % 1000 == 0 {
                cgroups.look_again();
            }
        }
        assert!(cgroups.paths.len() < MOST + 1000, "{}", cgroups.paths.len());
        cgroups.look_again();
        assert_eq!(cgroups.path(id).as_deref(), Some("/a"));
    }

    #[test]
    fn an_id_leads_to_its_path_and_is_looked_for_once_a_refresh() {
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
