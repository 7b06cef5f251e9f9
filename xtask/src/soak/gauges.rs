//! What a running iotop-trace holds, read from outside.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aya::maps::{Array, HashMap, Map, MapData, MapInfo};
use iotop_common::Tag;
use iotop_common::tag::{TAGS_PER_CHUNK, TagChunk};

use crate::bench::maps;
use crate::bench::memory::kibibytes;

/// How much of everything it holds at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Bytes of its heap and stacks. The rest of its RSS is the program's file, and maps that
    /// are mapped only for an audit.
    pub heap: u64,
    /// Bytes of the eBPF maps.
    pub maps: u64,
    pub descriptors: u64,
    pub threads: u64,
    /// Owner slots that a task has.
    pub slots: u64,
    /// Pages that are tagged as dirty.
    pub tags: u64,
}

/// Reads the gauges of one process.
pub struct Process {
    dir: PathBuf,
    pid: u32,
    slot_of: HashMap<MapData, u32, u32>,
    tags: Array<MapData, TagChunk>,
}

impl Process {
    /// A process that has loaded the kernel half.
    pub fn new(pid: u32) -> Result<Process> {
        Ok(Process {
            dir: Path::new("/proc").join(pid.to_string()),
            pid,
            slot_of: HashMap::try_from(Map::HashMap(map(pid, "SLOT_OF")?))?,
            tags: Array::try_from(Map::Array(map(pid, "TAGS")?))?,
        })
    }

    pub fn gauges(&self) -> Result<Gauges> {
        let status = self.dir.join("status");
        let entries = |name: &str| -> Result<u64> {
            let dir = self.dir.join(name);
            let entries = fs::read_dir(&dir).with_context(|| dir.display().to_string())?;
            Ok(entries.count() as u64)
        };
        Ok(Gauges {
            heap: kibibytes(&status.to_string_lossy(), "RssAnon")?,
            maps: maps::of_process(self.pid)?.values().sum(),
            descriptors: entries("fd")?,
            threads: entries("task")?,
            slots: self.slot_of.keys().filter(Result::is_ok).count() as u64,
            tags: self.live_tags()?,
        })
    }

    fn live_tags(&self) -> Result<u64> {
        let mut live = 0;
        for chunk in 0..self.tags.len() {
            let chunk = self.tags.get(&chunk, 0)?;
            // Most chunks have no tag, and this is quick.
            if chunk == [0; TAGS_PER_CHUNK as usize] {
                continue;
            }
            live += chunk.iter().filter(|tag| Tag(**tag).is_live()).count() as u64;
        }
        Ok(live)
    }
}

/// The map of this name that a process holds.
fn map(pid: u32, name: &str) -> Result<MapData> {
    for id in maps::of_process(pid)?.into_keys() {
        let id = u32::try_from(id)?;
        if MapInfo::from_id(id)?.name_as_str() == Some(name) {
            return Ok(MapData::from_id(id)?);
        }
    }
    anyhow::bail!("iotop-trace has no map {name}: is the kernel half loaded?")
}
