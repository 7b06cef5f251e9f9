//! Adds a recording's file to the totals of its day, a few samples at a time: it may hold a whole
//! day, and the recorder must not miss an interval meanwhile.

use std::path::Path;

use super::{Ledger, Name, read_of_day};
use crate::{
    host::devices::DeviceNames,
    record::{
        day::Day,
        read::{Recording, Samples, Span},
    },
};

/// A file that is being added up.
#[derive(Debug)]
pub(in crate::record) struct Folding {
    /// The file.
    pub day: Day,
    samples: Samples,
    ledger: Ledger,
    names: DeviceNames,
    /// Earlier totals of the day, which these replace.
    pub replaced: Vec<Name>,
}

impl Folding {
    /// Begins with the totals of the files before. `None`: the totals hold this file already.
    pub fn begin(directory: &Path, names: &[Name], day: Day) -> Option<Folding> {
        let (before, bad) = read_of_day(directory, names, day.date);
        if before
            .as_ref()
            .is_some_and(|ledger| day.part <= ledger.through)
        {
            return None;
        }
        let mut ledger = before.unwrap_or_else(|| Ledger::new(day.date));
        // Files before this one have gone without being added up, or their totals can't be read.
        // A torn file with our own number is what a stopped recorder left, and this is its repeat.
        ledger.incomplete |=
            ledger.through + 1 != day.part || bad.iter().any(|(name, _)| name.through < day.part);
        ledger.through = day.part;
        let of_day = names.iter().filter(|name| name.date == day.date);
        let replaced = of_day.filter(|name| name.through < day.part);
        Some(Folding {
            day,
            samples: Recording::of_file(directory, day).samples(Span::default()),
            ledger,
            names: DeviceNames::new(Path::new("/sys")),
            replaced: replaced.copied().collect(),
        })
    }

    /// Adds up one sample more. False: there is none, and the totals are complete.
    pub fn step(&mut self) -> bool {
        match self.samples.next() {
            Some(Ok(sample)) => {
                for (device, _) in &sample.devices {
                    let name = self.samples.device_name(*device);
                    self.names.know(*device, name);
                }
                self.ledger.feed(&sample, &mut self.names);
                true
            }
            // A file that can't be read has no totals, but it goes all the same.
            Some(Err(_)) => {
                self.ledger.damaged += 1;
                true
            }
            None => false,
        }
    }

    /// The totals.
    pub fn finish(mut self) -> Ledger {
        let skipped = self.samples.skipped();
        self.ledger.damaged += skipped.damaged + skipped.foreign.len() as u64;
        self.ledger.newer += skipped.newer;
        self.ledger
    }
}
