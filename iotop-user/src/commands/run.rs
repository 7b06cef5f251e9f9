//! `run`: starts a command once everything is counted, and reports what it cost when it has ended.

use std::{io::Write as _, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

use crate::{
    causes::with_causes,
    cli::{ReportFormat, Run},
    collect::{Collector, Exited, GATHER, Rows, Waker, Wanted},
    host::{
        devices::DeviceNames,
        supervisor::{Command, Event, ForCommand, Order, Supervisor, Talk},
    },
    output::{
        run::{Outcome, Report, Waited, json, text},
        say,
    },
    sample::Number,
    view::run::{Descendants, Tally},
};

/// Time between two samples. An interval has a row for each of the first 4,096 tasks that exited
/// in it; further ones share rows, and the report says so.
const DELAY: Duration = Duration::from_millis(200);

/// The signals that end the wait for what the command left.
const ENDS_WAIT: [libc::c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// Exit status if the command is not found, as shells have it.
const NOT_FOUND: u8 = 127;
/// Exit status if the command can't be executed.
const NOT_EXECUTABLE: u8 = 126;

/// What the collector has to gather: all tasks, and the paths of files.
pub fn wanted() -> Wanted {
    Wanted {
        rows: Rows::All,
        exited: Exited::All,
        flushes: true,
        ..Wanted::default()
    }
}

/// Runs the command that the supervisor waits to start, prints the report to standard error, and
/// returns the exit status. `by_name`: the collector may know the supervisor by another number.
///
/// # Errors
///
/// The supervisor is gone.
pub async fn run(
    collector: Collector,
    run: &Run,
    supervisor: Supervisor,
    signals: ForCommand,
    by_name: bool,
    notices: Vec<String>,
) -> Result<u8> {
    let descendants = Descendants::of(supervisor.pid, &supervisor.name, by_name);
    let mut follower = Follower {
        waker: collector.waker().context("watching the kernel half")?,
        collector,
        tally: Tally::of(descendants),
        talk: supervisor.talk().context("talking to the supervisor")?,
        signals,
        notices,
        has_failed: false,
    };
    // The supervisor is in this sample, and the command is not yet.
    follower.sample();
    if follower.signals.come().is_some() {
        bail!("ended by a signal before the command was started");
    }
    follower.talk.order(&Order::Start).await?;
    let (outcome, elapsed) = match follower.command().await? {
        Ok(ended) => ended,
        Err(error) => return Ok(not_started(&run.command, error)),
    };
    let waited = match run.wait {
        true => follower.wait().await?,
        false => Waited::No,
    };
    follower.collector.ending();
    follower.sample();
    follower.tally.finish();
    let Follower { tally, notices, .. } = follower;
    let mut names = DeviceNames::new(Path::new("/sys"));
    let words = run.command.words.iter();
    let report = Report {
        words: words
            .map(|word| word.to_string_lossy().into_owned())
            .collect(),
        time: Timestamp::now(),
        outcome,
        elapsed,
        waited,
        devices: devices(&tally)
            .map(|number| (number, names.name(number)))
            .collect(),
        tally: &tally,
        notices,
    };
    let text = match run.format {
        ReportFormat::Text => text(&report),
        ReportFormat::Json => json(&report),
    };
    // As for all messages: a closed standard error changes nothing about the command.
    let _ = std::io::stderr().write_all(text.as_bytes());
    Ok(outcome.status())
}

fn devices(tally: &Tally) -> impl Iterator<Item = Number> {
    tally.cost.devices.keys().copied()
}

/// Says that the command can't be executed, and returns the exit status.
fn not_started(command: &Command, error: i32) -> u8 {
    let program = command.words.first().map(|word| word.to_string_lossy());
    let error_text = std::io::Error::from_raw_os_error(error);
    say(&format!(
        "{}: {error_text}",
        crate::escape::escape(&program.unwrap_or_default())
    ));
    match error {
        libc::ENOENT => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    }
}

/// What is watched while the command runs.
struct Follower {
    collector: Collector,
    waker: Waker,
    tally: Tally,
    talk: Talk,
    signals: ForCommand,
    notices: Vec<String>,
    /// No further sample can be taken.
    has_failed: bool,
}

/// Why a wait for the supervisor ended.
enum Heard {
    Event(Event),
    Interrupted,
}

impl Follower {
    /// Takes a sample. If that fails, the command still runs to its end.
    fn sample(&mut self) {
        if self.has_failed {
            return;
        }
        match self.collector.sample() {
            Ok(sample) => self.tally.add(&sample),
            Err(error) => {
                self.has_failed = true;
                let why = with_causes(&error);
                let notice =
                    format!("reading the kernel's counters failed, so the rest is missing: {why}");
                self.notices.push(notice);
            }
        }
    }

    /// Samples until the supervisor says something. `pass_on`: signals are the command's;
    /// otherwise they interrupt.
    async fn hear(&mut self, pass_on: bool) -> Result<Heard> {
        let mut ticks = interval_at(Instant::now() + DELAY, DELAY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut gathering = interval(GATHER);
        gathering.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                event = self.talk.event() => return Ok(Heard::Event(event?)),
                came = self.signals.next() => match pass_on {
                    false if ENDS_WAIT.contains(&came.signal) => return Ok(Heard::Interrupted),
                    false => {}
                    // Of what the terminal sends, the command has its own.
                    true if came.from_kernel => {}
                    true => self.talk.order(&Order::Signal(came.signal)).await?,
                },
                _ = ticks.tick() => self.sample(),
                () = self.waker.asked() => self.collector.gather(),
                _ = gathering.tick() => self.collector.gather(),
            }
        }
    }

    /// Follows the command to its end, or returns the error number if it can't be executed.
    async fn command(&mut self) -> Result<Result<(Outcome, Duration), i32>> {
        loop {
            match self.hear(true).await? {
                Heard::Event(Event::Started(_)) => {}
                Heard::Event(Event::NotStarted(error)) => return Ok(Err(error)),
                Heard::Event(Event::Ended { status, elapsed_ns }) => {
                    let elapsed = Duration::from_nanos(elapsed_ns);
                    return Ok(Ok((Outcome::of_wait(status), elapsed)));
                }
                _ => bail!("the process that supervises the command is out of step"),
            }
        }
    }

    /// Waits until all processes of the command have ended and their file systems are written. A
    /// signal ends the wait.
    async fn wait(&mut self) -> Result<Waited> {
        // The one that has just ended the command is not about the wait.
        while self.signals.come().is_some() {}
        match self.hear(false).await? {
            Heard::Event(Event::AllEnded) => {}
            Heard::Event(_) => bail!("the process that supervises the command is out of step"),
            Heard::Interrupted => return Ok(Waited::Interrupted),
        }
        self.sample();
        let used: Vec<Number> = devices(&self.tally).collect();
        for order in [Order::Sync(used), Order::SyncAll] {
            // Which file systems have its pages is known only once they are written.
            let is_all_known = order != Order::SyncAll;
            if !is_all_known && self.tally.pending == Some(0) && self.has_written() {
                break;
            }
            self.talk.order(&order).await?;
            match self.hear(false).await? {
                Heard::Event(Event::Synced(failed)) => self.notices.extend(failed),
                Heard::Event(_) => bail!("the process that supervises the command is out of step"),
                Heard::Interrupted => return Ok(Waited::Interrupted),
            }
            self.sample();
        }
        Ok(Waited::Complete)
    }

    /// True if something of the command's was written: its file systems are known then.
    fn has_written(&self) -> bool {
        self.tally
            .cost
            .block
            .is_some_and(|block| block.caused() != 0)
    }
}
