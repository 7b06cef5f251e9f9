//! Kernel memory of the eBPF maps that a process holds, by /proc/PID/fdinfo.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// Bytes of each map, by the kernel's number of the map.
pub fn of_process(pid: u32) -> Result<BTreeMap<u64, u64>> {
    let dir = Path::new("/proc").join(pid.to_string()).join("fdinfo");
    let entries =
        std::fs::read_dir(&dir).with_context(|| format!("could not list {}", dir.display()))?;
    // A file that was closed in between is not about a map.
    let files = entries
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    Ok(files.filter_map(|file| parse(&file)).collect())
}

/// A map's number and bytes, if the file is about a map. Programs have a
/// `memlock` as well.
fn parse(file: &str) -> Option<(u64, u64)> {
    let number = |name: &str| {
        let mut lines = file.lines().filter_map(|line| line.split_once(":\t"));
        let (_, value) = lines.find(|(field, _)| *field == name)?;
        value.trim().parse().ok()
    };
    Some((number("map_id")?, number("memlock")?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_maps_count() {
        let map = "pos:\t0\nmap_type:\t1\nmemlock:\t3015904\nmap_id:\t98\nfrozen:\t0\n";
        assert_eq!(super::parse(map), Some((98, 3_015_904)));
        let program = "prog_type:\t26\nmemlock:\t4096\nprog_id:\t133\n";
        assert_eq!(super::parse(program), None);
    }
}
