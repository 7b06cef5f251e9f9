//! The kernel's own counters, read by the harness: the truth that the tracer is
//! compared with.

use std::fs;

use anyhow::{Context, Result};

/// Machine-wide bytes of /proc/vmstat.
#[derive(Clone, Copy, Debug)]
pub struct Vmstat {
    /// `pgpgin`.
    pub read: u64,
    /// `pgpgout`.
    pub written: u64,
}

impl Vmstat {
    pub fn now() -> Result<Vmstat> {
        Vmstat::parse(&fs::read_to_string("/proc/vmstat")?)
    }

    /// `pgpgin` and `pgpgout` are in KiB.
    pub fn parse(text: &str) -> Result<Vmstat> {
        let bytes = |name: &str| -> Result<u64> {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .with_context(|| format!("no {name} in /proc/vmstat"))?;
            Ok(value.parse::<u64>()? * 1024)
        };
        Ok(Vmstat {
            read: bytes("pgpgin")?,
            written: bytes("pgpgout")?,
        })
    }

    pub fn since(self, before: Vmstat) -> Vmstat {
        Vmstat {
            read: self.read - before.read,
            written: self.written - before.written,
        }
    }
}

/// Bytes of completed requests of one block device.
#[derive(Clone, Copy, Debug)]
pub struct DeviceStat {
    pub read: u64,
    pub written: u64,
}

impl DeviceStat {
    pub fn of(device: &str) -> Result<DeviceStat> {
        DeviceStat::parse(&fs::read_to_string(format!(
            "/sys/class/block/{device}/stat"
        ))?)
    }

    /// Fields 3 and 7 of Documentation/block/stat.rst, in sectors of 512 bytes.
    pub fn parse(text: &str) -> Result<DeviceStat> {
        let bytes = |field: usize| -> Result<u64> {
            let value = text.split_whitespace().nth(field - 1);
            Ok(value.context("a short stat line")?.parse::<u64>()? * 512)
        };
        Ok(DeviceStat {
            read: bytes(3)?,
            written: bytes(7)?,
        })
    }

    /// The bytes of both devices.
    pub fn and(self, other: DeviceStat) -> DeviceStat {
        DeviceStat {
            read: self.read + other.read,
            written: self.written + other.written,
        }
    }

    pub fn since(self, before: DeviceStat) -> DeviceStat {
        DeviceStat {
            read: self.read - before.read,
            written: self.written - before.written,
        }
    }
}
