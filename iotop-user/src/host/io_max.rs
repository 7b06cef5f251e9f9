//! I/O limits of cgroups (`io.max`, Documentation/admin-guide/cgroup-v2.rst).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often to check whether a limit holds tasks back.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// Checks now and then whether a cgroup's limit holds its tasks back.
#[derive(Debug, Default)]
pub struct IoMax {
    /// The result of the last check.
    pub holds_back: bool,
    looked: Option<Instant>,
}

impl IoMax {
    /// Checks these cgroups, if it is time to.
    pub fn look<'a>(&mut self, cgroups: impl IntoIterator<Item = &'a str>) {
        if self
            .looked
            .is_none_or(|looked| looked.elapsed() >= CHECK_EVERY)
        {
            self.looked = Some(Instant::now());
            self.holds_back = holds_back(Path::new("/sys/fs/cgroup"), cgroups);
        }
    }
}

/// At most this many cgroups are checked. Each takes reading two small files.
const MAX_CGROUPS: usize = 64;

/// True if one of these cgroups, or one above it, has a limit and tasks that waited for
/// I/O in the last ten seconds (`io.pressure`). `root` is where cgroup v2 is mounted.
fn holds_back<'a>(root: &Path, cgroups: impl IntoIterator<Item = &'a str>) -> bool {
    let with_parents: BTreeSet<&Path> = cgroups
        .into_iter()
        .flat_map(|cgroup| Path::new(cgroup).ancestors())
        .filter_map(|path| path.strip_prefix("/").ok())
        .filter(|path| path.file_name().is_some())
        .collect();
    let dirs = with_parents.into_iter().map(|path| root.join(path));
    dirs.take(MAX_CGROUPS)
        .any(|dir| has_limit(&dir) && waits(&dir))
}

fn has_limit(dir: &Path) -> bool {
    read(dir, "io.max").is_some_and(|text| !text.trim().is_empty())
}

/// True if tasks wait for I/O. If the kernel has no pressure files, the limit alone decides.
fn waits(dir: &Path) -> bool {
    let Some(text) = read(dir, "io.pressure") else {
        return true;
    };
    let some = text.lines().find(|line| line.starts_with("some "));
    some.is_some_and(|line| !line.contains(" avg10=0.00 "))
}

fn read(dir: &Path, file: &str) -> Option<String> {
    let path: PathBuf = dir.join(file);
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(root: &Path, path: &str, max: &str, some: &str) {
        let dir = root.join(path);
        fs::create_dir_all(&dir).expect("made");
        fs::write(dir.join("io.max"), max).expect("written");
        let pressure = format!("some avg10={some} avg60=0.00 avg300=0.00 total=9\n");
        fs::write(dir.join("io.pressure"), pressure).expect("written");
    }

    #[test]
    fn a_limit_counts_only_while_tasks_wait_for_io() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path();
        cgroup(root, "free", "", "12.00");
        cgroup(root, "idle", "8:0 wbps=1048576\n", "0.00");
        cgroup(root, "busy", "8:0 wbps=1048576\n", "3.10");
        fs::create_dir_all(root.join("busy/child")).expect("made");
        assert!(!holds_back(root, ["/free", "/idle", "/"]));
        assert!(holds_back(root, ["/free", "/busy"]));
        assert!(holds_back(root, ["/busy/child"]), "the parent has a limit");
        assert!(!holds_back(root, ["/not/there"]));
        let many_tasks = ["/free"; 2 * MAX_CGROUPS].into_iter();
        assert!(holds_back(root, many_tasks.chain(["/busy"])));
    }
}
