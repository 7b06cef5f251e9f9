//! What the program is to do, resolved from the command line.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;

use super::{GroupBy, ReportFormat, Side, SpanFormat};
use crate::{
    collect::Wanted,
    host::supervisor::Command,
    output::{Export, Text},
    record::{Retention, Span},
    report::ReportBy,
    sample::{SpikeRule, WakeRule},
    view::{Field, Filter, OnDevice, Sort, View},
};

/// The resolved command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What to run.
    pub action: Action,
    /// Where the kernel half comes from.
    pub ebpf: Ebpf,
}

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Show on the terminal.
    Live(Box<Live>),
    /// Sample and print.
    Batch(Box<Batch>),
    /// Sample and record.
    Record(Record),
    /// Print a recording.
    Replay(Box<Replay>),
    /// Report on a recording.
    Report(Report),
    /// Report on the kernel.
    Doctor(ReportFormat),
    /// Run a command and report what it cost.
    Run(Run),
    /// Print this text.
    Print(String),
}

/// How to record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Time between two samples.
    pub delay: Duration,
    /// Where the files are.
    pub directory: PathBuf,
    /// How much of them is kept.
    pub retention: Retention,
}

/// What of a recording to report on, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Where the files are.
    pub directory: PathBuf,
    /// The part.
    pub span: Span,
    /// What a row is.
    pub by: ReportBy,
    /// Two parts or recordings to compare instead.
    pub compare: Option<(Side, Side)>,
    /// How many rows of text to print.
    pub top: usize,
    /// What a wake-up of a disk is, if these are wanted.
    pub wakes: Option<WakeRule>,
    /// The format.
    pub format: SpanFormat,
}

/// What of a recording to print, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Where the files are.
    pub directory: PathBuf,
    /// The part.
    pub span: Span,
    /// Where to open it; printed is only this interval.
    pub at: Option<Timestamp>,
    /// Only these users' tasks, by their names or numbers in the recording; empty: all.
    pub users: Vec<String>,
    /// How it is shown on a terminal; `None`: it is printed.
    pub live: Option<Live>,
    /// How it is printed. Its interval means nothing here, and its devices have no numbers yet.
    pub batch: Batch,
}

/// How to run a command and report.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What to run.
    pub command: Command,
    /// Wait until all that it wrote is on the devices.
    pub wait: bool,
    /// The format of the report.
    pub format: ReportFormat,
}

/// Where the kernel half comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Ebpf {
    /// Do not use it.
    Off,
    /// The built-in object, if it can be used.
    BuiltIn,
    /// The built-in object. It is an error if it can't be used.
    Required,
    /// An object in a file.
    File(PathBuf),
}

/// How the live view starts: what the command line adds to the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Time between two samples.
    pub delay: Option<Duration>,
    /// Number of samples; `None`: until the user quits.
    pub iterations: Option<u64>,
    /// Only rows that do I/O or have dirty pages.
    pub only: bool,
    /// What a row is.
    pub group_by: Option<GroupBy>,
    /// Totals instead of rates.
    pub accumulated: bool,
    /// Kilobytes instead of fitting units.
    pub kilobytes: bool,
    /// What the rows are sorted by.
    pub sort: Option<Sort>,
    /// The columns; empty: the usual ones.
    pub columns: Vec<&'static Field>,
    /// Only these processes; empty: all.
    pub pids: Vec<u32>,
    /// Only these users' tasks; empty: all.
    pub uids: Vec<u32>,
    /// Only tasks whose command matches.
    pub filter: Option<Filter>,
    /// Only these devices' I/O.
    pub device: Option<OnDevice>,
    /// Command lines instead of names.
    pub command_line: bool,
    /// Start with the page of flushes and spikes.
    pub explain: bool,
    /// Start with the page of this process.
    pub detail: Option<u32>,
    /// Start with the page of wake-ups.
    pub explain_wakes: bool,
    /// What a spike is.
    pub spikes: SpikeRule,
    /// What a wake-up is.
    pub wakes: WakeRule,
}

/// How to sample and print.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Time between two samples.
    pub delay: Duration,
    /// Number of samples; `None`: until ^C.
    pub iterations: Option<u64>,
    /// What the collector has to gather.
    pub wanted: Wanted,
    /// How its samples are selected and grouped.
    pub view: View,
    /// `None`: text starts with what moved most, and exports keep the collector's order.
    pub sort: Option<Sort>,
    /// Print only this many rows of each interval.
    pub top: Option<usize>,
    /// Print once, at the end.
    pub at_end: bool,
    /// The chosen fields; `None`: the usual ones.
    pub fields: Option<Vec<&'static Field>>,
    /// `None`: text.
    pub export: Option<Export>,
    /// Text shows flushes instead of tasks.
    pub explain: bool,
    /// Text shows wake-ups, alone or with flushes.
    pub explain_wakes: bool,
    /// Text shows only spikes.
    pub only_spikes: bool,
    /// How the text looks.
    pub text: Text,
}
