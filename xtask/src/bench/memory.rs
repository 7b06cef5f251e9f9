//! The memory that a tracer uses while 1 GiB is dirty.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::disk::Disk;
use super::files::{self, MIB};
use super::maps;
use super::subject::Subject;
use super::tracer::Tracer;
use super::workloads::selected;
use super::writeback::Held;

/// Bytes that are dirty.
const DIRTY: u64 = 1024 * MIB;
/// One in this many pages of the sparse file is dirty.
const STRIDE: u64 = 16;
/// After this time the tracer's user half has read everything.
const TWO_INTERVALS: Duration = Duration::from_millis(2200);

/// How the dirty pages lie in their file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    Dense,
    #[serde(rename = "one_page_in_16")]
    OnePageIn16,
}

impl Layout {
    pub fn name(self) -> &'static str {
        match self {
            Layout::Dense => "memory: 1 GiB dirty in sequence",
            Layout::OnePageIn16 => "memory: 1 GiB dirty, one page in 16",
        }
    }
}

/// A tracer's memory beside one file. Figures are bytes.
#[derive(Debug, Serialize)]
pub struct Memory {
    pub tracer: &'static str,
    pub layout: Layout,
    /// How much the whole machine had dirty in that measurement.
    pub dirty: u64,
    pub before: Sizes,
    pub while_dirty: Sizes,
    /// Measured after the file was deleted.
    pub after: Sizes,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sizes {
    /// All maps of the kernel half.
    pub maps: u64,
    /// The largest of them: the tags, if they are in one table.
    pub largest_map: u64,
    /// RSS of the user half, including the pages of maps that it has mapped.
    pub rss: u64,
    /// The part of `rss` that is its own heap and stacks.
    pub rss_anonymous: u64,
}

/// Measures every layout that `only` selects beside every subject.
pub fn measure(disk: &Disk, subjects: &[Subject], only: Option<&str>) -> Result<Vec<Memory>> {
    let mut all = Vec::new();
    for layout in [Layout::Dense, Layout::OnePageIn16] {
        if !selected(layout.name(), only) {
            continue;
        }
        disk.clear()?;
        for subject in subjects {
            eprintln!("{}, {}", layout.name(), subject.name);
            all.push(beside(disk, subject, layout)?);
        }
    }
    Ok(all)
}

fn beside(disk: &Disk, subject: &Subject, layout: Layout) -> Result<Memory> {
    let path = disk.file("dirty");
    let tracer = Tracer::start(subject)?;
    sleep(TWO_INTERVALS);
    let before = Sizes::of(tracer.pid())?;
    let held = Held::start()?;
    match layout {
        Layout::Dense => files::fill(&path, DIRTY, MIB)?,
        Layout::OnePageIn16 => files::fill_sparsely(&path, DIRTY, STRIDE)?,
    }
    sleep(TWO_INTERVALS);
    let while_dirty = Sizes::of(tracer.pid())?;
    let dirty = kibibytes("/proc/meminfo", "Dirty")?;
    // Deleted before it is written: it takes no room on the disk.
    fs::remove_file(&path).with_context(|| format!("could not remove {}", path.display()))?;
    drop(held);
    sleep(TWO_INTERVALS);
    let after = Sizes::of(tracer.pid())?;
    Ok(Memory {
        tracer: subject.name,
        layout,
        dirty,
        before,
        while_dirty,
        after,
    })
}

impl Sizes {
    fn of(pid: u32) -> Result<Sizes> {
        let maps = maps::of_process(pid)?;
        let status = format!("/proc/{pid}/status");
        Ok(Sizes {
            maps: maps.values().sum(),
            largest_map: maps.values().copied().max().unwrap_or_default(),
            rss: kibibytes(&status, "VmRSS")?,
            rss_anonymous: kibibytes(&status, "RssAnon")?,
        })
    }
}

/// A field in kB of a file in /proc, in bytes.
pub fn kibibytes(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read {path}"))?;
    parse(&text, name).with_context(|| format!("{path} has no {name}"))
}

fn parse(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(field, _)| *field == name)?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn kilobytes_are_1024_bytes() {
        let text = "DirtyX: 9 kB\nDirty:        36 kB\nHugePages_Total: 1\n";
        assert_eq!(super::parse(text, "Dirty"), Some(36 * 1024));
        assert_eq!(super::parse(text, "HugePages_Total"), None);
        assert_eq!(super::parse(text, "Writeback"), None);
    }
}
