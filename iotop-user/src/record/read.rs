//! Reads the samples of a directory with recordings.

use std::{
    collections::{HashMap, VecDeque},
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::{Timestamp, ToSpan as _};

use super::{
    day::{self, Day, Index, Part, Placed},
    frame::Lines,
    ledger::{Ledgers, Name},
    recorder::recorder,
    restore::{BadLine, Restorer},
};
use crate::sample::{Number, Sample};

/// Why a recording can't be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The directory can't be read.
    #[error("reading the recordings in {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It has no recordings.
    #[error(
        "{0} has no recordings (files such as 2026-11-28.ndjson.zst); `iotop-trace record {0}` \
         makes them"
    )]
    Empty(PathBuf),
    /// A recorder has written nothing yet.
    #[error(
        "process {pid} is recording into {directory}, but has written nothing yet: it writes about \
         a minute at a time, so wait until the first one is over"
    )]
    TooEarly {
        /// The directory.
        directory: PathBuf,
        /// The recorder.
        pid: u32,
    },
    /// A file can't be read.
    #[error("reading {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A part of a recording. An interval belongs to it if its end does: so each interval is in one
/// of two parts that follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its start; `None`: that of the recording.
    pub from: Option<Timestamp>,
    /// Its end; `None`: that of the recording.
    pub until: Option<Timestamp>,
}

impl Span {
    /// Whether an interval that ends then belongs to it.
    pub(super) fn has(&self, end: Timestamp) -> bool {
        self.from.is_none_or(|from| end > from) && self.has_until(end)
    }

    /// Whether any interval of a frame may.
    pub(super) fn may_have(&self, start: Timestamp, end: Timestamp) -> bool {
        self.from.is_none_or(|from| end > from) && self.until.is_none_or(|until| start < until)
    }

    /// Whether all intervals of a frame do.
    pub(super) fn has_all(&self, start: Timestamp, end: Timestamp) -> bool {
        self.from.is_none_or(|from| start >= from) && self.has_until(end)
    }

    fn has_until(&self, end: Timestamp) -> bool {
        self.until.is_none_or(|until| end <= until)
    }

    /// True if a file of this day may have such an interval. A frame may reach over midnight.
    pub(super) fn has_day(&self, day: Day) -> bool {
        let before = |time: Timestamp| Day::of(time).date;
        let from = self.from.map(|from| before(from).saturating_sub(1.day()));
        let until = self
            .until
            .map(|until| before(until).saturating_add(1.day()));
        from.is_none_or(|from| day.date >= from) && until.is_none_or(|until| day.date <= until)
    }
}

/// A directory with recordings.
#[derive(Clone, Debug)]
pub struct Recording {
    directory: PathBuf,
    days: Vec<Day>,
}

impl Recording {
    /// Lists its files. They are read when samples are asked for.
    ///
    /// # Errors
    ///
    /// The directory can't be read, or it has no recordings.
    pub fn open(directory: &Path) -> Result<Recording, RecordingError> {
        let days = Day::list(directory).or_else(|source| match source.kind() {
            io::ErrorKind::NotFound => Ok(Vec::new()),
            _ => Err(RecordingError::Directory {
                path: directory.to_owned(),
                source,
            }),
        })?;
        let has_totals = || Name::list(directory).is_ok_and(|names| !names.is_empty());
        match days.is_empty() && !has_totals() {
            true => {
                Err(too_early(directory)
                    .unwrap_or_else(|| RecordingError::Empty(directory.to_owned())))
            }
            false => Ok(Recording {
                directory: directory.to_owned(),
                days,
            }),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// One file.
    pub(super) fn of_file(directory: &Path, day: Day) -> Recording {
        Recording {
            directory: directory.to_owned(),
            days: vec![day],
        }
    }

    /// The daily totals of what was recorded before.
    ///
    /// # Errors
    ///
    /// The directory can't be read.
    pub fn ledgers(&self) -> Result<Ledgers, RecordingError> {
        Ledgers::read(&self.directory).map_err(|source| RecordingError::Directory {
            path: self.directory.clone(),
            source,
        })
    }

    /// From the start of its first interval to the end of its last one; `None` if no frame can be
    /// read.
    ///
    /// # Errors
    ///
    /// A file can't be read.
    pub fn reach(&self) -> Result<Option<(Timestamp, Timestamp)>, RecordingError> {
        let mut samples = self.samples(Span::default());
        let mut reach: Option<(Timestamp, Timestamp)> = None;
        while samples.open_next()? {
            let frames = samples.file.take().map(|opened| opened.frames);
            for frame in frames.unwrap_or_default() {
                let Some((start, end)) = frame.entry.span() else {
                    continue;
                };
                let (first, last) = reach.unwrap_or((start, end));
                reach = Some((first.min(start), last.max(end)));
            }
        }
        Ok(reach)
    }

    /// The samples of a part, in the order in which they were recorded. Frames that can't be
    /// used are left out, see [`Samples::skipped`].
    pub fn samples(&self, span: Span) -> Samples {
        self.samples_but(&Ledgers::default(), span)
    }

    /// The same, without those of the files that daily totals hold. A recorder that was stopped
    /// leaves such a file.
    pub fn samples_but(&self, ledgers: &Ledgers, span: Span) -> Samples {
        let days = self.days.iter();
        let days = days.filter(|day| span.has_day(**day) && !ledgers.have(**day));
        Samples {
            directory: self.directory.clone(),
            days: days.copied().collect(),
            span,
            file: None,
            lines: None,
            recorded: 0,
            any: false,
            restorer: Restorer::default(),
            skipped: Skipped::default(),
        }
    }
}

/// The error that nothing is recorded yet, if a recorder is there.
pub fn too_early(directory: &Path) -> Option<RecordingError> {
    let pid = recorder(directory, "/proc".as_ref())?;
    Some(RecordingError::TooEarly {
        directory: directory.to_owned(),
        pid,
    })
}

/// What was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Number of damaged or torn frames.
    pub damaged: u64,
    /// Number of frames of a newer program.
    pub newer: u64,
    /// Files that are no recordings.
    pub foreign: Vec<PathBuf>,
    /// Number of files that a recorder removed meanwhile.
    pub removed: u64,
}

impl Skipped {
    /// What was left out, in words. Nothing if nothing was.
    pub fn messages(&self) -> Vec<String> {
        let frames = |n: u64| match n {
            1 => "1 frame (of about a minute)".to_owned(),
            n => format!("{n} frames (of about a minute each)"),
        };
        let mut messages = Vec::new();
        if self.damaged != 0 {
            let frames = frames(self.damaged);
            messages.push(format!(
                "left out {frames} that can't be read: torn or damaged"
            ));
        }
        if self.newer != 0 {
            let frames = frames(self.newer);
            messages.push(format!(
                "left out {frames} of a newer iotop-trace; use that version to read them"
            ));
        }
        if self.removed != 0 {
            let files = match self.removed {
                1 => "1 file".to_owned(),
                n => format!("{n} files"),
            };
            messages.push(format!(
                "left out {files} that the recorder has just removed; try again for its daily totals"
            ));
        }
        let foreign = self.foreign.iter();
        messages.extend(foreign.map(|path| {
            format!(
                "left out {}: it is not a recording of iotop-trace",
                path.display()
            )
        }));
        messages
    }
}

/// The samples of a part of a recording.
#[derive(Debug)]
pub struct Samples {
    directory: PathBuf,
    days: VecDeque<Day>,
    span: Span,
    file: Option<Opened>,
    /// The frame that is being read.
    lines: Option<Lines<Part>>,
    /// There was a sample.
    any: bool,
    restorer: Restorer,
    skipped: Skipped,
    recorded: u64,
}

#[derive(Debug)]
struct Opened {
    file: Arc<File>,
    frames: VecDeque<Placed>,
}

impl Samples {
    /// What was left out so far.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The bytes in files of the frames that were read so far.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The name that a device had when it was recorded.
    pub fn device_name(&self, device: Number) -> Arc<str> {
        self.restorer.device_name(device)
    }

    /// True if nothing was read, and nothing is left.
    pub fn is_empty(&self) -> bool {
        !self.any && self.lines.is_none() && self.file.is_none() && self.days.is_empty()
    }

    /// The names that devices had in the samples so far.
    pub fn device_names(&self) -> &HashMap<Number, Arc<str>> {
        self.restorer.device_names()
    }

    /// Opens the next file. False: there is none.
    fn open_next(&mut self) -> Result<bool, RecordingError> {
        let Some(day) = self.days.pop_front() else {
            return Ok(false);
        };
        let path = day::path(&self.directory, day);
        let opened = day::open(&self.directory, day);
        let opened = opened.and_then(|file| Ok((Index::of(&file)?, Arc::new(file))));
        let (index, file) = match opened {
            Ok(opened) => opened,
            // The recorder has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.skipped.removed += 1;
                return Ok(true);
            }
            Err(source) => return Err(RecordingError::File { path, source }),
        };
        if index.is_foreign() {
            self.skipped.foreign.push(path);
            return Ok(true);
        }
        self.skipped.damaged += index.damaged;
        self.skipped.newer += index.newer;
        let in_span = |frame: &Placed| match frame.entry.span() {
            Some((start, end)) => self.span.may_have(start, end),
            None => true,
        };
        let frames = index.frames.into_iter().filter(in_span).collect();
        self.file = Some(Opened { file, frames });
        Ok(true)
    }

    /// The next frame that is whole. False: there is none in this file.
    fn next_frame(&mut self) -> bool {
        while let Some(opened) = &mut self.file {
            let Some(frame) = opened.frames.pop_front() else {
                self.file = None;
                break;
            };
            match day::lines_of(&opened.file, &frame) {
                Ok(lines) => {
                    self.recorded += frame.entry.length;
                    self.lines = Some(lines);
                    return true;
                }
                Err(_) => self.skipped.damaged += 1,
            }
        }
        false
    }

    /// The next sample of the frame. The rest of a frame with a line that can't be used is left
    /// out.
    fn next_of_frame(&mut self) -> Option<Sample> {
        while let Some(lines) = &mut self.lines {
            let read = match lines.next() {
                Ok(Some([])) => continue,
                Ok(Some(line)) => self.restorer.line(line).map(|sample| (sample, false)),
                Ok(None) => Ok((self.restorer.finish(), true)),
                // It was whole just now: the file has changed, or a line is too long.
                Err(error) => Err(serde_json::Error::io(error).into()),
            };
            let is_last = read.as_ref().map_or(true, |(_, is_last)| *is_last);
            if is_last {
                self.lines = None;
            }
            match read {
                Ok((sample, _)) => {
                    if let Some(sample) = sample.filter(|sample| self.span.has(sample.time)) {
                        return Some(sample);
                    }
                }
                Err(error) => {
                    match error {
                        BadLine::Newer(_) => self.skipped.newer += 1,
                        _ => self.skipped.damaged += 1,
                    }
                    // What the line left behind.
                    self.restorer.finish();
                }
            }
        }
        None
    }
}

/// The samples of a frame's lines, and the length of these in bytes.
pub(super) fn samples_of(
    restorer: &mut Restorer,
    lines: &mut Lines<Part>,
) -> Result<(Vec<Sample>, u64), BadLine> {
    let (mut samples, mut length) = (Vec::new(), 0);
    while let Some(line) = lines.next().map_err(serde_json::Error::io)? {
        length += line.len() as u64;
        if !line.is_empty() {
            samples.extend(restorer.line(line)?);
        }
    }
    samples.extend(restorer.finish());
    Ok((samples, length))
}

impl Iterator for Samples {
    type Item = Result<Sample, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(sample) = self.next_of_frame() {
                self.any = true;
                return Some(Ok(sample));
            }
            if self.next_frame() {
                continue;
            }
            match self.open_next() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
