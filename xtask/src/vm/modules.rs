//! Which modules the guest loads, in which order, unpacked.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The modules that the cases need, unless the kernel has them built in.
const WANTED: [&str; 10] = [
    "loop", "xfs", "btrfs", "dm_crypt", "ecb", "xts", "dm_raid", "raid1", "fuse", "overlay",
];

/// A module's file name in the guest, and what is in it.
pub struct Module {
    pub name: String,
    pub content: Vec<u8>,
}

/// All of them, each after those that it needs.
pub fn wanted(dir: &Path) -> Result<Vec<Module>> {
    let list = dir.join("modules.dep");
    let list = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let mut modules = Vec::new();
    for path in in_order(&list, &WANTED) {
        let file = dir.join(path);
        let content = match file.extension().and_then(|ending| ending.to_str()) {
            Some("ko") => fs::read(&file)?,
            Some("xz") => unpacked("xz", &file)?,
            Some("zst") => unpacked("zstd", &file)?,
            other => bail!(
                "{}: {other:?} is not a known format of modules",
                file.display()
            ),
        };
        modules.push(Module {
            name: format!("{}.ko", name_of(path)),
            content,
        });
    }
    Ok(modules)
}

/// The files of `modules.dep` to load, without those that are built in.
fn in_order<'a>(list: &'a str, wanted: &[&str]) -> Vec<&'a str> {
    let mut paths: Vec<&str> = Vec::new();
    for name in wanted {
        let lines = list.lines().filter_map(|line| line.split_once(':'));
        let Some((path, needs)) = lines.into_iter().find(|(path, _)| name_of(path) == *name) else {
            continue;
        };
        // The list has the deepest dependency last.
        for path in needs.split_whitespace().rev().chain([path]) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = file.split_once(".ko").map_or(file, |(name, _)| name);
    name.replace('-', "_")
}

/// A file's content by a program such as xz.
pub fn unpacked(program: &str, file: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    let out = command.arg("-dc").arg(file).output();
    let out = out.with_context(|| format!("cannot start {program}: run `cargo xtask setup`"))?;
    if !out.status.success() {
        bail!("{program} cannot unpack {}", file.display());
    }
    Ok(out.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_comes_once_and_after_what_it_needs() {
        let list = "kernel/fs/xfs/xfs.ko.xz: kernel/lib/libcrc32c.ko.xz\n\
            kernel/lib/libcrc32c.ko.xz:\n\
            kernel/fs/btrfs/btrfs.ko: kernel/crypto/xor.ko kernel/lib/libcrc32c.ko.xz\n\
            kernel/drivers/md/dm-mod.ko:\n";
        assert_eq!(
            in_order(list, &["xfs", "btrfs", "loop", "dm_mod"]),
            [
                "kernel/lib/libcrc32c.ko.xz",
                "kernel/fs/xfs/xfs.ko.xz",
                "kernel/crypto/xor.ko",
                "kernel/fs/btrfs/btrfs.ko",
                "kernel/drivers/md/dm-mod.ko",
            ]
        );
    }
}
