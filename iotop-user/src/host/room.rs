//! What this process may still use: open files, address space and its cgroups' memory. A need
//! that does not fit is an error before anything is loaded. Later the kernel would kill the
//! process, or rows would be missing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::kernel::clock;

const MIB: u64 = 1 << 20;

/// What a part of the program needs.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// What needs it.
    pub what: &'static str,
    /// Number of open files.
    pub files: u64,
    /// Bytes of address space.
    pub mapped: u64,
    /// Bytes of memory.
    pub memory: u64,
}

impl Need {
    /// What the program needs without the kernel half: at most 15 files, 15 MiB and 3 MiB were
    /// measured.
    pub const PROGRAM: Need = Need {
        what: "the program",
        files: 24,
        mapped: 24 * MIB,
        memory: 6 * MIB,
    };

    /// What the kernel half needs, with a tag table of this size: a descriptor for each map,
    /// program and attachment, and memory for reading the kernel's types and for all maps. At
    /// most 184 files, 56 MiB and, besides the tags, 67 MiB were measured. An audit maps the
    /// tags.
    pub fn kernel_half(tag_bytes: u64) -> Need {
        Need {
            what: "the kernel half",
            files: 240,
            mapped: tag_bytes + 72 * MIB,
            memory: tag_bytes + 76 * MIB,
        }
    }
}

/// A limit leaves too little.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Shortage {
    /// `RLIMIT_NOFILE`.
    #[error(
        "{what} needs {needed} open files, but the limit of {limit} leaves {left}; raise it, for \
         example with `ulimit -n 1024`"
    )]
    Files {
        /// What needs it.
        what: &'static str,
        /// How much.
        needed: u64,
        /// What is left.
        left: u64,
        /// The limit.
        limit: u64,
    },
    /// `RLIMIT_AS`.
    #[error(
        "{what} needs {needed} MiB of address space, but the limit of {limit} MiB leaves {left}; \
         raise it, for example with `ulimit -v unlimited`"
    )]
    AddressSpace {
        /// What needs it.
        what: &'static str,
        /// How much, in MiB.
        needed: u64,
        /// What is left, in MiB.
        left: u64,
        /// The limit, in MiB.
        limit: u64,
    },
    /// The memory limit of our cgroup or of one above.
    #[error(
        "{what} needs {needed} MiB of memory, but {file} leaves {left}; raise that limit (systemd \
         calls it MemoryMax=)"
    )]
    Memory {
        /// What needs it.
        what: &'static str,
        /// How much, in MiB.
        needed: u64,
        /// What is left, in MiB.
        left: u64,
        /// The file with the limit.
        file: String,
    },
}

/// Raises the soft limit of open files to the hard limit. The soft one is low for programs that
/// use select(2), which this one does not.
pub fn raise_file_limit() {
    let (resource, mut limit) = (libc::RLIMIT_NOFILE, get_limit(libc::RLIMIT_NOFILE));
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: setrlimit reads the struct. Without success, the limit stays as it is.
    unsafe { libc::setrlimit(resource, &raw const limit) };
}

/// True if there is a limit of address space.
pub fn is_address_space_limited() -> bool {
    get_limit(libc::RLIMIT_AS).rlim_cur != libc::RLIM_INFINITY
}

/// Checks that the limits leave room for this need.
///
/// # Errors
///
/// The first limit that does not.
pub fn check(need: &Need, proc_root: &Path, sys_root: &Path) -> Result<(), Shortage> {
    let what = need.what;
    let limit = get_limit(libc::RLIMIT_NOFILE).rlim_cur;
    // The listing fails only if no file can be opened.
    let left = match fs::read_dir(proc_root.join("self/fd")) {
        Ok(open) => limit.saturating_sub(open.count() as u64),
        Err(_) => 0,
    };
    if left < need.files {
        return Err(Shortage::Files {
            what,
            needed: need.files,
            left,
            limit,
        });
    }
    let limit = get_limit(libc::RLIMIT_AS).rlim_cur;
    if limit != libc::RLIM_INFINITY {
        let left = limit.saturating_sub(mapped(proc_root).unwrap_or(0));
        if left < need.mapped {
            return Err(Shortage::AddressSpace {
                what,
                needed: need.mapped / MIB,
                left: left / MIB,
                limit: limit / MIB,
            });
        }
    }
    match memory_left(proc_root, sys_root) {
        Some((left, file)) if left < need.memory => Err(Shortage::Memory {
            what,
            needed: need.memory / MIB,
            left: left / MIB,
            file: file.display().to_string(),
        }),
        _ => Ok(()),
    }
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

fn get_limit(resource: Resource) -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: getrlimit fills in the struct it is given. It can't fail for a known resource.
    unsafe { libc::getrlimit(resource, &raw mut limit) };
    limit
}

/// Bytes of this process's address space (`statm`, proc_pid_statm(5)).
fn mapped(proc_root: &Path) -> io::Result<u64> {
    let statm = fs::read_to_string(proc_root.join("self/statm"))?;
    let pages = statm.split(' ').next().and_then(|pages| pages.parse().ok());
    Ok(pages.unwrap_or(0) * clock::page_size())
}

/// What a hierarchy calls the limit, the usage, and in `memory.stat` the page cache and the part
/// of it that can't be dropped.
struct Names {
    limit: &'static str,
    usage: &'static str,
    cache: &'static str,
    shmem: &'static str,
}

const UNIFIED: Names = Names {
    limit: "memory.max",
    usage: "memory.current",
    cache: "file",
    shmem: "shmem",
};
const VERSION_1: Names = Names {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cache: "total_cache",
    shmem: "total_shmem",
};

/// The least memory that the limits of our cgroup and of those above it leave, and the file of
/// that limit. `None`: there is no limit, or it can't be read.
fn memory_left(proc_root: &Path, sys_root: &Path) -> Option<(u64, PathBuf)> {
    let text = fs::read_to_string(proc_root.join("self/cgroup")).ok()?;
    let hierarchies = sys_root.join("fs/cgroup");
    let mut least = None;
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let (root, names) = match controllers {
            "" => (hierarchies.clone(), &UNIFIED),
            "memory" => (hierarchies.join("memory"), &VERSION_1),
            _ => continue,
        };
        // In a cgroup namespace, a cgroup outside of it begins with "/..".
        let own = root.join(path.trim_start_matches('/'));
        let up = own.ancestors().take_while(|one| one.starts_with(&root));
        let left = up.filter_map(|cgroup| left_in(cgroup, names));
        least = least.into_iter().chain(left).min();
    }
    least
}

/// What a cgroup's limit leaves. The kernel drops page cache before a cgroup reaches its limit.
fn left_in(cgroup: &Path, names: &Names) -> Option<(u64, PathBuf)> {
    let number = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(cgroup.join(name)).ok()?;
        text.trim().parse().ok()
    };
    // "max" is no number.
    let limit = number(names.limit)?;
    let used = number(names.usage)?;
    let stat = fs::read_to_string(cgroup.join("memory.stat")).unwrap_or_default();
    let part = |wanted: &str| {
        let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
        let value = lines.find(|(name, _)| *name == wanted);
        value.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    };
    let cache: u64 = u64::saturating_sub(part(names.cache), part(names.shmem));
    let left = limit.saturating_sub(used.saturating_sub(cache));
    Some((left, cgroup.join(names.limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process in a cgroup with these files.
    fn root(membership: &str, cgroup: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(root.path().join("self")).expect("made");
        fs::write(root.path().join("self/cgroup"), membership).expect("written");
        let cgroup = root.path().join("fs/cgroup").join(cgroup);
        fs::create_dir_all(&cgroup).expect("made");
        for (name, text) in files {
            fs::write(cgroup.join(name), text).expect("written");
        }
        root
    }

    fn left(root: &tempfile::TempDir) -> Option<u64> {
        memory_left(root.path(), root.path()).map(|(left, _)| left)
    }

    #[test]
    fn the_limit_of_a_cgroup_above_counts_and_page_cache_is_free() {
        let files = [
            ("memory.max", "1000\n"),
            ("memory.current", "700\n"),
            ("memory.stat", "anon 200\nfile 500\nshmem 100\n"),
        ];
        let limited = root("0::/a.slice/b.service\n", "a.slice", &files);
        assert_eq!(left(&limited), Some(700));
        let other = root("0::/c.slice/b.service\n", "a.slice", &files);
        assert_eq!(left(&other), None);
    }

    #[test]
    fn a_cgroup_of_version_1_and_one_without_a_limit_are_understood() {
        let files = [
            ("memory.limit_in_bytes", "1000\n"),
            ("memory.usage_in_bytes", "900\n"),
            ("memory.stat", "cache 1\ntotal_cache 300\ntotal_shmem 0\n"),
        ];
        let text = "4:memory:/box\n1:cpu:/\n0::/\n";
        assert_eq!(left(&root(text, "memory/box", &files)), Some(400));
        let unlimited = [("memory.max", "max\n"), ("memory.current", "700\n")];
        assert_eq!(left(&root("0::/\n", "", &unlimited)), None);
    }

    #[test]
    fn what_does_not_fit_is_named_with_the_limit() {
        let files = [("memory.max", "31457280\n"), ("memory.current", "0\n")];
        let root = root("0::/box\n", "box", &files);
        fs::create_dir(root.path().join("self/fd")).expect("made");
        let check = |need| check(&need, root.path(), root.path());
        assert_eq!(check(Need::PROGRAM), Ok(()));
        let short = check(Need::kernel_half(32 * MIB)).expect_err("too little");
        let short = short.to_string();
        assert!(
            short.contains("needs 108 MiB") && short.contains("leaves 30"),
            "{short}"
        );
        let many = Need {
            files: u64::MAX,
            ..Need::PROGRAM
        };
        assert!(matches!(check(many), Err(Shortage::Files { .. })));
    }
}
