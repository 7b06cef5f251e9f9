//! The command line: parsed by clap into [`Cli`], resolved once into [`Config`].

use std::{path::PathBuf, time::Duration};

use crate::collect::{Rows, Wanted};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// The shortest interval: a grace period and a pass over all tasks must fit in.
const SHORTEST: f64 = 0.05;

/// Who really caused the disk writes.
#[derive(Debug, Parser)]
#[command(name = "iotop-trace", version, about, max_term_width = 100)]
#[command(
    after_help = "Needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; without them it \
    shows what is left and says what is missing. `iotop-trace doctor` tells why."
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
    #[arg(short, long)]
    only: bool,
    /// Text output, one block an interval (the default)
    #[arg(short, long)]
    batch: bool,
    /// Number of intervals before ending [default: until ^C]
    #[arg(short = 'n', long = "iter", value_name = "NUM", value_parser = clap::value_parser!(u64).range(1..))]
    iter: Option<u64>,
    /// Seconds between two looks; fractions are honoured
    #[arg(short, long, value_name = "SEC", default_value = "1", value_parser = seconds, allow_negative_numbers = true)]
    delay: Duration,
    /// Only these processes, with all their threads; also PID,PID
    #[arg(short, long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
    /// Only these users' tasks, by name or number; also USER,USER
    #[arg(short, long, value_name = "USER", value_delimiter = ',')]
    user: Vec<String>,
    /// Processes instead of threads
    #[arg(short = 'P', long)]
    processes: bool,
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
    /// Machine-readable output instead of text
    #[arg(long, value_name = "FORMAT")]
    export: Option<Export>,
    /// Do without eBPF: only what taskstats and /proc/vmstat tell
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

/// A machine-readable format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Export {
    /// One JSON object a line, version 1
    Ndjson,
}

/// The form of doctor's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// What to do, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What to run.
    pub action: Action,
    /// Where the kernel half comes from.
    pub ebpf: Ebpf,
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sample and print.
    Batch(Batch),
    /// Report on the kernel.
    Doctor(DoctorFormat),
}

/// Where the kernel half comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ebpf {
    /// It is not wanted.
    Off,
    /// The built-in object.
    BuiltIn,
    /// A file.
    File(PathBuf),
}

/// How to sample and print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Time between two samples.
    pub delay: Duration,
    /// How many samples; `None`: until ^C.
    pub iterations: Option<u64>,
    /// Which tasks.
    pub select: Select,
    /// Sum up the threads of a process.
    pub processes: bool,
    /// Totals since start instead of the interval's.
    pub accumulated: bool,
    /// `None`: text.
    pub export: Option<Export>,
    /// How the text looks.
    pub text: Text,
}

/// Which tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// Only those with something to show.
    pub only: bool,
    /// Only these processes (thread group or thread ids); empty: all.
    pub pids: Vec<u32>,
    /// Only these users; empty: all.
    pub uids: Vec<u32>,
}

/// How the text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// Threads are summed up.
    pub processes: bool,
    /// Totals instead of rates.
    pub accumulated: bool,
    /// Kilobytes throughout.
    pub kilobytes: bool,
    /// The time on every line.
    pub time: bool,
    /// 0 to 3.
    pub quiet: u8,
}

/// Wrong usage: exit status 2.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UsageError {
    /// `-u` with somebody unknown.
    #[error("there is no user {0:?} on this machine (-u takes a name or a number)")]
    NoUser(String),
    /// `-p` with nobody there.
    #[error("there is no process {0} (-p takes the number of a running process or thread)")]
    NoProcess(u32),
}

impl Batch {
    /// What the collector is asked for.
    pub fn wanted(&self) -> Wanted {
        Wanted {
            pids: self.select.pids.clone(),
            uids: self.select.uids.clone(),
            processes: self.processes,
            rows: match (self.select.only, self.export) {
                (false, _) => Rows::All,
                (true, None) => Rows::Disk,
                (true, Some(_)) => Rows::Any,
            },
        }
    }
}

impl Cli {
    /// Resolves names. `uid` gives a user's number, `exists` says whether a
    /// process or thread runs.
    ///
    /// # Errors
    ///
    /// A user or process does not exist.
    pub fn resolve(
        self,
        uid: impl Fn(&str) -> Option<u32>,
        exists: impl Fn(u32) -> bool,
    ) -> Result<Config, UsageError> {
        let options = self.options;
        let ebpf = match options.ebpf_object {
            _ if options.no_ebpf => Ebpf::Off,
            Some(file) => Ebpf::File(file),
            None => Ebpf::BuiltIn,
        };
        if let Some(CommandCli::Doctor { format }) = self.command {
            return Ok(Config {
                action: Action::Doctor(format),
                ebpf,
            });
        }
        if let Some(gone) = options.pid.iter().find(|pid| !exists(**pid)) {
            return Err(UsageError::NoProcess(*gone));
        }
        let uids = options
            .user
            .iter()
            .map(|name| uid(name).ok_or_else(|| UsageError::NoUser(name.clone())))
            .collect::<Result<_, _>>()?;
        let batch = Batch {
            delay: options.delay,
            iterations: options.iter,
            select: Select {
                only: options.only,
                pids: options.pid,
                uids,
            },
            processes: options.processes,
            accumulated: options.accumulated,
            export: options.export,
            text: Text {
                processes: options.processes,
                accumulated: options.accumulated,
                kilobytes: options.kilobytes,
                time: options.time,
                quiet: options.quiet,
            },
        };
        Ok(Config {
            action: Action::Batch(batch),
            ebpf,
        })
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds, such as 1 or 0.5".to_owned())?;
    if !seconds.is_finite() || seconds < SHORTEST {
        return Err(format!("the interval must be at least {SHORTEST} seconds"));
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn resolve(args: &[&str]) -> Result<Result<Config, UsageError>, clap::Error> {
        let cli = Cli::try_parse_from([&["iotop-trace"], args].concat())?;
        let uid = |name: &str| (name == "root").then_some(0).or(name.parse().ok());
        Ok(cli.resolve(uid, |pid| pid < 100))
    }

    fn batch(args: &[&str]) -> Batch {
        match resolve(args).expect("parsed").expect("resolved").action {
            Action::Batch(batch) => batch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn intervals_that_are_no_intervals_are_refused_in_words() {
        for delay in ["0", "-1", "x", "nan", "inf", "0.001", "1e300"] {
            let error = resolve(&["-d", delay]).expect_err(delay);
            assert_eq!(error.exit_code(), 2, "{delay}");
        }
        assert_eq!(batch(&["-d", "0.5"]).delay, Duration::from_millis(500));
    }

    #[test]
    fn lists_and_repeated_options_add_up() {
        let select = batch(&["-p", "1,2", "-p", "3", "-u", "root", "-u", "7", "-o"]).select;
        assert_eq!(
            (select.pids, select.uids, select.only),
            (vec![1, 2, 3], vec![0, 7], true)
        );
    }

    #[test]
    fn unknown_users_and_processes_are_named() {
        let nobody = resolve(&["-u", "nosuch"]).expect("parsed");
        assert_eq!(nobody, Err(UsageError::NoUser("nosuch".to_owned())));
        let gone = resolve(&["-p", "100"]).expect("parsed");
        assert_eq!(gone, Err(UsageError::NoProcess(100)));
    }

    #[test]
    fn iotops_letters_go_together() {
        let batch = batch(&["-botqqPak", "-n", "3", "--no-ebpf"]);
        assert_eq!(batch.iterations, Some(3));
        assert!(batch.processes && batch.accumulated && batch.select.only);
        assert_eq!(
            (batch.text.quiet, batch.text.time, batch.text.kilobytes),
            (2, true, true)
        );
    }
}
