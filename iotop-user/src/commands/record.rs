//! `iotop-trace record`: samples and records until it is told to stop.

use std::{collections::HashSet, fmt, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use bytes::BytesMut;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::{
    collect::{Collector, GATHER, recorded::leave_out_idle_disks},
    host::{devices::DeviceNames, signals::Ending},
    output::say,
    record::{Day, Frame, Outcome, Store, lines},
    report::{bytes, part},
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
        let sample = collector.sample();
        recorder.take(sample.context("reading the kernel's counters"))?;
        if stop {
            break;
        }
    }
    recorder.finish()?;
    say(&recorder.cost().to_string());
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
    /// What the recording itself caused, and all that was written meanwhile.
    own: Own,
    lines: BytesMut,
}

/// What the recorder itself wrote, by the row of its own task.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    /// Bytes that it caused, journals and metadata among them. `None`: no sample has its row. It
    /// has written nothing, or has another PID there.
    caused: Option<u64>,
    /// All written bytes; `None` without eBPF.
    all: Option<u64>,
}

impl Own {
    fn count(&mut self, sample: &Sample, pid: u32) {
        let Some(block) = &sample.system.block else {
            return;
        };
        self.all = Some(self.all.unwrap_or(0).saturating_add(block.write));
        let own = sample.tasks.iter().filter(|task| task.pid == pid);
        let caused = own.filter_map(|task| Some(task.block.as_ref()?.caused()));
        for bytes in caused {
            self.caused = Some(self.caused.unwrap_or(0).saturating_add(bytes));
        }
    }
}

/// What was recorded, and what that cost.
struct Cost {
    own: Own,
    /// Bytes that were written to files.
    recorded: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recorded = bytes(self.recorded);
        let Some(all) = self.own.all else {
            return write!(
                f,
                "recorded {recorded}; what it caused is not known without eBPF"
            );
        };
        write!(f, "recorded {recorded}")?;
        // Of a quiet machine, the recording has more than was written.
        if all > self.recorded {
            let (part, all) = (part(self.recorded, all), bytes(all));
            write!(f, ", {part} of the {all} that it saw")?;
        }
        match self.own.caused.map(bytes) {
            Some(caused) => write!(
                f,
                "; before the last frame it caused {caused} of these itself"
            ),
            None => Ok(()),
        }
    }
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
            own: Own::default(),
            lines: BytesMut::new(),
        }
    }

    /// Records a sample. Without one, the samples before it are written: the run ends.
    ///
    /// # Errors
    ///
    /// There is none, or the file can't be written.
    pub fn take(&mut self, sample: Result<Sample>) -> Result<()> {
        match sample {
            Ok(sample) => self.record(sample),
            Err(error) => {
                if let Err(unwritten) = self.finish() {
                    say(&format!("the last minute is lost: {unwritten:#}"));
                }
                Err(error)
            }
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
        self.own.count(&sample, std::process::id());
        self.leave_out(&mut sample);
        // Each interval is in the files of the day in which it ends, and so in its totals.
        let day = Day::of(sample.time);
        let is_next = |frame: &Frame| Day::of(frame.end()) != day;
        if self.frame.as_ref().is_some_and(is_next) {
            self.finish()?;
        }
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
        // A frame that is not compressible fits too, and the next sample.
        let most = self.store.retention().for_frames() / 4;
        match self.frame.as_ref().is_some_and(|frame| frame.is_full(most)) {
            true => self.finish(),
            false => Ok(()),
        }
    }

    /// What was recorded so far, and what that cost.
    fn cost(&self) -> Cost {
        Cost {
            own: self.own,
            recorded: self.store.written(),
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
        let outcome = self.store.add(frame)?;
        for note in self.store.notes() {
            say(&note);
        }
        match outcome {
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
            Outcome::TooLarge => {
                say(&format!(
                    "{samples} intervals are not recorded: they take more room than a half of \
                     --max-size"
                ));
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

    fn store(directory: &Path) -> Store {
        let all = Retention {
            days: 30,
            bytes: 1 << 30,
        };
        Store::open(directory, all).expect("opened")
    }

    fn at(seconds: i64) -> Sample {
        let mut sample = golden::sample();
        sample.time += jiff::SignedDuration::from_secs(seconds);
        sample
    }

    /// Regression: up to a minute that was sampled was lost with it.
    #[test]
    fn if_the_kernels_counters_can_no_longer_be_read_what_was_recorded_is_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut recorder = Recorder::new(store(directory.path()));
        recorder.take(Ok(at(1))).expect("recorded");
        recorder.take(Ok(at(2))).expect("recorded");
        let error = recorder
            .take(Err(anyhow::anyhow!("gone")))
            .expect_err("it ends");
        assert_eq!(error.to_string(), "gone");
        let recording = Recording::open(directory.path()).expect("opened");
        assert_eq!(recording.samples(Span::default()).count(), 2);
    }

    #[test]
    fn no_frame_reaches_over_midnight() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut recorder = Recorder::new(store(directory.path()));
        let midnight: jiff::Timestamp = "2026-11-29T00:00:00Z".parse().expect("a time");
        for seconds in [-10, -5, 5, 10] {
            let mut sample = golden::sample();
            sample.time = midnight + jiff::SignedDuration::from_secs(seconds);
            recorder.record(sample).expect("recorded");
        }
        recorder.finish().expect("written");
        for name in ["2026-11-28.ndjson.zst", "2026-11-29.ndjson.zst"] {
            let one = tempfile::tempdir().expect("a directory");
            std::fs::rename(directory.path().join(name), one.path().join(name)).expect("there");
            let recording = Recording::open(one.path()).expect("opened");
            assert_eq!(recording.samples(Span::default()).count(), 2, "{name}");
        }
    }

    #[test]
    fn the_recorders_own_writes_are_those_of_its_tasks() {
        let mut own = Own::default();
        let sample = golden::sample();
        let writer = sample
            .tasks
            .iter()
            .find(|task| task.block.as_ref().is_some_and(|block| block.caused() != 0));
        let writer = writer.expect("one");
        own.count(&sample, writer.pid);
        own.count(&sample, writer.pid);
        let of_pid = sample.tasks.iter().filter(|task| task.pid == writer.pid);
        let caused = of_pid.filter_map(|task| Some(task.block.as_ref()?.caused()));
        assert_eq!(own.caused, Some(2 * caused.sum::<u64>()));
        assert_eq!(
            own.all,
            Some(2 * sample.system.block.expect("traced").write)
        );
        let mut cost = Cost {
            own: Own::default(),
            recorded: 5 << 20,
        };
        let said = "recorded 5.00M; what it caused is not known without eBPF";
        assert_eq!(cost.to_string(), said);
        cost.own = Own {
            caused: Some(6 << 20),
            all: Some(9000 << 20),
        };
        let said = "recorded 5.00M, 1/1800 of the 8.79G that it saw; before the last frame it \
                    caused 6.00M of these itself";
        assert_eq!(cost.to_string(), said);
    }

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
