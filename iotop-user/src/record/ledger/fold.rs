//! Adds a recording's file to the totals of its day, a few samples at a time: it may hold a whole
//! day, and the recorder must not miss an interval meanwhile.

use std::{io, path::Path};

use super::{BadLedger, Ledger, Name, read_of_day};
use crate::{
    host::devices::DeviceNames,
    record::{
        day::Day,
        read::{Recording, RecordingError, Samples, Span},
    },
};

/// A file that is being added up.
#[derive(Debug)]
pub(in crate::record) struct Folding {
    /// The file.
    pub day: Day,
    samples: Samples,
    ledger: Ledger,
    /// What the totals had before, in written bytes.
    before: u64,
    names: DeviceNames,
    /// Earlier totals of the day, which these replace.
    pub replaced: Vec<Name>,
}

impl Folding {
    /// Begins with the totals of the files before. `None`: the totals hold this file already.
    ///
    /// # Errors
    ///
    /// Totals can't be read, which does not mean that they are damaged.
    pub fn begin(directory: &Path, names: &[Name], day: Day) -> io::Result<Option<Folding>> {
        let (before, bad) = read_of_day(directory, names, day.date);
        let mut newer = Vec::new();
        let mut torn = false;
        for (name, error) in bad {
            match error {
                BadLedger::Unreadable(error) if error.raw_os_error().is_some() => {
                    return Err(error);
                }
                BadLedger::Newer(_) => newer.push(name),
                _ => torn |= name.through < day.part,
            }
        }
        let through = before.as_ref().map(|ledger| ledger.through);
        let known = newer.iter().map(|name| name.through).chain(through);
        if known.max().is_some_and(|through| day.part <= through) {
            return Ok(None);
        }
        let mut ledger = before.unwrap_or_else(|| Ledger::new(day.date));
        // Files before this one have gone without being added up, or their totals can't be read.
        // A torn file with our own number is what a stopped recorder left, and this is its repeat.
        ledger.incomplete |= ledger.through + 1 != day.part || torn || !newer.is_empty();
        let before = ledger.totals.write;
        ledger.through = day.part;
        let of_day = names.iter().filter(|name| name.date == day.date);
        let replaced = of_day.filter(|name| name.through < day.part && !newer.contains(name));
        Ok(Some(Folding {
            day,
            samples: Recording::of_file(directory, day).samples(Span::default()),
            ledger,
            before,
            names: DeviceNames::new(Path::new("/sys")),
            replaced: replaced.copied().collect(),
        }))
    }

    /// What this file adds to the totals, in written bytes.
    pub fn added(&self) -> u64 {
        self.ledger.totals.write - self.before
    }

    /// Adds up one sample more. False: there is none, and the totals are complete.
    ///
    /// # Errors
    ///
    /// The file can't be opened now.
    pub fn step(&mut self) -> Result<bool, RecordingError> {
        Ok(match self.samples.next() {
            Some(Ok(sample)) => {
                for (device, _) in &sample.devices {
                    let name = self.samples.device_name(*device);
                    self.names.know(*device, name);
                }
                self.ledger.feed(&sample, &mut self.names);
                true
            }
            // What is no file of ours has no totals, but it goes all the same.
            Some(Err(RecordingError::File { source, .. })) if source.raw_os_error().is_none() => {
                self.ledger.damaged += 1;
                true
            }
            Some(Err(error)) => return Err(error),
            None => false,
        })
    }

    /// The totals.
    pub fn finish(mut self) -> Ledger {
        let skipped = self.samples.skipped();
        self.ledger.damaged += skipped.damaged + skipped.foreign.len() as u64;
        self.ledger.newer += skipped.newer;
        self.ledger
    }
}
