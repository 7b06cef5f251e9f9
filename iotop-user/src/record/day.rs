//! The files of a recording: one for each day, in UTC, and more if a day has much.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::frame::{self, Entry, HEAD, LONGEST_ENTRY, Lines, VERSION};

/// What the names of the files end in.
const SUFFIX: &str = ".ndjson.zst";

/// No day has more files.
const MOST_PARTS: u32 = 1_000_000;

/// Which file: its day, and the number of the file among those of the day, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// The day, in UTC.
    pub date: Date,
    /// 1 unless the day has several files.
    pub part: u32,
}

impl Day {
    /// The first file of the day of this time.
    pub fn of(time: Timestamp) -> Day {
        Day {
            date: TimeZone::UTC.to_datetime(time).date(),
            part: 1,
        }
    }

    /// The file with this name, if it is that of a recording.
    pub fn parse(name: &str) -> Option<Day> {
        let name = name.strip_suffix(SUFFIX)?;
        let (date, part) = name.split_once('.').unwrap_or((name, "1"));
        let day = Day {
            date: date.parse().ok()?,
            part: part.parse().ok()?,
        };
        let is_its_name = day.name().strip_suffix(SUFFIX) == Some(name);
        (is_its_name && day.part <= MOST_PARTS).then_some(day)
    }

    /// Its file's name.
    pub fn name(self) -> String {
        match self.part {
            1 => format!("{}{SUFFIX}", self.date),
            part => format!("{}.{part}{SUFFIX}", self.date),
        }
    }

    /// The next file of the day.
    pub fn next(self) -> Day {
        Day {
            part: self.part + 1,
            ..self
        }
    }

    /// The files of a directory, oldest first.
    ///
    /// # Errors
    ///
    /// The directory can't be read.
    pub fn list(directory: &Path) -> io::Result<Vec<Day>> {
        let mut days = Vec::new();
        for file in directory.read_dir()? {
            days.extend(file?.file_name().to_str().and_then(Day::parse));
        }
        days.sort();
        Ok(days)
    }
}

/// A frame's entry and where its lines are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What it says of itself.
    pub entry: Entry,
    /// Where its lines begin in the file.
    pub at: u64,
}

/// The frames of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Those that are whole, in the order of the file.
    pub frames: Vec<Placed>,
    /// Where the last whole frame ends.
    pub end: u64,
    /// How many stretches are no frame, or none that is whole.
    pub damaged: u64,
    /// How many frames a newer program wrote.
    pub newer: u64,
}

impl Index {
    /// Walks over a file's entries. It does not look at the lines.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn of(file: &File) -> io::Result<Index> {
        Index::after(file, 0)
    }

    /// The same for the part of the file that begins here, where a frame ended before.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn after(file: &File, from: u64) -> io::Result<Index> {
        let length = file.metadata()?.len();
        let mut index = Index::default();
        let mut at = from;
        while at < length {
            let start = read(file, at, HEAD + LONGEST_ENTRY)?;
            match frame::entry(&start) {
                Some((entry, head)) if entry.length <= length - at - head.min(length - at) => {
                    let lines = at + head;
                    at = lines + entry.length;
                    index.end = at;
                    match entry.version > VERSION {
                        true => index.newer += 1,
                        false => index.frames.push(Placed { entry, at: lines }),
                    }
                }
                _ => {
                    index.damaged += 1;
                    match next_entry(file, at + 1, length)? {
                        Some(next) => at = next,
                        None => break,
                    }
                }
            }
        }
        Ok(index)
    }

    /// True if there is something in the file, but no frame.
    pub fn is_foreign(&self) -> bool {
        self.frames.is_empty() && self.newer == 0 && self.damaged != 0
    }
}

/// Where the next entry begins that can be read.
fn next_entry(file: &File, from: u64, length: u64) -> io::Result<Option<u64>> {
    const STEP: usize = 1 << 20;
    let mut at = from;
    while at < length {
        let part = read(file, at, STEP + HEAD + LONGEST_ENTRY)?;
        let mut from = 0;
        while let Some(found) = frame::find_entry(&part[from..]) {
            let next = from + found;
            if next >= STEP {
                break;
            }
            if frame::entry(&part[next..]).is_some() {
                return Ok(Some(at + next as u64));
            }
            from = next + 1;
        }
        at += STEP as u64;
    }
    Ok(None)
}

/// Up to this many bytes of a file.
pub(super) fn read(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let left = file.metadata()?.len().saturating_sub(at);
    let mut bytes = vec![0; length.min(usize::try_from(left).unwrap_or(length))];
    let length = bytes.len();
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The lines of a frame that is whole.
///
/// # Errors
///
/// The file can't be read, or the frame is damaged.
pub(super) fn lines_of(file: &Arc<File>, frame: &Placed) -> io::Result<Lines<Part>> {
    lines_at(file, frame.at, frame.entry.length)
}

/// The same, by the place and the length of the compressed lines.
///
/// # Errors
///
/// The file can't be read, or the frame is damaged.
pub(super) fn lines_at(file: &Arc<File>, at: u64, length: u64) -> io::Result<Lines<Part>> {
    frame::check(Part::of(file, at, length))?;
    Lines::new(Part::of(file, at, length))
}

/// Finds out whether a frame is whole.
///
/// # Errors
///
/// The file can't be read, or the frame is damaged.
pub(super) fn check(file: &Arc<File>, frame: &Placed) -> io::Result<()> {
    frame::check(Part::of(file, frame.at, frame.entry.length))
}

/// Opens a recording's file for reading. No link is followed: to open some devices has effects.
///
/// # Errors
///
/// It can't be opened, or it is no regular file.
pub(super) fn open(directory: &Path, day: Day) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path(directory, day)).and_then(regular)
}

/// A frame's part of a file.
#[derive(Debug)]
pub(super) struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Part {
    fn of(file: &Arc<File>, at: u64, length: u64) -> Part {
        Part {
            file: file.clone(),
            at,
            end: at.saturating_add(length),
        }
    }
}

impl io::Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A file, if it is a regular one: a pipe, for example, would never end.
///
/// # Errors
///
/// It is none.
pub(super) fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// A recording's file by its path.
pub(super) fn path(directory: &Path, day: Day) -> PathBuf {
    directory.join(day.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_days_name_and_no_other_is_one() {
        let day = Day::of("2026-11-28T23:59:59.9Z".parse().expect("a time"));
        assert_eq!(day.name(), "2026-11-28.ndjson.zst");
        assert_eq!(day.next().name(), "2026-11-28.2.ndjson.zst");
        for day in [day, day.next()] {
            assert_eq!(Day::parse(&day.name()), Some(day));
        }
        for name in [
            "2026-11-28.ndjson",
            "2026-13-28.ndjson.zst",
            "2026-11-28.01.ndjson.zst",
            "2026-11-28.1.ndjson.zst",
            "notes.ndjson.zst",
            ".ndjson.zst",
        ] {
            assert_eq!(Day::parse(name), None, "{name}");
        }
    }
}
