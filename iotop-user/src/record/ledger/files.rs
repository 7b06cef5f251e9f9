//! The files of daily totals: `2026-11-28.7.ledger.zst` holds the files 1 to 7 of that day.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::civil::Date;

use super::{BadLedger, Ledger, lines::LONGEST};
use crate::record::day::{self, Day};

const SUFFIX: &str = ".ledger.zst";

/// The name of a file of daily totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::record) struct Name {
    /// The day, in UTC.
    pub date: Date,
    /// They hold the files of the day up to the one with this number.
    pub through: u32,
}

impl Name {
    pub fn parse(name: &str) -> Option<Name> {
        let (date, through) = name.strip_suffix(SUFFIX)?.split_once('.')?;
        let parsed = Name {
            date: date.parse().ok()?,
            through: through.parse().ok()?,
        };
        (parsed.file_name() == name).then_some(parsed)
    }

    pub fn file_name(self) -> String {
        format!("{}.{}{SUFFIX}", self.date, self.through)
    }

    /// Those of a directory, oldest first.
    pub fn list(directory: &Path) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for file in directory.read_dir()? {
            names.extend(file?.file_name().to_str().and_then(Name::parse));
        }
        names.sort();
        Ok(names)
    }

    pub fn path(self, directory: &Path) -> PathBuf {
        directory.join(self.file_name())
    }
}

fn read(directory: &Path, name: Name) -> Result<Ledger, BadLedger> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(name.path(directory))?;
    let file = day::regular(file)?;
    let mut bytes = Vec::new();
    if file.take(LONGEST + 1).read_to_end(&mut bytes)? as u64 > LONGEST {
        return Err(BadLedger::Wrong("longer than daily totals can be"));
    }
    let ledger = Ledger::decode(&bytes)?;
    match ledger.date == name.date && ledger.through == name.through {
        true => Ok(ledger),
        false => Err(BadLedger::Wrong("it has another day's name")),
    }
}

/// The totals of a day that count: the whole ones with the highest number. The names of those that
/// can't be read are returned too.
pub(in crate::record) fn read_of_day(
    directory: &Path,
    names: &[Name],
    date: Date,
) -> (Option<Ledger>, Vec<(Name, BadLedger)>) {
    let mut bad = Vec::new();
    for name in names.iter().rev().filter(|name| name.date == date) {
        match read(directory, *name) {
            Ok(ledger) => return (Some(ledger), bad),
            Err(BadLedger::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => bad.push((*name, error)),
        }
    }
    (None, bad)
}

/// Writes totals so that a power failure leaves all of them or a file that is not whole.
pub(in crate::record) fn write(directory: &Path, name: Name, bytes: &[u8]) -> io::Result<()> {
    let path = name.path(directory);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path)?;
        file = day::regular(file)?;
        stop::here()?;
        let half = bytes.len() / 2;
        file.write_all(&bytes[..half])?;
        stop::here()?;
        file.write_all(&bytes[half..])?;
        stop::here()?;
        file.sync_data()?;
        stop::here()?;
        // The name too: what it replaces is removed next.
        match File::open(directory)?.sync_data() {
            // Not every file system can do that with a directory.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            synced => synced?,
        }
        stop::here()
    })();
    // What was written of it is not whole; it takes room that others need.
    if written.is_err() && !stop::is_stopped() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Removes a file, which may have gone.
pub(in crate::record) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => stop::here(),
    }
}

/// The totals of all days of a directory, and which of its recordings they hold.
#[derive(Debug, Default)]
pub struct Ledgers {
    /// The totals of each day that has any.
    pub days: BTreeMap<Date, Ledger>,
    /// The files that can't be used, and why not. Nothing else has the totals of these days.
    pub bad: Vec<(PathBuf, BadLedger)>,
    /// Number of days that were left out because there are too many.
    pub too_many: u64,
}

impl Ledgers {
    /// A report adds up at most the totals of so many days: no directory that we wrote has more,
    /// and sums can't overflow.
    const MOST: usize = 500;

    /// Reads those of a directory.
    ///
    /// # Errors
    ///
    /// The directory can't be read.
    pub fn read(directory: &Path) -> io::Result<Ledgers> {
        let names = Name::list(directory)?;
        let mut dates: Vec<Date> = names.iter().map(|name| name.date).collect();
        dates.dedup();
        let too_many = dates.len().saturating_sub(Ledgers::MOST);
        let mut ledgers = Ledgers {
            too_many: too_many as u64,
            ..Ledgers::default()
        };
        for date in &dates[too_many..] {
            let (ledger, bad) = read_of_day(directory, &names, *date);
            // A recorder that was stopped leaves one beside the recording that it was made of.
            let newest = Day {
                date: *date,
                part: ledger.as_ref().map_or(0, |ledger| ledger.through),
            };
            let is_torn = |name: &Name| {
                name.through == newest.part + 1 && day::path(directory, newest.next()).exists()
            };
            ledgers.days.extend(ledger.map(|ledger| (*date, ledger)));
            let bad = bad.into_iter().filter(|(name, _)| !is_torn(name));
            ledgers
                .bad
                .extend(bad.map(|(name, error)| (name.path(directory), error)));
        }
        Ok(ledgers)
    }

    /// True if the totals hold the samples of this file.
    pub fn have(&self, day: Day) -> bool {
        self.days
            .get(&day.date)
            .is_some_and(|ledger| day.part <= ledger.through)
    }

    /// What can't be used, in words.
    pub fn messages(&self) -> Vec<String> {
        let bad = self.bad.iter().map(|(path, error)| {
            let path = path.display();
            format!("left out the daily totals in {path}: {error}")
        });
        let too_many = (self.too_many != 0).then(|| {
            let (n, most) = (self.too_many, Ledgers::MOST);
            format!("left out the daily totals of {n} days: no report has more than {most}")
        });
        bad.chain(too_many).collect()
    }
}

/// Tests stop the work between any two operations on files, as a kill does.
pub(in crate::record) mod stop {
    use std::io;

    #[cfg(test)]
    std::thread_local! {
        /// After how many operations. 0: stopped; `None`: never.
        pub static AFTER: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
    }

    #[cfg(test)]
    pub fn here() -> io::Result<()> {
        match AFTER.get() {
            Some(0) => Err(io::Error::other("stopped")),
            Some(n) => {
                AFTER.set(Some(n - 1));
                match n {
                    1 => Err(io::Error::other("stopped")),
                    _ => Ok(()),
                }
            }
            None => Ok(()),
        }
    }

    #[cfg(not(test))]
    pub fn here() -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub fn is_stopped() -> bool {
        AFTER.get() == Some(0)
    }

    #[cfg(not(test))]
    pub fn is_stopped() -> bool {
        false
    }
}
