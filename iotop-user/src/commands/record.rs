//! `iotop-trace record`: samples and records until it is told to stop.

use std::{collections::HashSet, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::{
    collect::{Collector, GATHER, recorded::leave_out_idle_disks},
    host::{devices::DeviceNames, signals::Ending},
    output::say,
    record::{Frame, Outcome, Store, lines},
    sample::{Loss, Sample, TaskKey},
};

/// Records one interval after the other. ^C, SIGTERM and SIGHUP end it: the unfinished interval
/// is still recorded.
///
/// # Errors
///
/// A source can no longer be read, or a file can't be written.
pub async fn run(mut collector: Collector, store: Store, delay: Duration) -> Result<()> {
    let mut ending = Ending::watch(|| ()).context("waiting for signals")?;
    let mut recorder = Recorder::new(store);
    let waker = collector.waker().context("watching the kernel half")?;
    let mut ticks = interval_at(Instant::now() + delay, delay);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gathering = interval(GATHER);
    loop {
        let stop = tokio::select! {
            _ = gathering.tick() => {
                collector.gather();
                continue;
            }
            () = waker.asked() => {
                collector.gather();
                continue;
            }
            _ = ticks.tick() => false,
            () = ending.asked() => true,
        };
        if stop {
            collector.ending();
        }
        let sample = collector
            .sample()
            .context("reading the kernel's counters")?;
        recorder.record(sample)?;
        if stop {
            break;
        }
    }
    recorder.finish()?;
    ending.finish();
    Ok(())
}

/// Fills frames with samples.
pub struct Recorder {
    store: Store,
    frame: Option<Frame>,
    names: DeviceNames,
    /// Live tasks with a row in the recording.
    live: HashSet<TaskKey>,
    /// Intervals for which the disk had no room since the last one that was recorded.
    missing: u64,
    lines: BytesMut,
}

impl Recorder {
    /// Starts without samples.
    pub fn new(store: Store) -> Recorder {
        Recorder {
            store,
            frame: None,
            names: DeviceNames::new(Path::new("/sys")),
            live: HashSet::new(),
            missing: 0,
            lines: BytesMut::new(),
        }
    }

    /// Records a sample. It is in its file once its frame is full.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn record(&mut self, mut sample: Sample) -> Result<()> {
        for one in &sample.unanswered {
            say(&one.to_string());
        }
        self.leave_out(&mut sample);
        // A frame whose samples are lost is lost as a whole, with this number.
        let missing = match self.frame {
            None => self.missing,
            Some(_) => 0,
        };
        sample.system.lost[Loss::Intervals] = Some(missing);
        self.lines.clear();
        let names = &mut self.names;
        lines(&sample, |device| names.name(device), &mut self.lines)?;
        match &mut self.frame {
            Some(frame) => frame.add(&sample, &self.lines)?,
            None => self.frame = Some(Frame::begin(&sample, &self.lines)?),
        }
        match self.frame.as_ref().is_some_and(Frame::is_full) {
            true => self.finish(),
            false => Ok(()),
        }
    }

    /// Writes the frame as it is.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn finish(&mut self) -> Result<()> {
        let Some(frame) = self.frame.take() else {
            return Ok(());
        };
        let samples = frame.samples();
        match self.store.add(frame)? {
            Outcome::Written => {
                if self.missing != 0 {
                    let missing = self.missing;
                    say(&format!(
                        "there is room again: recording goes on after {missing} intervals"
                    ));
                }
                self.missing = 0;
            }
            Outcome::DiskFull => {
                if self.missing == 0 {
                    say(
                        "the disk is full, and there is no older recording to remove: recording \
                         pauses until there is room",
                    );
                }
                self.missing += samples;
            }
        }
        Ok(())
    }

    /// Leaves out what says nothing: disks without I/O, and exited tasks without a row. Each frame
    /// says once which disks there are: one may be woken through another that lies on it.
    fn leave_out(&mut self, sample: &mut Sample) {
        if self.frame.is_some() {
            leave_out_idle_disks(sample);
        }
        sample.exited.retain(|task| self.live.remove(task));
        let live = sample.tasks.iter().filter(|task| !task.exited);
        self.live.extend(live.map(|task| task.key()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        golden,
        record::{Recording, Retention, Span},
    };

    /// Regression: each sample of a frame said it, and totals had a multiple.
    #[test]
    fn missing_intervals_are_said_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let all = Retention {
            days: 30,
            bytes: 1 << 30,
        };
        let store = Store::open(directory.path(), all).expect("opened");
        let mut recorder = Recorder::new(store);
        recorder.missing = 5;
        for seconds in 1..=3 {
            let mut sample = golden::sample();
            sample.time += Duration::from_secs(seconds);
            recorder.record(sample).expect("recorded");
        }
        recorder.finish().expect("written");
        let recording = Recording::open(directory.path()).expect("opened");
        let lost: Vec<Option<u64>> = recording
            .samples(Span::default())
            .map(|sample| sample.expect("read").system.lost[Loss::Intervals])
            .collect();
        assert_eq!(lost, [Some(5), Some(0), Some(0)]);
    }
}
