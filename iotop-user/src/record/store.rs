//! Writes frames into the files of a directory, and removes the oldest ones.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    RecordingError,
    day::{self, Day, Index},
    frame::Frame,
    ledger::Folding,
};

mod retention;

/// Holds the PID of the recorder, which has it locked.
pub(super) const LOCK: &str = "recorder.pid";

/// A file is at most this part of the largest size, so that the oldest file is never much of the
/// recording.
const PARTS: u64 = 8;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days with recordings before the newest one. Days without any do not count, so a clock that
    /// jumps ahead is one day and makes nothing old.
    pub days: u32,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Retention {
    /// The part of the bytes that is free for frames, however many daily totals there are.
    pub fn for_frames(&self) -> u64 {
        self.bytes / 2
    }
}

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A call failed.
    #[error("{what} {path}")]
    Call {
        /// What it is for.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file that has to go can't be added up now.
    #[error(transparent)]
    Unread(RecordingError),
    /// Somebody else could put links where files are to be written.
    #[error(
        "{0} belongs to another user, or others may write it; record into a directory that only \
         you can write"
    )]
    NotOurs(PathBuf),
    /// Somebody else could put another directory in its place.
    #[error(
        "{directory} is below {ancestor}, which belongs to another user or may be written by \
         others, so they could put another directory in its place; record below directories that \
         only you or root can write"
    )]
    Replaceable {
        /// The directory.
        directory: PathBuf,
        /// The one above it.
        ancestor: PathBuf,
    },
    /// Another recorder has the directory.
    #[error(
        "{directory} already has a recorder, process {pid}; stop it first, or record into another \
         directory"
    )]
    Taken {
        /// The directory.
        directory: PathBuf,
        /// The other recorder.
        pid: String,
    },
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in its file.
    Written,
    /// The disk is full, and there is no older file to remove.
    DiskFull,
    /// It alone is larger than all that may be kept.
    TooLarge,
}

/// A directory with recordings, to which frames are added.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    retention: Retention,
    /// Locked as long as it is open.
    _lock: File,
    current: Option<Current>,
    /// The oldest file, if it has to go and is being added to its day's totals.
    folding: Option<Folding>,
    /// What the user should know.
    notes: Vec<String>,
    /// Bytes of frames and totals that were written.
    written: u64,
}

/// The file to which frames are added.
#[derive(Debug)]
struct Current {
    /// The first file of its day.
    first: Day,
    day: Day,
    file: Arc<File>,
    /// Where the next frame goes.
    end: u64,
}

/// Whether nobody but we and, where it is `above`, root can change what a directory holds. In one
/// like /tmp (`S_ISVTX`), others can't rename what is ours.
fn is_safe(directory: &fs::Metadata, above: bool) -> bool {
    let owner = directory.uid();
    let is_ours = owner == rustix::process::geteuid().as_raw() || above && owner == 0;
    let is_sticky = above && directory.mode() & 0o1000 != 0;
    is_ours && (directory.mode() & 0o022 == 0 || is_sticky)
}

impl Store {
    /// Takes the directory, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// It can't be written, or another recorder has it.
    pub fn open(directory: &Path, retention: Retention) -> Result<Store, StoreError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Call { what, path, source }
        };
        let mut create = DirBuilder::new();
        create
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("creating", directory))?;
        let real = directory.canonicalize();
        let directory = &*real.map_err(failed("opening", directory))?;
        let found = fs::metadata(directory).map_err(failed("opening", directory))?;
        if !is_safe(&found, false) {
            return Err(StoreError::NotOurs(directory.to_owned()));
        }
        for ancestor in directory.ancestors().skip(1) {
            let found = fs::metadata(ancestor).map_err(failed("opening", ancestor))?;
            if !is_safe(&found, true) {
                return Err(StoreError::Replaceable {
                    directory: directory.to_owned(),
                    ancestor: ancestor.to_owned(),
                });
            }
        }
        let path = directory.join(LOCK);
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&path)
            .map_err(failed("opening", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = (&lock).take(32).read_to_string(&mut pid);
                return Err(StoreError::Taken {
                    directory: directory.to_owned(),
                    pid: pid.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed("locking", &path)(error)),
        }
        let pid = format!("{}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| (&lock).rewind())
            .and_then(|()| (&lock).write_all(pid.as_bytes()))
            .map_err(failed("writing", &path))?;
        Ok(Store {
            directory: directory.to_owned(),
            retention,
            _lock: lock,
            current: None,
            folding: None,
            notes: Vec::new(),
            written: 0,
        })
    }

    /// How much is kept.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// The bytes that were written to files.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// What the user should know, and has not been told yet.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Opens the file for frames of this time: a frame that was torn off at its end is cut away.
    /// To be called early too, because it may be that no file can be written.
    ///
    /// # Errors
    ///
    /// It can't be written.
    pub fn prepare(&mut self, time: Timestamp) -> Result<(), StoreError> {
        let first = Day::of(time);
        let most = (self.retention.bytes / PARTS).max(1);
        if let Some(current) = &self.current
            && current.first == first
            && current.end < most
        {
            return Ok(());
        }
        self.current = None;
        // After the newest file of the day: older ones may have been removed. And after those
        // that the daily totals hold.
        let is_of_day = |day: &Day| day.date == first.date;
        let newest = self.list()?.into_iter().filter(is_of_day).max();
        let after_totals = self.after_totals(first)?;
        let mut day = newest.unwrap_or(first).max(after_totals);
        let current = loop {
            let path = day::path(&self.directory, day);
            let failed = |what| {
                let path = path.clone();
                move |source| StoreError::Call { what, path, source }
            };
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(&path)
                .and_then(day::regular)
                .map_err(failed("opening"))?;
            let file = Arc::new(file);
            if let Some(end) = end(&file).map_err(failed("reading"))?
                && end < most
            {
                file.set_len(end).map_err(failed("cutting"))?;
                break Current {
                    first,
                    day,
                    file,
                    end,
                };
            }
            day = day.next();
        };
        // A clock that is set back: a file to which frames are added does not go yet.
        if self
            .folding
            .as_ref()
            .is_some_and(|folding| folding.day == current.day)
        {
            self.folding = None;
        }
        self.current = Some(current);
        Ok(())
    }

    /// Adds a frame. All files together are never larger than the retention allows.
    ///
    /// # Errors
    ///
    /// The file can't be written, for another reason than that the disk is full.
    pub fn add(&mut self, frame: Frame) -> Result<Outcome, StoreError> {
        let (time, samples) = (frame.end(), frame.samples());
        let path = self.directory.clone();
        let bytes = frame.finish().map_err(|source| StoreError::Call {
            what: "compressing for",
            path,
            source,
        })?;
        let length = bytes.len() as u64;
        if length > self.retention.for_frames() {
            return Ok(Outcome::TooLarge);
        }
        loop {
            let added = self
                .make_room(time, length)
                .and_then(|()| self.write(&bytes));
            match added {
                Ok(()) => break,
                Err(StoreError::Call { source, .. }) if is_full(&source) => {
                    if !self.remove_oldest()? {
                        return Ok(Outcome::DiskFull);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.tidy(2 * samples)?;
        Ok(Outcome::Written)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let file = &current.file;
        let written = file.write_all_at(bytes, current.end);
        // So that a power failure costs nothing that was written before. Some file systems find
        // out only now that there is no room.
        if let Err(source) = written.and_then(|()| file.sync_data()) {
            // What was written of it must not be there twice.
            let _ = file.set_len(current.end);
            return Err(StoreError::Call {
                what: "writing",
                path: day::path(&self.directory, current.day),
                source,
            });
        }
        current.end += bytes.len() as u64;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn is_current(&self, day: Day) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.day == day)
    }

    fn list(&self) -> Result<Vec<Day>, StoreError> {
        Day::list(&self.directory).map_err(self.reading())
    }

    fn reading(&self) -> impl FnOnce(io::Error) -> StoreError + use<> {
        let path = self.directory.clone();
        |source| StoreError::Call {
            what: "reading",
            path,
            source,
        }
    }
}

/// Where the next frame goes. `None` if the file is foreign, or another version's.
fn end(file: &Arc<File>) -> io::Result<Option<u64>> {
    let index = Index::of(file)?;
    if index.is_foreign() && !is_torn_first(file)? || index.newer != 0 {
        return Ok(None);
    }
    let Some(last) = index.frames.last() else {
        return Ok(Some(0));
    };
    // After a power cut, a file may have its new length but not all of its bytes.
    Ok(Some(match day::check(file, last) {
        Ok(_) => index.end,
        Err(_) => index
            .frames
            .iter()
            .rev()
            .nth(1)
            .map_or(0, |frame| frame.at + frame.entry.length),
    }))
}

/// Whether a file without a whole frame begins as one: it has nothing but a torn one.
fn is_torn_first(file: &File) -> io::Result<bool> {
    Ok(super::frame::begins(&day::read(file, 0, 64)?))
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

#[cfg(test)]
mod tests;
