//! `--explain-wakeups`: a block of text for each wake-up of a disk, and a summary at the end.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::Arc,
    time::Duration,
};

use jiff::tz::TimeZone;

use super::{
    dirty_for::dirty_for,
    explain::{command_line, counted, name, path, second},
    reached::Reached,
    units,
    why::why,
};
use crate::{
    escape::{escape, task_name},
    sample::{Number, Reason, Request, Rhythm, Sample, Silence, Suspect, System, Wake},
};

/// At most this many lines of the summary of a disk.
const CULPRITS: usize = 20;

const HOUR: Duration = Duration::from_secs(3600);
/// Fewer wake-ups can't be called irregular.
const ENOUGH: u64 = 4;

/// Prints wake-ups as text.
#[derive(Debug)]
pub struct Wakes {
    zone: TimeZone,
    /// Whole command lines, not only their beginning.
    pub full_command: bool,
    watched: Duration,
    disks: BTreeMap<Number, Seen>,
}

/// What woke one disk since the start.
#[derive(Debug, Default)]
struct Seen {
    name: Arc<str>,
    times: u64,
    /// How often each culprit did, or may have done.
    culprits: HashMap<String, Rhythm>,
    /// How often no request was seen.
    unknown: u64,
}

impl Wakes {
    /// `zone` is the time zone of all times.
    pub fn new(zone: TimeZone) -> Wakes {
        Wakes {
            zone,
            full_command: false,
            watched: Duration::ZERO,
            disks: BTreeMap::new(),
        }
    }

    /// Appends an interval's wake-ups, and after the `last` interval the summary.
    pub fn add(&mut self, text: &mut String, sample: &Sample, last: bool) {
        for wake in &sample.wakes {
            self.wake(text, wake, &sample.system);
            text.push('\n');
        }
        self.count(sample);
        if last {
            self.summary(text);
        }
    }

    /// Adds an interval's wake-ups to the summary.
    pub fn count(&mut self, sample: &Sample) {
        self.watched += sample.interval;
        for wake in &sample.wakes {
            self.count_one(wake);
        }
    }

    /// Formats one wake-up.
    pub(crate) fn wake(&self, text: &mut String, wake: &Wake, system: &System) {
        let _ = write!(
            text,
            "{} {}: woken after {}",
            second(wake.end, &self.zone),
            escape(&wake.disk_name),
            silence(wake.silence),
        );
        if !wake.through.is_empty() {
            let through: Vec<_> = wake.through.iter().map(|name| escape(name)).collect();
            let _ = write!(text, ", through {}", through.join(", "));
        }
        if let Some(suspect) = wake.culprit() {
            let _ = writeln!(text, " by {}", who(suspect));
            self.suspect(text, suspect, system, "  ");
            return;
        }
        if wake.suspects.is_empty() {
            let why = match system.block {
                Some(_) => "no request of a task was seen, only the disk's counters moved",
                None => "who made the request is unknown without eBPF",
            };
            let _ = writeln!(text, "; {why}");
            return;
        }
        let all = wake.suspects.len() as u64 + wake.more.0;
        let _ = writeln!(
            text,
            "; one of these {all} made the first request (all within {}):",
            units::duration(wake.end.duration_since(wake.start).unsigned_abs())
        );
        for suspect in &wake.suspects {
            let _ = writeln!(text, "  {}, {}", who(suspect), bytes(suspect.bytes()));
            self.suspect(text, suspect, system, "    ");
        }
        if let (more @ 1.., sum) = wake.more {
            let _ = writeln!(text, "  and {more} others, {}", bytes(sum));
        }
    }

    fn suspect(&self, text: &mut String, suspect: &Suspect, system: &System, indent: &str) {
        if let Some(task) = &suspect.task {
            let user = task.user.as_ref().map(|user| format!("user {user}"));
            let places = [&task.container, &task.unit].into_iter().flatten();
            let command = task.cmdline.as_deref();
            let command = command.map(|command| command_line(command, self.full_command));
            let parts: Vec<String> = user
                .map(|user| escape(&user).into_owned())
                .into_iter()
                .chain(places.map(|place| escape(place).into_owned()))
                .chain(command)
                .chain(task.chain().map(|chain| escape(&chain).into_owned()))
                .collect();
            if !parts.is_empty() {
                let _ = writeln!(text, "{indent}{}", parts.join("; "));
            }
        }
        for request in &suspect.requests {
            let _ = writeln!(text, "{indent}{}", asked(request));
            if let Some(flush) = &request.flush {
                let _ = writeln!(text, "{indent}  why: {}", why(flush, system));
            }
        }
        let _ = writeln!(text, "{indent}how often: {}", how_often(&suspect.rhythm));
    }

    fn count_one(&mut self, wake: &Wake) {
        let seen = self.disks.entry(wake.disk).or_default();
        seen.name = wake.disk_name.clone();
        seen.times += 1;
        seen.unknown += u64::from(wake.suspects.is_empty());
        for suspect in &wake.suspects {
            let rhythm = seen.culprits.entry(short(suspect)).or_default();
            *rhythm = suspect.rhythm;
        }
    }

    /// Appends what woke each disk, and how often.
    pub fn summary(&self, text: &mut String) {
        if self.disks.is_empty() {
            let watched = units::duration(self.watched);
            let _ = writeln!(text, "no disk was woken in {watched}");
        }
        for seen in self.disks.values() {
            let _ = writeln!(
                text,
                "{}: woken {} in {}, by:",
                escape(&seen.name),
                times(seen.times),
                units::duration(self.watched),
            );
            let mut culprits: Vec<(&String, &Rhythm)> = seen.culprits.iter().collect();
            culprits.sort_by_key(|(who, rhythm)| (std::cmp::Reverse(rhythm.times), *who));
            for (who, rhythm) in culprits.iter().take(CULPRITS) {
                let often = match rhythm.times {
                    1 => one_of_several(rhythm).unwrap_or("once".to_owned()),
                    _ => how_often(rhythm),
                };
                let _ = writeln!(text, "  {:>6}  {who}: {often}", rhythm.times);
            }
            if let Some(rest @ 1..) = culprits.len().checked_sub(CULPRITS) {
                let _ = writeln!(text, "          and {rest} others");
            }
            if seen.unknown != 0 {
                let _ = writeln!(text, "  {:>6}  no request of a task was seen", seen.unknown);
            }
        }
    }
}

/// `2.0s to 4.0s of silence`. Of a long silence the bounds look alike.
pub(crate) fn silence(silence: Silence) -> String {
    let least = units::duration(silence.at_least);
    match silence.at_most {
        None => format!("at least {least} of silence (since the trace began)"),
        Some(most) if most.saturating_sub(silence.at_least) * 20 <= most => {
            format!("{least} of silence")
        }
        Some(most) => format!("{least} to {} of silence", units::duration(most)),
    }
}

/// `every 30.0s, 12 times`, or `irregular, 9 times in the last hour`. Too few are called neither.
pub(crate) fn how_often(rhythm: &Rhythm) -> String {
    let mut text = match (rhythm.period, rhythm.times) {
        (Some(period), n) => format!("every {}, {}", units::duration(period), times(n)),
        (None, 1) => "for the first time".to_owned(),
        (None, n) => {
            let irregular = if n < ENOUGH { "" } else { "irregular, " };
            let watched = match rhythm.watched < HOUR {
                true => units::duration(rhythm.watched),
                false => "hour".to_owned(),
            };
            format!("{irregular}{} in the last {watched}", times(rhythm.recent))
        }
    };
    if let Some(several) = one_of_several(rhythm) {
        let _ = write!(text, "; {several}");
    }
    text
}

/// How often others may have woken the disk instead.
fn one_of_several(rhythm: &Rhythm) -> Option<String> {
    match rhythm.times - rhythm.alone {
        0 => None,
        _ if rhythm.alone == 0 => Some("always one of several".to_owned()),
        n => Some(format!("{} one of several", times(n))),
    }
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

/// Names a suspect.
pub(crate) fn who(suspect: &Suspect) -> String {
    match &suspect.task {
        None => without_owner(suspect.unowned),
        Some(task) if suspect.tasks <= task.tasks() => name(task),
        Some(task) => {
            let comm = task_name(&task.comm, task.kthread);
            format!("{} ({})", escape(&comm), counted(suspect.tasks, "task"))
        }
    }
}

/// Names a suspect without the numbers of its tasks, with where it runs.
fn short(suspect: &Suspect) -> String {
    let Some(task) = &suspect.task else {
        return without_owner(suspect.unowned);
    };
    let comm = match task.kthread && task.comm.starts_with("kworker/") {
        true => "[kworker]".into(),
        false => task_name(&task.comm, task.kthread),
    };
    let comm = escape(&comm);
    let place = task.container.as_ref().or(task.unit.as_ref());
    let place = place.map_or(String::new(), |place| format!("; {}", escape(place)));
    match &task.user {
        Some(user) => format!("{comm}; user {}{place}", escape(user)),
        None => format!("{comm}{place}"),
    }
}

fn without_owner(reason: Option<Reason>) -> String {
    let reason = reason.unwrap_or(Reason::Unknown);
    format!("writes without an owner ({})", reason.sentence())
}

/// `wrote 4.00K to /a, /b, submitted by [kworker/u8:2] (TID 77), dirty for 5.1s`.
fn asked(request: &Request) -> String {
    let (verb, to) = match request.read {
        true => ("read", "from"),
        false => ("wrote", "to"),
    };
    let mut text = format!("{verb} {}", bytes(request.bytes));
    if !request.read && request.flush.is_none() {
        text.push_str(", a copy of a write to a device on top of the disk");
    }
    if request.shared != 0 {
        let reached = Reached {
            exact: request.bytes.saturating_sub(request.shared),
            shared: request.shared,
            metadata: request.metadata,
        };
        let _ = write!(text, " ({})", reached.parts(false));
    }
    let files: Vec<String> = request.files.iter().map(path).collect();
    if !files.is_empty() {
        let _ = write!(text, " {to} {}", files.join(", "));
        if request.more_files != 0 {
            let _ = write!(text, " and {} more", counted(request.more_files, "file"));
        }
    }
    if let Some(submitter) = &request.submitter {
        let _ = write!(text, ", submitted by {}", name(submitter));
    }
    if let Some(lag) = &request.lag {
        let _ = write!(text, ", dirty for {}", dirty_for(lag));
    }
    text
}

fn bytes(n: u64) -> String {
    units::bytes(n as f64, false)
}
