//! The command line: parsed by clap into [`Cli`], resolved once into [`Config`].

mod config;
mod resolve;

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use serde::{Deserialize, Serialize};

pub use config::*;
pub use resolve::{UsageError, on_device};

use crate::{
    output::Export,
    sample::SpikeRule,
    view::{By, Field, Filter, Sort, fields},
};

/// The shortest interval: a grace period and a pass over all tasks must fit in.
const SHORTEST: f64 = 0.05;

/// The longest: thirty years. The clock ends at some time beyond.
const LONGEST: f64 = 1e9;

/// Who really caused the disk writes.
#[derive(Debug, Parser)]
#[command(name = "iotop-trace", version, about, max_term_width = 100)]
#[command(
    after_help = "Needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; without them it \
    shows what is left and says what is missing. `iotop-trace doctor` tells why.",
    after_long_help = format!(
        "Fields (for --fields and --sort, by name or header, in any case):\n\n{}\n\
        Needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; without them it shows what is \
        left and says what is missing. `iotop-trace doctor` tells why.",
        fields::help()
    )
)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<CommandCli>,
}

#[derive(Debug, Args)]
struct Options {
    /// Only show tasks that do I/O or have dirty pages
    ///
    /// With --export or --fields also those with anything else shown that is not 0.
    #[arg(short, long)]
    only: bool,
    /// Text output, one block an interval
    ///
    /// So it is too with -t or -q, and where standard output is no terminal. Else there is the
    /// live view.
    #[arg(short, long)]
    batch: bool,
    /// Number of intervals before ending [default: until ^C]
    #[arg(short = 'n', long = "iter", value_name = "NUM", value_parser = clap::value_parser!(u64).range(1..))]
    iter: Option<u64>,
    /// Seconds between two looks; fractions are honoured [default: 1]
    #[arg(short, long, value_name = "SEC", value_parser = seconds, allow_negative_numbers = true)]
    delay: Option<Duration>,
    /// Only these processes, with all their threads; also PID,PID
    #[arg(short, long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Only these users' tasks, by name or number; also USER,USER
    #[arg(short, long, value_name = "USER", value_delimiter = ',')]
    user: Vec<String>,
    /// Processes instead of threads
    #[arg(short = 'P', long)]
    processes: bool,
    /// Only tasks whose command matches, by name or by the line as it is shown
    ///
    /// A regular expression (of Rust's regex crate) that matches anywhere; (?i) in front ignores
    /// case.
    #[arg(long, value_name = "REGEX")]
    filter: Option<Filter>,
    /// Only what is read from and written to DEV: sda, /dev/sda or 8:0; also DEV,DEV
    ///
    /// A disk includes its partitions. Block figures are those of the device, in the tasks and in
    /// the Attributed line; tasks without any are left out. The task counters (DISK_READ,
    /// DISK_WRITE, SWAPIN, IO and such) and the Total and Actual lines know no device and stay
    /// those of all; PENDING, DIRTIED and DROPPED are unknown.
    #[arg(long, value_name = "DEV", value_delimiter = ',')]
    device: Vec<String>,
    /// What a line is; process is -P
    ///
    /// By device or file the task counters (DISK_READ, DISK_WRITE and such) are unknown.
    #[arg(long, value_name = "WHAT")]
    group_by: Option<GroupBy>,
    /// Sort by a field: largest first, names A to Z; +KEY rising, -KEY falling
    ///
    /// Without it text has those that moved most first. What is unknown comes last.
    #[arg(short, long, value_name = "KEY", allow_hyphen_values = true)]
    sort: Option<Sort>,
    /// The columns of the text and of --export csv: FIELD,FIELD
    ///
    /// The last one may hold spaces, names in the others have _ instead.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = fields::find)]
    fields: Vec<&'static Field>,
    /// Totals since start instead of rates
    #[arg(short, long)]
    accumulated: bool,
    /// Kilobytes instead of a fitting unit
    #[arg(short, long)]
    kilobytes: bool,
    /// The time at the start of every line
    #[arg(short, long)]
    time: bool,
    /// Fewer headers: -q column names once, -qq never, -qqq no totals either
    #[arg(short, long, action = ArgAction::Count)]
    quiet: u8,
    /// Whose data the kernel's threads write, and why: a block for each flush
    ///
    /// And one for each spike, when a device was written to much more than usual; with -o only
    /// those. On a terminal the live view begins with them, as after w. With --export ndjson the flushes' lines are there anyway, the spikes' with this.
    #[arg(long)]
    explain_writeback: bool,
    /// With --explain-writeback: how many times the usual rate is a spike
    ///
    /// Usual is what 98 of 100 of the last 600 intervals stayed below.
    #[arg(long, value_name = "TIMES", requires = "explain_writeback", default_value_t = SpikeRule::default().factor, value_parser = times)]
    spike_factor: f64,
    /// With --explain-writeback: no rate below this is a spike, MiB a second
    #[arg(long, value_name = "MIB", requires = "explain_writeback", default_value_t = SpikeRule::default().floor / MIB, value_parser = times)]
    spike_floor: f64,
    /// Machine-readable output instead of text
    #[arg(long, value_name = "FORMAT")]
    export: Option<Export>,
    /// Do without eBPF: only the task counters and /proc/vmstat
    #[arg(long, global = true)]
    no_ebpf: bool,
    /// A kernel-half object other than the built-in one
    #[arg(long, value_name = "FILE", hide_short_help = true, global = true)]
    ebpf_object: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum CommandCli {
    /// Say what this kernel offers, what is used of it and what is missing
    Doctor {
        /// The report's form
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: DoctorFormat,
    },
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// A thread
    Thread,
    /// A process, its threads summed up
    Process,
    /// A user
    User,
    /// A cgroup
    Cgroup,
    /// A systemd unit
    Unit,
    /// A container
    Container,
    /// A block device, with what has no owner
    Device,
    /// A file
    File,
}

impl GroupBy {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self.by() {
            Some(by) => by.name(),
            None if self == GroupBy::Process => "process",
            None => "thread",
        }
    }

    /// What tasks or facts are summed up by; `None` where a line is a task.
    pub fn by(self) -> Option<By> {
        match self {
            GroupBy::Thread | GroupBy::Process => None,
            GroupBy::User => Some(By::User),
            GroupBy::Cgroup => Some(By::Cgroup),
            GroupBy::Unit => Some(By::Unit),
            GroupBy::Container => Some(By::Container),
            GroupBy::Device => Some(By::Device),
            GroupBy::File => Some(By::File),
        }
    }
}

/// The form of doctor's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Bytes of a MiB.
pub(super) const MIB: f64 = 1024.0 * 1024.0;

fn times(text: &str) -> Result<f64, String> {
    let wrong = || "not a number above 0, such as 2 or 0.5".to_owned();
    let number: f64 = text.parse().map_err(|_| wrong())?;
    (number.is_finite() && number > 0.0)
        .then_some(number)
        .ok_or_else(wrong)
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
