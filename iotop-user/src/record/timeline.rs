//! The samples of a recording in both directions.
//!
//! A light index knows each frame's place and times. Frames are independent of each other, so
//! any of them is decoded alone, and only a few stay decoded: memory does not grow with the length
//! of the recording.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    day::{self, Day, Index, Part, Placed},
    frame::Lines,
    read::{Recording, RecordingError, Skipped, Span, samples_of},
    restore::{BadLine, Restorer},
};
use crate::sample::{Number, Sample};

/// At most this many frames stay decoded,
const DECODED: usize = 16;
/// and at most this many bytes of lines. The newest one always stays.
const DECODED_BYTES: u64 = 64 << 20;

/// No frame has more samples: one that claims more is counted when it is decoded.
const MOST_SAMPLES: u64 = 1 << 20;

/// What the line of a spike begins with.
const SPIKE: &[u8] = b"{\"v\":1,\"type\":\"spike\"";

/// The place of a sample: its frame, and its index in the part of the frame that is in the span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The frame.
    pub frame: usize,
    /// The sample in the frame.
    pub sample: usize,
}

/// The decoded samples of a frame.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Those that are in the span.
    pub samples: Vec<Sample>,
    /// The names that devices had.
    pub names: HashMap<Number, Arc<str>>,
    length: u64,
}

/// A frame of the index.
#[derive(Clone, Copy, Debug)]
struct Framed {
    file: usize,
    at: u64,
    length: u64,
    start: Timestamp,
    end: Timestamp,
    /// How many samples it has in the span: what its entry says, until it is decoded.
    samples: u64,
}

/// A file, and where its last whole frame ends.
#[derive(Clone, Copy, Debug)]
struct Known {
    day: Day,
    end: u64,
}

/// The samples of a part of a recording, from which any can be read.
#[derive(Debug)]
pub struct Timeline {
    directory: PathBuf,
    span: Span,
    files: Vec<Known>,
    frames: Vec<Framed>,
    /// The frames that were decoded last, newest first.
    decoded: VecDeque<(usize, Arc<Decoded>)>,
    skipped: Skipped,
}

impl Timeline {
    /// Reads the index of a part of a recording.
    ///
    /// # Errors
    ///
    /// A file can't be read.
    pub fn of(recording: &Recording, span: Span) -> Result<Timeline, RecordingError> {
        let mut timeline = Timeline {
            directory: recording.directory().to_owned(),
            span,
            files: Vec::new(),
            frames: Vec::new(),
            decoded: VecDeque::new(),
            skipped: Skipped::default(),
        };
        timeline.refresh()?;
        Ok(timeline)
    }

    /// Adds what was recorded since the last look. Returns true if that is anything.
    ///
    /// # Errors
    ///
    /// A file can't be read.
    pub fn refresh(&mut self) -> Result<bool, RecordingError> {
        let directory = self.directory.clone();
        let listed = Day::list(&directory);
        let days = listed.map_err(|source| RecordingError::Directory {
            path: directory.clone(),
            source,
        })?;
        let last = self.files.last().map(|known| known.day);
        let is_open = |day: &Day| last.is_none_or(|last| *day >= last) && self.span.has_day(*day);
        let days: Vec<Day> = days.into_iter().filter(is_open).collect();
        let before = self.frames.len();
        for day in days {
            self.read_index(day)?;
        }
        Ok(self.frames.len() != before)
    }

    fn read_index(&mut self, day: Day) -> Result<(), RecordingError> {
        let is_new = self.files.last().is_none_or(|known| known.day != day);
        let from = self.files.last().filter(|_| !is_new);
        let from = from.map_or(0, |known| known.end);
        let read = day::open(&self.directory, day);
        let index = match read.and_then(|file| Index::after(&file, from)) {
            Ok(index) => index,
            // The recorder has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => {
                let path = day::path(&self.directory, day);
                return Err(RecordingError::File { path, source });
            }
        };
        if is_new && index.is_foreign() {
            let path = day::path(&self.directory, day);
            if !self.skipped.foreign.contains(&path) {
                self.skipped.foreign.push(path);
            }
            return Ok(());
        }
        if is_new {
            self.files.push(Known { day, end: 0 });
        }
        let file = self.files.len() - 1;
        // What follows the last whole frame may be one that is being written.
        self.files[file].end = index.end.max(from);
        self.skipped.newer += index.newer;
        if is_new {
            self.skipped.damaged += index.damaged;
        }
        for Placed { entry, at } in &index.frames {
            let Some((start, end)) = entry.span() else {
                self.skipped.damaged += 1;
                continue;
            };
            if !self.span.may_have(start, end) {
                continue;
            }
            self.frames.push(Framed {
                file,
                at: *at,
                length: entry.length,
                start,
                end,
                samples: entry.samples.min(MOST_SAMPLES),
            });
            if !self.span.has_all(start, end) {
                // So that the numbers of its samples are right from the start.
                self.decode(self.frames.len() - 1);
            }
        }
        Ok(())
    }

    /// What was left out so far.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// Number of samples.
    pub fn samples(&self) -> u64 {
        self.frames.iter().map(|frame| frame.samples).sum()
    }

    /// The number of a sample among all, from 1.
    pub fn number(&self, at: Position) -> u64 {
        let before = self.frames.iter().take(at.frame);
        before.map(|frame| frame.samples).sum::<u64>() + at.sample as u64 + 1
    }

    /// When a frame starts; the last one, if there are fewer.
    pub fn start_of(&self, frame: usize) -> Option<Timestamp> {
        let frame = self.frames.get(frame).or(self.frames.last())?;
        Some(frame.start)
    }

    /// Whether no sample is known after this one.
    pub fn is_last(&self, at: Position) -> bool {
        self.number(at) >= self.samples()
    }

    /// From the start of the first frame to the end of the last one.
    pub fn reach(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.frames.first()?.start, self.frames.last()?.end))
    }

    /// The samples of a frame. A frame that can't be read has none.
    pub fn decode(&mut self, frame: usize) -> Arc<Decoded> {
        if let Some(at) = self.decoded.iter().position(|(known, _)| *known == frame)
            && let Some(known) = self.decoded.remove(at)
        {
            let decoded = Arc::clone(&known.1);
            self.decoded.push_front(known);
            return decoded;
        }
        let Some(framed) = self.frames.get(frame).copied() else {
            return Arc::default();
        };
        // One that is known to have none was counted as damaged before.
        let read = match framed.samples {
            0 => Ok(Decoded::default()),
            _ => self.read(&framed),
        };
        let decoded = read.unwrap_or_else(|newer| {
            let count = match newer {
                true => &mut self.skipped.newer,
                false => &mut self.skipped.damaged,
            };
            *count += 1;
            Decoded::default()
        });
        self.frames[frame].samples = decoded.samples.len() as u64;
        let decoded = Arc::new(decoded);
        self.decoded.push_front((frame, Arc::clone(&decoded)));
        self.forget();
        decoded
    }

    /// Decodes a frame. If that fails: whether a newer program wrote it.
    fn read(&self, frame: &Framed) -> Result<Decoded, bool> {
        let mut lines = self.lines(frame).map_err(|_| false)?;
        let mut restorer = Restorer::default();
        let read = samples_of(&mut restorer, &mut lines);
        let (mut samples, length) = read.map_err(|error| matches!(error, BadLine::Newer(_)))?;
        samples.retain(|sample| self.span.has(sample.time));
        Ok(Decoded {
            samples,
            names: restorer.device_names().clone(),
            length,
        })
    }

    fn lines(&self, frame: &Framed) -> io::Result<Lines<Part>> {
        let file = day::open(&self.directory, self.files[frame.file].day)?;
        day::lines_at(&Arc::new(file), frame.at, frame.length)
    }

    fn forget(&mut self) {
        let mut bytes = 0;
        let mut kept = 0;
        for (_, decoded) in self.decoded.iter().take(DECODED) {
            bytes += decoded.length;
            if kept != 0 && bytes > DECODED_BYTES {
                break;
            }
            kept += 1;
        }
        self.decoded.truncate(kept);
    }

    /// Whether a frame may have a spike. It is not decoded for that.
    pub fn may_have_spike(&self, frame: usize) -> bool {
        let Some(framed) = self.frames.get(frame) else {
            return false;
        };
        let Ok(mut lines) = self.lines(framed) else {
            return false;
        };
        while let Ok(Some(line)) = lines.next() {
            if line.starts_with(SPIKE) {
                return true;
            }
        }
        false
    }

    /// The first sample.
    pub fn first(&mut self) -> Option<Position> {
        self.first_from(0)
    }

    /// The last sample.
    pub fn last(&mut self) -> Option<Position> {
        self.last_before(self.frames.len())
    }

    fn first_from(&mut self, frame: usize) -> Option<Position> {
        let frame = (frame..self.frames.len()).find(|at| !self.decode(*at).samples.is_empty())?;
        Some(Position { frame, sample: 0 })
    }

    fn last_before(&mut self, frame: usize) -> Option<Position> {
        let mut before = (0..frame).rev();
        let frame = before.find(|at| !self.decode(*at).samples.is_empty())?;
        let sample = self.decode(frame).samples.len() - 1;
        Some(Position { frame, sample })
    }

    /// The sample after this one.
    pub fn next(&mut self, at: Position) -> Option<Position> {
        match at.sample + 1 < self.decode(at.frame).samples.len() {
            true => Some(Position {
                sample: at.sample + 1,
                ..at
            }),
            false => self.first_from(at.frame + 1),
        }
    }

    /// The sample before this one.
    pub fn previous(&mut self, at: Position) -> Option<Position> {
        match at.sample.checked_sub(1) {
            Some(sample) => Some(Position { sample, ..at }),
            None => self.last_before(at.frame),
        }
    }

    /// The sample so many before this one, or the first one.
    pub fn back(&mut self, at: Position, by: usize) -> Position {
        (0..by)
            .try_fold(at, |at, _| self.previous(at).ok_or(at))
            .unwrap_or_else(|first| first)
    }

    /// The sample whose interval has this time, its end included; the next one if there is none.
    pub fn at(&mut self, time: Timestamp) -> Option<Position> {
        for frame in 0..self.frames.len() {
            if self.frames[frame].end < time {
                continue;
            }
            let decoded = self.decode(frame);
            let mut samples = decoded.samples.iter();
            if let Some(sample) = samples.position(|sample| sample.time >= time) {
                return Some(Position { frame, sample });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
