//! Which files go, and that their bytes are in the daily totals before.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use jiff::{Timestamp, civil::Date};

use super::{PARTS, Store, StoreError, is_full};
use crate::{
    record::{
        day::{self, Day},
        ledger::{self, Folding, Name},
    },
    report,
};

/// Daily totals of so many days are kept.
const LEDGER_DAYS: usize = 400;
/// They take at most this part of the largest size.
const LEDGERS: u64 = 4;
/// The totals of one day take at most this part of it. So much stays free for the next ones.
const ONE_LEDGER: u64 = 32;
/// After a frame was written, files that have to go are added up for so long: no interval of the
/// recorder is late because of it.
const TURN: Duration = Duration::from_millis(50);

impl Store {
    /// Adds files that have to go to their daily totals and removes them: for a short time, but at
    /// least so many samples. As many as were recorded since would never come to an end.
    pub(super) fn tidy(&mut self, least: u64) -> Result<(), StoreError> {
        let begun = Instant::now();
        let mut done = 0;
        let mut is_in_time = || {
            done += 1;
            done <= least || begun.elapsed() < TURN
        };
        while let Some(day) = self.due()? {
            if !self.begin_folding(day)? {
                continue;
            }
            while let Some(folding) = self.folding.as_mut() {
                if !is_in_time() {
                    return Ok(());
                }
                if !folding.step().map_err(StoreError::Unread)? {
                    self.finish_folding()?;
                }
            }
        }
        Ok(())
    }

    /// Opens the file for frames of this time, and removes the oldest files until it can take so
    /// many bytes.
    pub(super) fn make_room(&mut self, time: Timestamp, length: u64) -> Result<(), StoreError> {
        loop {
            self.prepare(time)?;
            let used = self.used()?;
            if used + length + self.retention.bytes / ONE_LEDGER <= self.retention.bytes {
                return Ok(());
            }
            if self.remove_oldest()? {
                continue;
            }
            // What is left is the file to which frames are added. It is the oldest one now.
            let is_empty = self.current.as_ref().is_none_or(|current| current.end == 0);
            if is_empty {
                return Ok(());
            }
            self.current = None;
            self.remove_oldest()?;
        }
    }

    /// Removes the oldest file after it was added to its day's totals. Returns false if there is
    /// none but the current one.
    pub(super) fn remove_oldest(&mut self) -> Result<bool, StoreError> {
        let oldest = self.list()?.into_iter().find(|day| !self.is_current(*day));
        let Some(day) = oldest else {
            return Ok(false);
        };
        if self.begin_folding(day)? {
            while let Some(folding) = self.folding.as_mut()
                && folding.step().map_err(StoreError::Unread)?
            {}
            self.finish_folding()?;
        }
        Ok(true)
    }

    /// The oldest file, if it has to go: too many days have newer ones, or all together are large.
    fn due(&self) -> Result<Option<Day>, StoreError> {
        let days = self.list()?;
        let dates: BTreeSet<Date> = days.iter().map(|day| day.date).collect();
        let newest = dates.iter().rev().nth(self.retention.days as usize);
        // Room for one more file.
        let room = self.retention.bytes - self.retention.bytes / PARTS;
        let is_large = self.used()? > room;
        let oldest = days.into_iter().find(|day| !self.is_current(*day));
        let is_old = |day: &Day| newest.is_some_and(|newest| day.date < *newest);
        Ok(oldest.filter(|day| is_large || is_old(day)))
    }

    /// The bytes of all files.
    fn used(&self) -> Result<u64, StoreError> {
        let recordings = self.list()?.into_iter();
        let recordings = recordings.map(|day| length(&day::path(&self.directory, day)));
        let totals = self.ledgers()?.into_iter();
        let totals = totals.map(|name| length(&name.path(&self.directory)));
        Ok(recordings.chain(totals).sum())
    }

    fn ledgers(&self) -> Result<Vec<Name>, StoreError> {
        Name::list(&self.directory).map_err(self.reading())
    }

    /// The first file of a day that its totals do not hold.
    pub(super) fn after_totals(&self, first: Day) -> Result<Day, StoreError> {
        let names = self.ledgers()?.into_iter();
        let of_day = names.filter(|name| name.date == first.date);
        Ok(match of_day.map(|name| name.through).max() {
            Some(part) => Day { part, ..first }.next(),
            None => first,
        })
    }

    /// Begins to add up a file, unless that has begun. False: the totals hold it already, and it is
    /// removed.
    fn begin_folding(&mut self, day: Day) -> Result<bool, StoreError> {
        if self
            .folding
            .as_ref()
            .is_some_and(|folding| folding.day == day)
        {
            return Ok(true);
        }
        let names = self.ledgers()?;
        let begun = Folding::begin(&self.directory, &names, day);
        self.folding = begun.map_err(self.reading())?;
        if self.folding.is_none() {
            self.remove(&day::path(&self.directory, day))?;
            self.remove_replaced(&names, day)?;
        }
        Ok(self.folding.is_some())
    }

    /// Writes the totals and removes the file, in this order: see [`ledger`].
    fn finish_folding(&mut self) -> Result<(), StoreError> {
        let Some(folding) = self.folding.take() else {
            return Ok(());
        };
        let (day, replaced) = (folding.day, folding.replaced.clone());
        let added = folding.added();
        let mut totals = folding.finish();
        let name = Name {
            date: day.date,
            through: day.part,
        };
        let (path, ledger) = (day::path(&self.directory, day), name.path(&self.directory));
        let failed = |what| {
            let path = ledger.clone();
            move |source| StoreError::Call { what, path, source }
        };
        let bytes = totals
            .encode(self.retention.bytes / ONE_LEDGER)
            .map_err(failed("compressing for"))?;
        match ledger::write(&self.directory, name, &bytes) {
            Err(error) if is_full(&error) => {
                // There is room once the file has gone.
                self.remove(&path)?;
                if let Err(error) = ledger::write(&self.directory, name, &bytes) {
                    self.notes.push(format!(
                        "the daily totals of {} are lost ({} of writes): {}: {error}",
                        path.display(),
                        report::bytes(added),
                        ledger.display(),
                    ));
                    return Ok(());
                }
            }
            written => {
                written.map_err(failed("writing"))?;
                self.remove(&path)?;
            }
        }
        self.written += bytes.len() as u64;
        let mut replaced = replaced.into_iter();
        replaced.try_for_each(|name| self.remove(&name.path(&self.directory)))?;
        self.remove_ledgers()
    }

    /// Removes the totals that newer ones of the day replace: a stop came between the two.
    fn remove_replaced(&self, names: &[Name], day: Day) -> Result<(), StoreError> {
        let (kept, _) = ledger::read_of_day(&self.directory, names, day.date);
        let through = kept.map_or(0, |ledger| ledger.through);
        let of_day = names.iter().filter(|name| name.date == day.date);
        let mut replaced = of_day.filter(|name| name.through < through);
        replaced.try_for_each(|name| self.remove(&name.path(&self.directory)))
    }

    /// Removes the oldest totals, if there are too many or too large ones.
    fn remove_ledgers(&self) -> Result<(), StoreError> {
        let names = self.ledgers()?;
        let dates: BTreeSet<Date> = names.iter().map(|name| name.date).collect();
        let oldest = dates.iter().rev().nth(LEDGER_DAYS - 1);
        let lengths = names.iter().map(|name| length(&name.path(&self.directory)));
        let mut all: u64 = lengths.sum();
        for name in &names {
            let is_old = oldest.is_some_and(|oldest| name.date < *oldest);
            if !is_old && all <= self.retention.bytes / LEDGERS {
                break;
            }
            let path = name.path(&self.directory);
            all -= length(&path);
            self.remove(&path)?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), StoreError> {
        ledger::remove(path).map_err(|source| StoreError::Call {
            what: "removing",
            path: path.to_owned(),
            source,
        })
    }
}

fn length(path: &Path) -> u64 {
    fs::symlink_metadata(path).map_or(0, |file| file.len())
}
