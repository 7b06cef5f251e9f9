//! The guest's file system: the test binary as init, the program, the
//! programs that the tests run with their libraries, and the kernel's modules.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::build::Built;
use super::cpio::Archive;
use super::modules::Module;
use super::plan::{self, Plan};
use crate::process;

/// The programs that the tests run.
const PROGRAMS: [&str; 14] = [
    "sh",
    "rm",
    "dd",
    "mkdir",
    "sleep",
    "mount",
    "umount",
    "losetup",
    "addpart",
    "mkfs.ext4",
    "mkfs.xfs",
    "mkfs.btrfs",
    "dmsetup",
    "bindfs",
];

/// Where they lie in the guest.
pub const BIN: &str = "/usr/bin";

/// The test binary in the guest.
pub const INIT: &str = "/init";

/// Files that programs read. Without Debian's mke2fs.conf, mkfs.ext4 would make another
/// file system than on the host.
const COPIED: [&str; 1] = ["/etc/mke2fs.conf"];
const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n";

/// What is the same for every kernel.
pub struct Common {
    files: Vec<(PathBuf, Vec<u8>)>,
    dirs: Vec<PathBuf>,
}

pub fn common(built: &Built) -> Result<Common> {
    let mut files = vec![
        (PathBuf::from("/etc/passwd"), PASSWD.to_vec()),
        (PathBuf::from(INIT), read(&built.test)?),
        (built.program.clone(), read(&built.program)?),
    ];
    let mut from = vec![built.test.clone(), built.program.clone()];
    for name in PROGRAMS {
        let program = super::program(name)?;
        files.push((Path::new(BIN).join(name), read(&program)?));
        from.push(program);
    }
    for library in libraries(&from)? {
        let content = read(&library)?;
        files.push((library, content));
    }
    for text in COPIED.map(PathBuf::from) {
        if let Ok(content) = fs::read(&text) {
            files.push((text, content));
        }
    }
    let sh = read(&super::program("sh")?)?;
    files.push((PathBuf::from("/bin/sh"), sh));
    Ok(Common {
        files,
        dirs: vec![PathBuf::from("/root"), built.kept.clone()],
    })
}

/// The archive of one kernel.
pub fn of(common: &Common, modules: &[Module], plan: &Plan) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for dir in &common.dirs {
        archive.dir(dir);
    }
    for (path, content) in &common.files {
        archive.file(path, content);
    }
    for module in modules {
        archive.file(Path::new(&module_path(module)), &module.content);
    }
    let plan = serde_json::to_vec_pretty(plan)?;
    archive.file(Path::new(plan::FILE), &plan);
    Ok(archive.finish())
}

/// Where a module lies in the guest.
pub fn module_path(module: &Module) -> String {
    format!("/modules/{}", module.name)
}

/// All shared libraries that these programs need, with their loader, at the paths where
/// they look for them.
fn libraries(programs: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let list = process::output(Command::new("ldd").args(programs))?;
    let words = list.lines().filter_map(|line| {
        let line = line.trim_end().strip_prefix('\t')?;
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = path.split(" (").next()?;
        path.starts_with('/').then(|| PathBuf::from(path))
    });
    Ok(words.collect())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
