//! A day's totals as lines of NDJSON, and back.

use std::{
    collections::HashMap,
    io::{self, Read as _},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Between, Kind, Ledger, Row, RowKey};
use crate::{
    output::{
        Line,
        ndjson::{ByName, Shared, VERSION},
        write_line,
    },
    record::parts::{Block, Numbers, Time, lost},
    sample::{BlockTotals, Loss, Metadata, Reason, rfc3339},
};

/// Totals are written once and kept for long: a high level is worth its CPU time.
const LEVEL: i32 = 15;
/// No file of totals is longer.
pub(super) const LONGEST: u64 = 8 << 20;
/// No totals have longer lines, all together.
const LONGEST_CONTENT: u64 = 32 << 20;
/// 16 PiB, or six months in nanoseconds: more than a day has. The sums of all days that are added
/// up stay below what a number can hold.
const MOST: u64 = 1 << 54;

/// Why a file has no totals that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BadLedger {
    /// It can't be read, or it is torn or damaged.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// A line is not one of a day's totals.
    #[error("not a line of daily totals: {0}")]
    NotALine(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error("version {0} of the lines; this program reads up to version {VERSION}")]
    Newer(u32),
    /// It contradicts itself or its name.
    #[error("{0}")]
    Wrong(&'static str),
}

#[derive(Deserialize)]
struct Header {
    v: u32,
    r#type: String,
    kind: String,
    interval_s: f64,
    time: Time,
}

#[derive(Serialize)]
struct TotalLine<'a> {
    date: String,
    kind: &'static str,
    through_file: u32,
    start: Option<String>,
    first_end: Option<String>,
    samples: u64,
    untraced_samples: u64,
    damaged_frames: u64,
    newer_frames: u64,
    incomplete: bool,
    block_read_bytes: u64,
    block_write_bytes: u64,
    attributed_write_bytes: u64,
    shared_write_bytes: u64,
    shared: Shared,
    unattributed_write_bytes: u64,
    unattributed: ByName<{ Reason::ALL.len() }>,
    lost: ByName<{ Loss::ALL.len() }>,
    devices: Vec<Device<'a>>,
}

#[derive(Deserialize)]
struct TotalPart {
    date: String,
    through_file: u32,
    start: Option<Time>,
    first_end: Option<Time>,
    samples: u64,
    untraced_samples: u64,
    damaged_frames: u64,
    newer_frames: u64,
    incomplete: bool,
    #[serde(flatten)]
    block: Block,
    lost: Numbers,
    devices: Vec<DevicePart>,
}

#[derive(Serialize)]
struct Device<'a> {
    major: u32,
    minor: u32,
    name: &'a str,
    /// What the rows of this device add up to.
    written_bytes: u64,
}

#[derive(Deserialize)]
struct DevicePart {
    major: u32,
    minor: u32,
    name: Arc<str>,
}

#[derive(Serialize)]
struct RowLine<'a> {
    date: &'a str,
    kind: &'static str,
    unit: Option<&'a str>,
    container: Option<&'a str>,
    command: Option<&'a str>,
    directory: Option<&'a str>,
    device: Option<RowDevice<'a>>,
    reason: Option<&'static str>,
    exact_bytes: u64,
    shared_data_bytes: u64,
    journal_bytes: u64,
    home_bytes: u64,
    tree_bytes: u64,
    without_owner_bytes: u64,
    read_bytes: u64,
    bios: u64,
    dirtied_bytes: Option<u64>,
    dropped_bytes: Option<u64>,
    write_char: Option<u64>,
    write_syscalls: Option<u64>,
}

#[derive(Serialize)]
struct RowDevice<'a> {
    major: u32,
    minor: u32,
    name: &'a str,
}

#[derive(Deserialize)]
struct RowPart {
    unit: Option<Arc<str>>,
    container: Option<Arc<str>>,
    command: Option<Arc<str>>,
    directory: Option<Arc<str>>,
    device: Option<DevicePart>,
    reason: Option<String>,
    exact_bytes: u64,
    shared_data_bytes: u64,
    journal_bytes: u64,
    home_bytes: u64,
    tree_bytes: u64,
    without_owner_bytes: u64,
    read_bytes: u64,
    bios: u64,
    dirtied_bytes: Option<u64>,
    dropped_bytes: Option<u64>,
    write_char: Option<u64>,
    write_syscalls: Option<u64>,
}

impl Ledger {
    /// Their file's bytes: at most so many, if less important rows can be added up for that.
    ///
    /// # Errors
    ///
    /// Those of the compressor; none is expected.
    pub fn encode(&mut self, most: u64) -> io::Result<Vec<u8>> {
        self.fold(super::MOST_ROWS);
        loop {
            let mut lines = BytesMut::new();
            self.lines(&mut lines)?;
            let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
            encoder.include_checksum(true)?;
            io::copy(&mut &lines[..], &mut encoder)?;
            let bytes = encoder.finish()?;
            let rows = self.rows.keys().filter(|key| !key.is_sum()).count();
            if bytes.len() as u64 <= most || rows == 0 {
                return Ok(bytes);
            }
            self.fold(rows / 2);
        }
    }

    /// Appends the line of the totals, and those of the rows, which add up to it.
    ///
    /// # Errors
    ///
    /// Those of serde_json; none is expected.
    pub fn lines(&self, buffer: &mut BytesMut) -> io::Result<()> {
        let time = rfc3339(self.end());
        let head = |seq| Line {
            r#type: "ledger",
            seq,
            time: &time,
            interval: self.covered,
        };
        write_line(head(1), self.total_line(), buffer)?;
        let mut rows: Vec<(&RowKey, &Row)> = self.rows.iter().collect();
        rows.retain(|(_, row)| !row.is_nothing());
        rows.sort_by_key(|(key, _)| *key);
        let date = self.date.to_string();
        for (seq, (key, row)) in (2..).zip(rows) {
            write_line(head(seq), self.row_line(&date, key, row), buffer)?;
        }
        Ok(())
    }

    /// The end of the last interval. Without any: noon of the day, as a line has a time.
    fn end(&self) -> Timestamp {
        let noon = || format!("{}T12:00:00Z", self.date).parse();
        match self.between {
            Some(between) => between.end,
            None => noon().unwrap_or_default(),
        }
    }

    fn total_line(&self) -> TotalLine<'_> {
        let totals = &self.totals;
        let mut on_device: HashMap<_, u64> = HashMap::new();
        for (key, row) in &self.rows {
            *on_device.entry(key.device).or_default() += row.written();
        }
        let devices = self.devices.iter();
        let devices = devices.map(|(number, name)| Device {
            major: number.0,
            minor: number.1,
            name,
            written_bytes: on_device.get(&Some(*number)).copied().unwrap_or(0),
        });
        TotalLine {
            date: self.date.to_string(),
            kind: "total",
            through_file: self.through,
            start: self.between.map(|between| rfc3339(between.start)),
            first_end: self.between.map(|between| rfc3339(between.first_end)),
            samples: self.samples,
            untraced_samples: self.untraced,
            damaged_frames: self.damaged,
            newer_frames: self.newer,
            incomplete: self.incomplete,
            block_read_bytes: totals.read,
            block_write_bytes: totals.write,
            attributed_write_bytes: totals.attributed,
            shared_write_bytes: totals.shared,
            shared: Shared::of(Some((totals.shared, totals.metadata))),
            unattributed_write_bytes: totals.unattributed.in_total(),
            unattributed: ByName::from(Some(&totals.unattributed)),
            lost: ByName::from(&self.lost),
            devices: devices.collect(),
        }
    }

    fn row_line<'a>(&'a self, date: &'a str, key: &'a RowKey, row: &Row) -> RowLine<'a> {
        RowLine {
            date,
            kind: key.kind.name(),
            unit: key.unit.as_deref(),
            container: key.container.as_deref(),
            command: key.command.as_deref(),
            directory: key.directory.as_deref(),
            device: key.device.map(|number| RowDevice {
                major: number.0,
                minor: number.1,
                name: self.devices.get(&number).map_or("", |name| &**name),
            }),
            reason: key.reason.map(Reason::name),
            exact_bytes: row.exact,
            shared_data_bytes: row.shared,
            journal_bytes: row.metadata.journal,
            home_bytes: row.metadata.home,
            tree_bytes: row.metadata.tree,
            without_owner_bytes: row.without_owner,
            read_bytes: row.read,
            bios: row.bios,
            dirtied_bytes: row.dirtied,
            dropped_bytes: row.dropped,
            write_char: row.write_char,
            write_syscalls: row.write_syscalls,
        }
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    ///
    /// They are torn, damaged or not what they claim.
    pub fn decode(bytes: &[u8]) -> Result<Ledger, BadLedger> {
        let mut lines = Vec::new();
        let decoder = zstd::Decoder::with_buffer(bytes)?.single_frame();
        let read = decoder.take(LONGEST_CONTENT + 1).read_to_end(&mut lines)?;
        if read as u64 > LONGEST_CONTENT {
            return Err(BadLedger::Wrong("longer than daily totals can be"));
        }
        Ledger::parse(&lines)
    }

    /// Reads the lines.
    ///
    /// # Errors
    ///
    /// They are not those of a day's totals.
    pub fn parse(lines: &[u8]) -> Result<Ledger, BadLedger> {
        let mut lines = lines.split(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        let (header, total): (Header, TotalPart) = read(first)?;
        if header.kind != "total" {
            return Err(BadLedger::Wrong("its first line is not that of the totals"));
        }
        let mut ledger = total.ledger(&header)?;
        for line in lines.filter(|line| !line.is_empty()) {
            let (header, part): (Header, RowPart) = read(line)?;
            let (key, row) = part.row(&header, &ledger)?;
            if ledger.rows.insert(key, row).is_some() {
                return Err(BadLedger::Wrong("it has a row twice"));
            }
        }
        ledger.check()?;
        Ok(ledger)
    }

    /// Refuses rows that do not add up to the totals.
    fn check(&self) -> Result<(), BadLedger> {
        let mut sum = BlockTotals::default();
        let mut counted = [0_u64; 5];
        for (key, row) in &self.rows {
            // Each number is at most MOST, and there are few rows.
            sum.attributed += row.exact;
            sum.shared += row.shared + row.metadata.total();
            sum.metadata = sum.metadata + row.metadata;
            sum.read += row.read;
            sum.unattributed[key.reason.unwrap_or(Reason::Unknown)] += row.without_owner;
            let more = [
                Some(row.bios),
                row.dirtied,
                row.dropped,
                row.write_char,
                row.write_syscalls,
            ];
            for (sum, more) in counted.iter_mut().zip(more) {
                *sum += more.unwrap_or(0);
            }
            // So that neither further rows nor other days make one overflow.
            let all = [sum.attributed, sum.shared, sum.read];
            let all = all.into_iter().chain(counted);
            let none = sum.unattributed.parts().map(|(_, bytes)| bytes);
            if all.chain(none).any(|n| n > MOST) {
                return Err(BadLedger::Wrong("its rows have more than a day can have"));
            }
        }
        sum.write = sum.attributed + sum.shared + sum.unattributed.in_total();
        // Copies on lower devices are in no row, and not all that is read has one.
        sum.unattributed[Reason::Stacked] = self.totals.unattributed[Reason::Stacked];
        sum.read = sum.read.max(self.totals.read);
        match sum == self.totals {
            true => Ok(()),
            false => Err(BadLedger::Wrong("its rows do not add up to its totals")),
        }
    }
}

/// A line's header and its fields.
fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<(Header, T), BadLedger> {
    let header: Header = serde_json::from_slice(line)?;
    if header.v > VERSION {
        return Err(BadLedger::Newer(header.v));
    }
    if header.r#type != "ledger" {
        return Err(BadLedger::Wrong("a line is of another type"));
    }
    Ok((header, serde_json::from_slice(line)?))
}

fn likely(numbers: impl IntoIterator<Item = u64>) -> Result<(), BadLedger> {
    match numbers.into_iter().all(|number| number <= MOST) {
        true => Ok(()),
        false => Err(BadLedger::Wrong("a number is more than a day can have")),
    }
}

impl TotalPart {
    fn ledger(self, header: &Header) -> Result<Ledger, BadLedger> {
        let missing = BadLedger::Wrong("a total is missing");
        let totals = self.block.totals().ok_or(missing)?;
        let parts = totals.unattributed.parts().map(|(_, bytes)| bytes);
        likely(parts.chain([totals.read, totals.write, totals.attributed, totals.shared]))?;
        likely(totals.metadata.parts().map(|(_, bytes)| bytes))?;
        let lost = lost(&self.lost);
        likely(lost.parts().filter_map(|(_, n)| n))?;
        likely([self.samples, self.untraced_samples, self.damaged_frames])?;
        likely([self.newer_frames])?;
        let covered = Duration::try_from_secs_f64(header.interval_s).ok();
        let covered = covered.filter(|covered| covered.as_secs() <= MOST);
        let between = match (self.start, self.first_end) {
            (Some(start), Some(first_end)) => Some(Between {
                start: start.whole(0),
                first_end: first_end.whole(0),
                end: header.time.whole(0),
            }),
            _ => None,
        };
        if between.is_some_and(|one| one.first_end > one.end || one.start > one.first_end) {
            return Err(BadLedger::Wrong("it ends before it starts"));
        }
        if self.through_file == 0 || (between.is_none() && totals.write != 0) {
            return Err(BadLedger::Wrong("it has bytes, but no file or no interval"));
        }
        let devices = self.devices.into_iter();
        Ok(Ledger {
            date: self
                .date
                .parse()
                .map_err(|_| BadLedger::Wrong("its day is not one"))?,
            through: self.through_file,
            between,
            covered: covered.ok_or(BadLedger::Wrong("its length is not one"))?,
            samples: self.samples,
            untraced: self.untraced_samples,
            damaged: self.damaged_frames,
            newer: self.newer_frames,
            incomplete: self.incomplete,
            totals,
            lost,
            devices: devices
                .map(|device| ((device.major, device.minor), device.name))
                .collect(),
            rows: HashMap::new(),
        })
    }
}

impl RowPart {
    fn row(self, header: &Header, ledger: &Ledger) -> Result<(RowKey, Row), BadLedger> {
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == header.kind);
        let reason = self.reason.map(|name| {
            let known = Reason::ALL.into_iter().find(|reason| reason.name() == name);
            known.filter(|reason| reason.is_in_total())
        });
        let device = self.device.map(|device| (device.major, device.minor));
        if device.is_some_and(|device| !ledger.devices.contains_key(&device)) {
            return Err(BadLedger::Wrong(
                "a row has a device that is not in the list",
            ));
        }
        let (Some(kind), Some(reason)) = (kind, reason.map_or(Some(None), |known| known.map(Some)))
        else {
            return Err(BadLedger::Wrong("a row's kind or reason is not known here"));
        };
        let row = Row {
            exact: self.exact_bytes,
            shared: self.shared_data_bytes,
            metadata: Metadata {
                journal: self.journal_bytes,
                home: self.home_bytes,
                tree: self.tree_bytes,
            },
            without_owner: self.without_owner_bytes,
            read: self.read_bytes,
            bios: self.bios,
            dirtied: self.dirtied_bytes,
            dropped: self.dropped_bytes,
            write_char: self.write_char,
            write_syscalls: self.write_syscalls,
        };
        likely([row.exact, row.shared, row.without_owner, row.read, row.bios])?;
        likely(row.metadata.parts().map(|(_, bytes)| bytes))?;
        let counters = [row.dirtied, row.dropped, row.write_char, row.write_syscalls];
        likely(counters.into_iter().flatten())?;
        if row.without_owner != 0 && reason.is_none() || row.caused() != 0 && reason.is_some() {
            return Err(BadLedger::Wrong("a row both has an owner and has none"));
        }
        let key = RowKey {
            kind,
            unit: self.unit,
            container: self.container,
            command: self.command,
            directory: self.directory,
            device,
            reason,
        };
        Ok((key, row))
    }
}
