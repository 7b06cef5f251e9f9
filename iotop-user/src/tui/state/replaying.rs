//! What the screen says of the recording that it shows.

use jiff::{Timestamp, tz::TimeZone};

use super::app::App;
use crate::{record::Gap, view::RecordedNames};

/// How much faster than it was recorded a recording is played.
pub const SPEEDS: [u32; 4] = [1, 10, 60, 600];

/// A recording instead of the running machine.
#[derive(Clone, Debug, Default)]
pub struct Replaying {
    /// Its directory.
    pub directory: String,
    /// The number of the sample that is shown, from 1.
    pub number: u64,
    /// How many there are.
    pub samples: u64,
    /// From the start of the first to the end of the last one.
    pub reach: Option<(Timestamp, Timestamp)>,
    /// What has no samples before the one that is shown.
    pub gap: Option<Gap>,
    /// It plays.
    pub playing: bool,
    /// How fast, as an index of [`SPEEDS`].
    pub speed: usize,
    /// What the keys have asked for and takes a while.
    pub doing: Option<Doing>,
    /// The names in the samples so far.
    pub names: RecordedNames,
}

/// What takes a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doing {
    /// Reads what is needed to show the sample of this time.
    Going(Timestamp),
    /// Looks for a spike, and has come to this time.
    Searching(Timestamp),
    /// Adds up totals. In percent.
    Adding(u64),
    /// Waits for what a recorder writes.
    Waiting,
}

/// Where to go in a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Go {
    /// So many samples forward, or back.
    By(i64),
    /// To the sample of this time.
    To(Timestamp),
    /// To the first sample.
    First,
    /// To the last sample.
    Last,
    /// To the next spike, or to the previous one.
    Spike {
        /// To the next one.
        forward: bool,
    },
    /// On and on, or no further.
    Play,
    /// Faster.
    Faster,
}

impl Replaying {
    /// A user's name, or its number.
    pub fn user(&self, uid: u32) -> String {
        let known = self.names.user(uid).map(|name| name.to_string());
        known.unwrap_or_else(|| uid.to_string())
    }

    /// The time, or why it is none of this recording's.
    ///
    /// # Errors
    ///
    /// It is no time, or before the recording, or after it.
    pub fn moment(&self, text: &str, now: Timestamp, zone: &TimeZone) -> Result<Go, String> {
        match text.trim() {
            "start" => return Ok(Go::First),
            "end" => return Ok(Go::Last),
            _ => {}
        }
        let time = crate::cli::moment_at(text.trim(), now, zone)?;
        let Some((start, end)) = self.reach else {
            return Ok(Go::To(time));
        };
        if time < start || time > end {
            let [time, start, end] = [time, start, end].map(|time| day_and_time(time, zone));
            return Err(format!("{time} is not in the recording: {start} to {end}"));
        }
        Ok(Go::To(time))
    }
}

/// `2026-11-28 03:10:00`.
pub fn day_and_time(time: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(time).strftime("%F %T").to_string()
}

impl App {
    /// The time of the sample that is shown.
    pub fn now(&self) -> Option<Timestamp> {
        Some(self.interval.as_ref()?.time)
    }
}
