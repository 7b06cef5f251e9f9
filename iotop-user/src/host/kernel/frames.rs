//! How many page frames there are, and how large the tag table must therefore be.

use std::{fs, io, path::Path};

/// Bytes of one tag.
pub const TAG_BYTES: u64 = 4;

/// A tag table up to this size is never refused.
const SMALL_TABLE: u64 = 64 << 20;

/// The tag table that this machine needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    /// How many tags the table has, a power of two.
    pub tags: u32,
    /// Pages of memory that are present.
    pub present: u64,
}

/// Why there is no tag table.
#[derive(Debug, thiserror::Error)]
pub enum FramesError {
    /// The file can't be read.
    #[error("{path} can't be read: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The file names no zone with memory.
    #[error("{0} names no zone with memory, so the size of the page tags is not known")]
    NoZones(String),
    /// Physical addresses are spread too widely.
    #[error(
        "page tags would take {needed} MiB for {present} MiB of memory, because physical \
         addresses are spread widely; run with --no-ebpf"
    )]
    Unreasonable {
        /// MiB of the table.
        needed: u64,
        /// MiB of memory.
        present: u64,
    },
}

impl Frames {
    /// Reads `zoneinfo` below a proc root.
    ///
    /// # Errors
    ///
    /// The file can't be read, or the table would be unreasonably large.
    pub fn read(proc_root: &Path, page_size: u64) -> Result<Frames, FramesError> {
        let path = proc_root.join("zoneinfo");
        let text = fs::read_to_string(&path).map_err(|source| FramesError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Frames::parse(&text, &path, page_size)
    }

    pub(crate) fn parse(text: &str, path: &Path, page_size: u64) -> Result<Frames, FramesError> {
        let zones = zones(text);
        let (Some(start), Some(end)) = (
            zones.iter().map(|zone| zone.start).min(),
            zones.iter().map(Zone::end).max(),
        ) else {
            return Err(FramesError::NoZones(path.display().to_string()));
        };
        let present = zones.iter().map(|zone| zone.present);
        let present = present.fold(0, u64::saturating_add);
        // A page's tag is at its frame number modulo the number of tags, so one tag for
        // each frame from the first to the last is enough.
        let tags = (end - start).checked_next_power_of_two();
        let tags = tags.unwrap_or(u64::MAX).max(1024);
        let needed = tags.saturating_mul(TAG_BYTES);
        let memory = u64::saturating_mul(present, page_size);
        match u32::try_from(tags) {
            Ok(tags) if needed <= SMALL_TABLE.max(memory / 64) => Ok(Frames { tags, present }),
            _ => Err(FramesError::Unreasonable {
                needed: needed >> 20,
                present: memory >> 20,
            }),
        }
    }

    /// Bytes of the tag table.
    pub fn table_bytes(&self) -> u64 {
        u64::from(self.tags) * TAG_BYTES
    }
}

#[derive(Default)]
struct Zone {
    start: u64,
    spanned: u64,
    present: u64,
}

impl Zone {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.spanned)
    }
}

/// The zones that span any memory (`zoneinfo_show_print` of mm/vmstat.c).
fn zones(text: &str) -> Vec<Zone> {
    let mut zones: Vec<Zone> = Vec::new();
    for line in text.lines() {
        if line.starts_with("Node ") {
            zones.push(Zone::default());
        }
        let mut words = line.split_whitespace();
        let (Some(zone), Some(name)) = (zones.last_mut(), words.next()) else {
            continue;
        };
        let field = match name {
            "spanned" => &mut zone.spanned,
            "present" => &mut zone.present,
            "start_pfn:" => &mut zone.start,
            _ => continue,
        };
        if let Some(number) = words.next().and_then(|word| word.parse().ok()) {
            *field = number;
        }
    }
    zones.retain(|zone| zone.spanned != 0);
    zones
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Frames, FramesError> {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("zoneinfo"), text).expect("written");
        Frames::read(root.path(), 4096)
    }

    fn zone(start: u64, spanned: u64, present: u64) -> String {
        format!(
            "Node 0, zone   Normal\n  pages free     1\n        spanned  {spanned}\n        \
             present  {present}\n        managed  {present}\n  start_pfn:           {start}\n"
        )
    }

    #[test]
    fn the_table_spans_the_hole_below_4_gib_and_leaves_out_empty_zones() {
        let text = zone(1, 4095, 3998)
            + &zone(4096, 1_044_480, 782_336)
            + &zone(1_048_576, 5_505_024, 5_505_024)
            + &zone(0, 0, 0);
        let frames = read(&text).expect("reasonable");
        assert_eq!(frames.tags, 1 << 23);
        assert_eq!(frames.table_bytes(), 32 << 20);
    }

    #[test]
    fn widely_spread_memory_is_refused_with_advice() {
        let text = zone(0, 262_144, 262_144) + &zone(1 << 30, 262_144, 262_144);
        let error = read(&text).expect_err("4 GiB of tags for 2 GiB");
        assert!(error.to_string().contains("--no-ebpf"), "{error}");
    }

    #[test]
    fn junk_is_an_error() {
        assert!(matches!(
            read("Node\nspanned x\n"),
            Err(FramesError::NoZones(_))
        ));
    }
}
