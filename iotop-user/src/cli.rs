//! The command line: parsed by clap into [`Cli`], resolved once into [`Config`].

mod config;
mod replay;
mod resolve;
mod units;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use config::*;
pub use resolve::{UsageError, on_device};
pub use units::Side;
pub(crate) use units::moment_at;
use units::{days, moment, side, size};

use crate::{
    output::Export,
    report::ReportBy,
    sample::{SpikeRule, WakeRule},
    view::{By, Field, Filter, Sort, fields},
};

/// The shortest interval: it must have time for a grace period and a pass over all tasks.
const SHORTEST: f64 = 0.05;

/// The longest interval: about thirty years. A much longer one would overflow the clock.
const LONGEST: f64 = 1e9;

/// Shows which tasks really caused the disk writes
#[derive(Debug, Parser)]
#[command(name = "iotop-trace", version, about, max_term_width = 100)]
#[command(
    after_help = "Needs root, or CAP_BPF and CAP_PERFMON. Without them it shows what it still can \
    (all tasks' counters with CAP_NET_ADMIN) and says what is missing. `iotop-trace doctor` explains why.",
    after_long_help = format!(
        "Fields (for --fields and --sort, by name or header, in any case):\n\n{}\n\
        Needs root, or CAP_BPF and CAP_PERFMON. Without them it shows what it still can \
        (all tasks' counters with CAP_NET_ADMIN) and says what is missing. `iotop-trace doctor` explains why.",
        fields::help()
    )
)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<CommandCli>,
}

/// What is gathered, and how the view starts.
#[derive(Debug, Args)]
struct Options {
    #[command(flatten)]
    view: ViewOptions,
    /// Refresh interval in seconds; fractions are allowed [default: 1]
    #[arg(short, long, value_name = "SEC", value_parser = seconds, allow_negative_numbers = true)]
    delay: Option<Duration>,
    /// With --explain-writeback: a rate above TIMES times the usual one is a spike
    ///
    /// The usual rate is the one that 98 % of the last 600 intervals stayed below.
    #[arg(long, value_name = "TIMES", requires = "explain_writeback", default_value_t = SpikeRule::default().factor, value_parser = times)]
    spike_factor: f64,
    /// With --explain-writeback: a rate of up to MIB MiB per second is not a spike
    #[arg(long, value_name = "MIB", requires = "explain_writeback", default_value_t = SpikeRule::default().floor / MIB, value_parser = times)]
    spike_floor: f64,
    /// With --explain-writeback: no spikes in the first SEC seconds
    ///
    /// Until then there is too little history to call a rate unusual.
    #[arg(long, value_name = "SEC", requires = "explain_writeback", default_value_t = SpikeRule::default().history.as_secs())]
    spike_history: u64,
    /// Explain what wakes each disk: the first request after silence, reads included
    ///
    /// Prints when, after how long a silence, which task asked for it (for a write the one that
    /// made the pages dirty), which file, how many bytes, why then, and how regularly. If several
    /// tasks made requests in that interval, each is named with its bytes: any of them may have
    /// been the first. Ends with a summary for each disk. On a terminal the live view starts with
    /// the page that z opens. With --export ndjson it adds `wake` lines.
    #[arg(long)]
    explain_wakeups: bool,
    /// With --explain-wakeups: report requests after SEC seconds of silence
    ///
    /// Silence is known to within an interval, so SEC can't be below the interval (-d).
    #[arg(long, value_name = "SEC", requires = "explain_wakeups", default_value_t = WakeRule::default().idle.as_secs_f64(), value_parser = idle)]
    idle: f64,
    /// Print the JSON Schema of the lines of --export ndjson and exit
    #[arg(long)]
    schema: bool,
    /// Start the live view with the page of this process
    #[arg(long, value_name = "PID", conflicts_with_all = ["explain_writeback", "explain_wakeups", "group_by"])]
    detail: Option<u32>,
    /// Exit with status 1 if eBPF can't be used, without which it is unknown who caused the writes
    #[arg(long, conflicts_with = "no_ebpf")]
    require_ebpf: bool,
    /// Do not use eBPF: show only the task counters and /proc/vmstat
    #[arg(long, global = true)]
    no_ebpf: bool,
    /// Load the kernel half from this object file instead of the built-in one
    #[arg(long, value_name = "FILE", hide_short_help = true, global = true)]
    ebpf_object: Option<PathBuf>,
}

/// What is shown of the samples, and how.
#[derive(Clone, Debug, Default, PartialEq, Args)]
struct ViewOptions {
    /// Only show tasks that do I/O or have dirty pages
    ///
    /// With --export or --fields, also tasks for which any other value that is printed is not 0.
    #[arg(short, long)]
    only: bool,
    /// Print text, one block per interval, instead of the live view
    ///
    /// Implied by -t, -q, --top and --final, when standard output is not a terminal, and by
    /// TERM=dumb.
    #[arg(short, long)]
    batch: bool,
    /// Exit after NUM intervals [default: run until ^C]
    #[arg(short = 'n', long = "iter", value_name = "NUM", value_parser = clap::value_parser!(u64).range(1..))]
    iter: Option<u64>,
    /// Only show these processes, with all their threads (PID,PID for several)
    ///
    /// PID may also be the TID of a thread. A process that reuses the PID of one that has exited is
    /// not shown.
    #[arg(short, long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Only show the tasks of these users, by name or number (USER,USER for several)
    #[arg(short, long, value_name = "USER", value_delimiter = ',')]
    user: Vec<String>,
    /// Show processes instead of threads
    #[arg(short = 'P', long)]
    processes: bool,
    /// Only show tasks whose name, or command line as it is shown, matches
    ///
    /// REGEX is a regular expression in the syntax of Rust's regex crate. It may match anywhere.
    /// Start it with (?i) to ignore case.
    #[arg(long, value_name = "REGEX")]
    filter: Option<Filter>,
    /// Only show the I/O of DEV: sda, /dev/sda or 8:0 (DEV,DEV for several)
    ///
    /// A disk includes its partitions. DEV is looked up again in each interval. The block
    /// figures of the tasks and of the Attributed line are those of the device, and tasks without
    /// any are left out. The task counters (DISK_READ, DISK_WRITE, SWAPIN, IO and others) and the
    /// Total and Actual lines cannot be split by device: they are always those of all devices. PENDING,
    /// DIRTIED and DROPPED are unknown.
    #[arg(long, value_name = "DEV", value_delimiter = ',')]
    device: Vec<String>,
    /// Show one row per thread, process, unit and so on; `process` is the same as -P
    ///
    /// By device or file the task counters (DISK_READ, DISK_WRITE and others) are unknown.
    #[arg(long, value_name = "WHAT")]
    group_by: Option<GroupBy>,
    /// Sort by a field: largest first, names A to Z (+KEY ascending, -KEY descending)
    ///
    /// Without it, text starts with the rows that moved the most bytes. Unknown values come last.
    #[arg(short, long, value_name = "KEY", allow_hyphen_values = true)]
    sort: Option<Sort>,
    /// Print only the NUM first rows of each interval: the largest, or the first by --sort
    ///
    /// Totals still have all rows.
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,
    /// Columns of the text and of --export csv: FIELD,FIELD; `help` explains the fields
    ///
    /// The last column may contain spaces. In other columns they are printed as _.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = column)]
    fields: Vec<Column>,
    /// Show totals since the start instead of rates
    #[arg(short, long)]
    accumulated: bool,
    /// With -a: print once, at the end, instead of in each interval
    ///
    /// NDJSON then has no `flush` lines, because they belong to their interval.
    #[arg(long = "final", requires = "accumulated")]
    at_end: bool,
    /// Show full command lines
    ///
    /// Text does not cut them at the edge of a terminal, and --explain-writeback not after 120
    /// characters. The live view shows command lines even if the configuration file has names.
    #[arg(short = 'c', long, visible_alias = "full-command")]
    fullcmdline: bool,
    /// Show sizes in kilobytes instead of the unit that fits best
    #[arg(short, long)]
    kilobytes: bool,
    /// Print the time at the start of every line
    #[arg(short, long)]
    time: bool,
    /// Fewer headers: -q prints column names once, -qq never, -qqq also omits the totals
    #[arg(short, long, action = ArgAction::Count)]
    quiet: u8,
    /// Explain each flush: who wrote, why, and whose data
    ///
    /// Prints a block for each flush, and a report for each spike of a device's write rate once the
    /// spike is over. With -o it prints only the spikes. On a terminal the live view starts with
    /// the page that w opens. --export ndjson has lines for flushes anyway; this option adds those
    /// for spikes.
    #[arg(long)]
    explain_writeback: bool,
    /// Print a machine-readable format instead of text
    #[arg(long, value_name = "FORMAT")]
    export: Option<Export>,
}

#[derive(Debug, Subcommand)]
enum CommandCli {
    /// Report what this kernel offers, what is used, and what is missing
    Doctor {
        /// Format of the report
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: ReportFormat,
    },
    /// Record what each interval changes, to be looked at later
    ///
    /// Appends to DIR, one file a day (UTC): NDJSON compressed by zstd, so that `zstd -dc FILE | jq`
    /// reads it too. What is removed is added to daily totals first, which stay for 400 days.
    /// ^C and SIGTERM end it.
    Record {
        /// Length of the intervals in seconds; fractions are allowed
        #[arg(short, long, value_name = "SEC", value_parser = seconds, default_value = "10", allow_negative_numbers = true)]
        delay: Duration,
        /// Keep so many days with recordings before the newest one
        #[arg(long, value_name = "DAYS", value_parser = days, default_value = "30d")]
        keep: u32,
        /// Remove the oldest files when all together are larger
        #[arg(long, value_name = "SIZE", value_parser = size, default_value = "2G")]
        max_size: u64,
        /// The directory; it is created if it is missing
        #[arg(value_name = "DIR", default_value = DIRECTORY)]
        directory: PathBuf,
    },
    /// Show a recording: in the live view, or printed with the options of the batch output
    ///
    /// On a terminal it opens the live view, whose keys go back and forth in the recording. It
    /// prints text with -b, -t, -q, -n, --top, --final, --group-by and --explain-writeback, and if
    /// standard output is not a terminal.
    #[command(mut_args(replay::of_recordings), args(replay::of_runs()))]
    Replay {
        /// The directory of the recording
        #[arg(value_name = "DIR", default_value = DIRECTORY)]
        directory: PathBuf,
        /// Open the live view at TIME: -6h, 14:30, 2026-11-28, "2026-11-28 14:30" or RFC 3339
        ///
        /// Times are local unless they say otherwise. Printed is only the interval that contains
        /// TIME.
        #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
        at: Option<Timestamp>,
        /// Start with the interval after TIME
        #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
        since: Option<Timestamp>,
        /// End with the interval before TIME
        #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
        until: Option<Timestamp>,
        /// Explain what woke each disk: the first request after silence, reads included
        ///
        /// A shorter silence than an interval of the recording can't be seen.
        #[arg(long)]
        explain_wakeups: bool,
        /// With --explain-wakeups: report requests after SEC seconds of silence
        #[arg(long, value_name = "SEC", requires = "explain_wakeups", default_value_t = WakeRule::default().idle.as_secs_f64(), value_parser = idle)]
        idle: f64,
        #[command(flatten)]
        view: Box<ViewOptions>,
    },
    /// Report who wrote most in a recording, how, and at what cost
    ///
    /// For each row: bytes caused, a day and a year at that rate, bytes on devices for each byte
    /// that was written, what asked for the writes, into which files, and how regularly. The rows
    /// and the bytes without an owner add up to all bytes. Days whose recordings have gone are
    /// reported from daily totals, by unit, container, command, directory and device.
    #[command(args(replay::of_runs()))]
    Report {
        /// The directory of the recording
        #[arg(value_name = "DIR", default_value = DIRECTORY)]
        directory: PathBuf,
        /// Start at TIME: today, yesterday, -6h, 14:30, 2026-11-28, "2026-11-28 14:30" or RFC 3339
        ///
        /// Times are local unless they say otherwise. `yesterday` is its begin: all of it is
        /// `--since yesterday --until today`.
        #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
        since: Option<Timestamp>,
        /// End at TIME
        #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
        until: Option<Timestamp>,
        /// What a row is
        #[arg(long, value_name = "WHAT", default_value = "command")]
        by: ReportBy,
        /// Say what changed from A to B: days (yesterday), spans (TIME..TIME) or other recordings (/DIR)
        #[arg(long, value_names = ["A", "B"], num_args = 2, value_parser = side, allow_hyphen_values = true, conflicts_with_all = ["since", "until"])]
        compare: Vec<Side>,
        /// Print this many rows of the text or the page (at most 100), or give so many a track of --format perfetto
        #[arg(long, value_name = "NUM", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        top: u32,
        /// Say what woke each disk, how often and how regularly (text and html)
        ///
        /// A wake-up is the first request after silence, reads included. `replay
        /// --explain-wakeups` explains each of them.
        #[arg(long, conflicts_with = "compare")]
        explain_wakeups: bool,
        /// With --explain-wakeups: count requests after SEC seconds of silence
        #[arg(long, value_name = "SEC", requires = "explain_wakeups", default_value_t = WakeRule::default().idle.as_secs_f64(), value_parser = idle)]
        idle: f64,
        /// Format of the report
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: SpanFormat,
    },
    /// Run a command and report what it really cost
    ///
    /// Follows COMMAND and all of its descendants, and prints to standard error what reached
    /// devices because of them. Its input, output, terminal, signals and exit status are passed
    /// through.
    Run(RunCli),
}

/// The options of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
The exit status is that of COMMAND: 128+N if signal N ended it, 127 if it is not found, 126 if it \
can't be executed. 1 and 2 are also those of failures and wrong usage of iotop-trace itself.

COMMAND has the rights of iotop-trace, as with time and strace: under sudo it runs as root. \
`sudo iotop-trace run -u $USER -- COMMAND` gives it yours.")]
struct RunCli {
    /// Wait until all processes of COMMAND have ended and what they wrote is on the devices
    ///
    /// Also those that it left in the background. Then writes the file systems that they used
    /// (syncfs), so that all data and metadata are part of the report. ^C ends the wait.
    #[arg(long)]
    wait: bool,
    /// Format of the report
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ReportFormat,
    /// Run COMMAND with the rights of this user, given by name or number (needs root)
    ///
    /// Sets HOME, SHELL, USER and LOGNAME too.
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Print the JSON Schema of --format json and exit
    #[arg(long)]
    schema: bool,
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        required_unless_present = "schema",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

/// The format of the report of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SpanFormat {
    /// For people
    Text,
    /// One page with plots, for a browser; it loads nothing
    Html,
    /// A header, and a line for each row
    Csv,
    /// One JSON object per line
    Ndjson,
    /// A Parquet file of all facts, for SQL; --by and --top do not matter
    Parquet,
    /// A trace for ui.perfetto.dev, with tracks of the --top rows of --by
    Perfetto,
}

impl SpanFormat {
    /// What the file of another tool is called, and the cargo feature that this build needs and
    /// does not have.
    fn lacks(self) -> Option<(&'static str, &'static str)> {
        match self {
            SpanFormat::Parquet if cfg!(not(feature = "parquet")) => Some(("Parquet", "parquet")),
            SpanFormat::Perfetto if cfg!(not(feature = "perfetto")) => {
                Some(("Perfetto", "perfetto"))
            }
            _ => None,
        }
    }

    /// True if it is the file of another tool, which holds the whole span.
    pub(crate) fn is_file(self) -> bool {
        matches!(self, SpanFormat::Parquet | SpanFormat::Perfetto)
    }

    /// True if it has room for what woke the disks.
    fn has_wakes(self) -> bool {
        matches!(self, SpanFormat::Text | SpanFormat::Html)
    }
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    Text,
    /// For programs: one JSON object
    Json,
}

/// Where recordings are, unless the user says otherwise.
const DIRECTORY: &str = "/var/lib/iotop-trace";

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// A thread
    Thread,
    /// A process, with the sum of its threads
    Process,
    /// A command, with all tasks of this name
    Command,
    /// A command and who launched it, such as `dd <- backup.sh <- cron`
    Parents,
    /// A user
    User,
    /// A cgroup
    Cgroup,
    /// A systemd unit
    Unit,
    /// A container
    Container,
    /// A block device, with the bytes that have no owner
    Device,
    /// A file
    File,
}

impl GroupBy {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self.by() {
            Some(by) => by.name(),
            None if self == GroupBy::Process => "process",
            None => "thread",
        }
    }

    /// By what tasks or facts are grouped; `None` if a line is a task or a process.
    pub fn by(self) -> Option<By> {
        match self {
            GroupBy::Thread | GroupBy::Process => None,
            GroupBy::Command => Some(By::Command),
            GroupBy::Parents => Some(By::Parents),
            GroupBy::User => Some(By::User),
            GroupBy::Cgroup => Some(By::Cgroup),
            GroupBy::Unit => Some(By::Unit),
            GroupBy::Container => Some(By::Container),
            GroupBy::Device => Some(By::Device),
            GroupBy::File => Some(By::File),
        }
    }
}

/// A value of `--fields`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    /// Print what the fields mean.
    Help,
    /// A column.
    Field(&'static Field),
}

fn column(text: &str) -> Result<Column, fields::NoField> {
    match text.trim() {
        help if help.eq_ignore_ascii_case("help") => Ok(Column::Help),
        name => fields::find(name).map(Column::Field),
    }
}

/// Bytes in a MiB.
pub(super) const MIB: f64 = 1024.0 * 1024.0;

fn times(text: &str) -> Result<f64, String> {
    let wrong = || "not a number above 0, such as 2 or 0.5".to_owned();
    let number: f64 = text.parse().map_err(|_| wrong())?;
    (number.is_finite() && number > 0.0)
        .then_some(number)
        .ok_or_else(wrong)
}

fn idle(text: &str) -> Result<f64, String> {
    let seconds =
        times(text).map_err(|_| "not a number of seconds above 0, such as 10 or 0.5".to_owned())?;
    match seconds <= LONGEST {
        true => Ok(seconds),
        false => Err(format!("the silence must be at most {LONGEST} seconds")),
    }
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds, such as 1 or 0.5".to_owned())?;
    if !(SHORTEST..=LONGEST).contains(&seconds) {
        return Err(format!(
            "the interval must be at least {SHORTEST} and at most {LONGEST} seconds"
        ));
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
