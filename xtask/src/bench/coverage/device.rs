//! What a block device did, by the kernel's own counters.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process;

const SECTOR: u64 = 512;
const TRACEFS: &str = "/sys/kernel/tracing";

/// Bytes of completed requests, of /sys/block/DEV/stat (Documentation/block/stat.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Writes and WRITE_ZEROES.
    pub written: u64,
    pub discarded: u64,
}

impl Stat {
    pub fn of(device: &str) -> Result<Stat> {
        let path = format!("/sys/block/{device}/stat");
        let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
        Stat::parse(&text).with_context(|| format!("{path} is {text:?}"))
    }

    fn parse(text: &str) -> Option<Stat> {
        let fields: Vec<u64> = text
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        Some(Stat {
            written: fields.get(6)? * SECTOR,
            discarded: fields.get(13)? * SECTOR,
        })
    }
}

/// Counts a device's WRITE_ZEROES requests, which `stat` counts among the writes although
/// they carry no data. Dropping it ends the counting.
pub struct Zeroes {
    instance: PathBuf,
}

impl Zeroes {
    pub fn watch(device: &str) -> Result<Zeroes> {
        let tracefs = Path::new(TRACEFS);
        if !tracefs.join("instances").is_dir() {
            process::output(Command::new("mount").args(["-t", "tracefs", "tracefs", TRACEFS]))?;
        }
        let name = format!("instances/iotop-trace-bench-{}", std::process::id());
        let instance = tracefs.join(name);
        fs::create_dir(&instance)
            .with_context(|| format!("could not create {}", instance.display()))?;
        let zeroes = Zeroes { instance };
        let numbers = fs::read_to_string(format!("/sys/block/{device}/dev"))?;
        let numbers = numbers.trim().split_once(':').context("no device number")?;
        let (major, minor): (u32, u32) = (numbers.0.parse()?, numbers.1.parse()?);
        // blk_fill_rwbs has N for whatever is neither read, written, discarded nor flushed.
        let filter = format!("dev == {} && rwbs ~ \"N*\"", major << 20 | minor);
        let event = zeroes.instance.join("events/block/block_rq_complete");
        fs::write(event.join("filter"), filter)
            .and_then(|()| fs::write(event.join("enable"), "1"))
            .with_context(|| format!("could not watch {}", event.display()))?;
        Ok(zeroes)
    }

    /// Bytes so far.
    pub fn bytes(&self) -> Result<u64> {
        let trace = fs::read_to_string(self.instance.join("trace"))?;
        let sectors = sectors(&trace)?;
        Ok(sectors * SECTOR)
    }
}

impl Drop for Zeroes {
    fn drop(&mut self) {
        // The kernel removes what is in it.
        if let Err(error) = fs::remove_dir(&self.instance) {
            eprintln!("warning: {}: {error}", self.instance.display());
        }
    }
}

/// The sum over lines such as
/// `dd-9 [000] ..... 1.5: block_rq_complete: 7,0 N () 2048 + 8 none,0,0 [0]`.
fn sectors(trace: &str) -> Result<u64> {
    let kept = trace.lines().find_map(|line| {
        let (_, counts) = line.split_once("entries-in-buffer/entries-written: ")?;
        counts.split_whitespace().next()?.split_once('/')
    });
    let (kept, written) = kept.context("the trace has no head")?;
    ensure!(
        kept == written,
        "only {kept} of {written} requests were kept"
    );
    let mut sum = 0;
    for line in trace.lines().filter(|line| !line.starts_with('#')) {
        let count = line
            .split_once(" + ")
            .and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<u64>().ok());
        sum += count.with_context(|| format!("not a request: {line}"))?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_discards_are_the_seventh_and_the_fourteenth_field() {
        let text = "  1 0 8 1 2 0 16 5 0 9 9 3 0 64 1 0 0\n";
        let expected = Stat {
            written: 16 * 512,
            discarded: 64 * 512,
        };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("1 2 3"), None);
    }

    #[test]
    fn sectors_of_requests_are_added_up() {
        let head = |counts| format!("# entries-in-buffer/entries-written: {counts}   #P:2\n#\n");
        let lines = "  dd-9  [000] .....  1.5: block_rq_complete: 7,0 N () 2048 + 8 none,0,0 [0]\n  \
                     dd-9  [001] .....  1.6: block_rq_complete: 7,0 N () 4096 + 16 none,0,0 [0]\n";
        assert_eq!(sectors(&head("0/0")).ok(), Some(0));
        assert_eq!(sectors(&(head("2/2") + lines)).ok(), Some(24));
        assert!(sectors(&(head("2/3") + lines)).is_err());
        assert!(sectors(&(head("1/1") + "something else\n")).is_err());
        assert!(sectors("").is_err());
    }
}
