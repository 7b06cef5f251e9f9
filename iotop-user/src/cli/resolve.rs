//! Turns a [`Cli`] into a [`Config`]: looks up names and refuses options that
//! contradict each other.

use std::{path::Path, time::Duration};

use jiff::Timestamp;

use super::{
    Action, Batch, Cli, Column, CommandCli, Config, Ebpf, GroupBy, Live, MIB, Record, Report, Run,
    RunCli, ViewOptions, replay,
};
use crate::{
    collect::{Exited, Rows, Wanted},
    host::{devices, hidepid, supervisor::Command},
    output::{Export, SCHEMA, Text, run},
    record::{Retention, Span, local},
    sample::{SpikeRule, WakeRule},
    view::{By, Field, OnDevice, View, fields},
};

/// With `-a`, at most this many exited tasks of an interval have a row of their own.
const MOST_EXITED: usize = 2000;

/// Time between two samples, unless the user says otherwise.
const DELAY: Duration = Duration::from_secs(1);

/// Wrong usage; the program exits with status 2.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UsageError {
    /// `-u` with an unknown user.
    #[error("there is no user {0:?} on this machine (-u takes a name or a number)")]
    NoUser(String),
    /// `run -u` without root.
    #[error("run -u takes root's rights: leave it out, or run iotop-trace with sudo")]
    NotRoot,
    /// `-p` with a process that does not exist.
    #[error(
        "there is no process {0} (-p and --detail take the PID of a running process, or the TID of a thread)"
    )]
    NoProcess(u32),
    /// `-p` with a process that no source shows.
    #[error(
        "process {pid} can't be shown: /proc hides it ({hidepid}), and without eBPF nothing else lists it; {}",
        hidepid::way_out(hidepid)
    )]
    Hidden {
        /// Its number.
        pid: u32,
        /// The option of /proc that hides it.
        hidepid: String,
    },
    /// `-p` in a child pid namespace, where the kernel half has the numbers of the host.
    #[error(
        "process {0} can't be found: this is a child PID namespace, and eBPF has the host's PIDs; use --no-ebpf, or run iotop-trace on the host"
    )]
    OtherNumber(u32),
    /// `--device` with a device that does not exist.
    #[error(
        "there is no block device {device:?} (--device takes sda, /dev/sda or 8:0); there are {known}"
    )]
    NoDevice {
        /// The name that was given.
        device: String,
        /// The devices that exist.
        known: String,
    },
    /// `-P` with another grouping.
    #[error(
        "-P means --group-by process, so it can't be combined with --group-by {0}; leave one of them out"
    )]
    TwoGroupings(&'static str),
    /// An option that needs eBPF, together with `--no-ebpf`.
    #[error(
        "{0} needs eBPF: without it nothing is known about devices, files and flushes; leave out {0} or --no-ebpf"
    )]
    NeedsEbpf(&'static str),
    /// An option about tasks, together with `--explain-writeback` or `--explain-wakeups`.
    #[error("{explain}, not tasks, so it can't be combined with {other}; leave one of them out")]
    Explain {
        /// What is explained.
        explain: &'static str,
        /// The other option.
        other: &'static str,
    },
    /// `--idle` below the interval.
    #[error(
        "intervals of {} s can't show a silence of {} s (--idle); use -d {1} or less, or --idle {0} or more",
        .delay.as_secs_f64(), .idle.as_secs_f64()
    )]
    ShortIdle {
        /// The silence.
        idle: Duration,
        /// The interval.
        delay: Duration,
    },
    /// `--detail` without the live view.
    #[error(
        "--detail opens a page of the live view: it needs a terminal, and can't be combined with -b, -t, -q, --top, --final and --export; -p prints a process"
    )]
    NoPage,
    /// `--fields` with NDJSON, which always has every field.
    #[error(
        "--fields is for text and --export csv: NDJSON lines always have every field; leave it out, or use --export csv"
    )]
    FieldsOfNdjson,
    /// A field that these rows do not have.
    #[error("rows of --group-by {by} have no field {field}; they have {has}")]
    NotOfRows {
        /// The field.
        field: &'static str,
        /// What the lines are.
        by: &'static str,
        /// Their fields.
        has: String,
    },
    /// A format that this build lacks.
    #[error("this build has no {name}; build with `--features {feature}`")]
    NotBuilt {
        /// The format.
        name: &'static str,
        /// The cargo feature.
        feature: &'static str,
    },
    /// `--compare` with a format that has no lines for changes.
    #[error("--compare is for text, html, csv and ndjson: the other formats hold one span")]
    NoChanges,
    /// `run` with an option that it does not have.
    #[error("run has no option {0}; a command whose name begins with - needs its path: ./{0}")]
    NoCommand(String),
    /// `--explain-wakeups` with a format that has no place for it.
    #[error(
        "the report has wake-ups as text and html; `iotop-trace replay --explain-wakeups --export \
         ndjson` has a line for each of them"
    )]
    NoWakes,
    /// Options before `record`, `replay`, `report` or `run`, where they would mean nothing.
    #[error("options go after the command: iotop-trace {0} [OPTIONS] ...")]
    BeforeCommand(&'static str),
    /// `--at` or `--since` with a time that has not come yet.
    #[error("{} is in the future, and nothing is recorded there yet", local(*.0))]
    Future(Timestamp),
    /// `--at` prints one interval.
    #[error(
        "--at prints the one interval at a time, so it can't be combined with {0}; leave one of them out"
    )]
    OneInterval(&'static str),
    /// `--until` before `--since`.
    #[error("--until ({}) is not after {option} ({})", local(*.until), local(*.at))]
    EndBeforeStart {
        /// The option for the start.
        option: &'static str,
        /// The start.
        at: Timestamp,
        /// The end.
        until: Timestamp,
    },
}

impl Cli {
    /// Resolves names. `uid` returns a user's number, `exists` whether a process or
    /// thread runs. Block devices are looked up below `sys_root`. `terminal` is true if
    /// standard output is a terminal that can show the live view.
    ///
    /// # Errors
    ///
    /// A user, process or device does not exist, or options contradict each other.
    pub fn resolve(
        self,
        uid: impl Fn(&str) -> Option<u32>,
        exists: impl Fn(u32) -> bool,
        sys_root: &Path,
        terminal: bool,
    ) -> Result<Config, UsageError> {
        let options = self.options;
        let ebpf = match options.ebpf_object {
            _ if options.no_ebpf => Ebpf::Off,
            Some(ref file) => Ebpf::File(file.clone()),
            None if options.require_ebpf => Ebpf::Required,
            None => Ebpf::BuiltIn,
        };
        let view = options.view;
        let has_options = view != ViewOptions::default()
            || options.delay.is_some()
            || options.detail.is_some()
            || options.explain_wakeups;
        let named = match self.command {
            Some(CommandCli::Record { .. }) => Some("record"),
            Some(CommandCli::Replay { .. }) => Some("replay"),
            Some(CommandCli::Report { .. }) => Some("report"),
            Some(CommandCli::Run(_)) => Some("run"),
            _ => None,
        };
        if let Some(command) = named.filter(|_| has_options) {
            return Err(UsageError::BeforeCommand(command));
        }
        let action = match self.command {
            _ if options.schema => Action::Print(SCHEMA.to_owned()),
            _ if asks_for_help(&view) => Action::Print(fields::help()),
            Some(CommandCli::Doctor { format }) => Action::Doctor(format),
            Some(CommandCli::Run(run)) => run_action(run, uid)?,
            Some(CommandCli::Report {
                directory,
                since,
                until,
                by,
                compare,
                top,
                explain_wakeups: wakeups,
                idle,
                format,
            }) => {
                if let Some((name, feature)) = format.lacks() {
                    return Err(UsageError::NotBuilt { name, feature });
                }
                if format.is_file() && !compare.is_empty() {
                    return Err(UsageError::NoChanges);
                }
                if wakeups && !format.has_wakes() {
                    return Err(UsageError::NoWakes);
                }
                let mut sides = compare.into_iter();
                let wakes = WakeRule {
                    idle: Duration::from_secs_f64(idle),
                    upper: false,
                };
                Action::Report(Report {
                    directory,
                    span: span(("--since", since), until, Timestamp::now())?,
                    by,
                    compare: sides.next().zip(sides.next()),
                    top: top as usize,
                    wakes: wakeups.then_some(wakes),
                    format,
                })
            }
            Some(CommandCli::Record {
                delay,
                keep,
                max_size,
                directory,
            }) => Action::Record(Record {
                delay,
                directory,
                retention: Retention {
                    days: keep,
                    bytes: max_size,
                },
            }),
            Some(CommandCli::Replay { view, .. }) if asks_for_help(&view) => {
                Action::Print(fields::help())
            }
            Some(CommandCli::Replay {
                directory,
                at,
                since,
                until,
                explain_wakeups: wakeups,
                idle,
                view,
            }) => {
                let span = span(("--since", since), until, Timestamp::now())?;
                let idle = wakeups.then(|| Duration::from_secs_f64(idle));
                Action::Replay(Box::new(replay::replay(
                    directory, span, at, idle, *view, terminal,
                )?))
            }
            None => {
                let mut pids = view.pid.iter().chain(&options.detail);
                if let Some(gone) = pids.find(|pid| !exists(**pid)) {
                    return Err(UsageError::NoProcess(*gone));
                }
                let detail = options.detail.is_some();
                let wakeups = options.explain_wakeups;
                let choice = Choice::of(&view, wakeups, detail, options.no_ebpf, uid, sys_root)?;
                let spikes = SpikeRule {
                    factor: options.spike_factor,
                    floor: options.spike_floor * MIB,
                    history: Duration::from_secs(options.spike_history),
                };
                let (idle, delay) = (
                    Duration::from_secs_f64(options.idle),
                    options.delay.unwrap_or(DELAY),
                );
                if wakeups && idle < delay {
                    return Err(UsageError::ShortIdle { idle, delay });
                }
                let wakes = WakeRule {
                    idle,
                    upper: choice.device.is_some(),
                };
                let in_lines =
                    view.batch || view.time || view.quiet != 0 || view.top.is_some() || view.at_end;
                if terminal && !in_lines && view.export.is_none() {
                    let given = view.processes || view.group_by.is_some() || detail;
                    Action::Live(Box::new(Live {
                        delay: options.delay,
                        group_by: given.then_some(choice.grouping),
                        explain_wakes: wakeups,
                        detail: options.detail,
                        spikes,
                        wakes,
                        ..live(view, choice)
                    }))
                } else if detail {
                    return Err(UsageError::NoPage);
                } else {
                    let rules = Rules {
                        spikes,
                        wakes: wakeups.then_some(wakes),
                    };
                    Action::Batch(Box::new(batch(view, choice, delay, rules)))
                }
            }
        };
        Ok(Config { action, ebpf })
    }
}

/// The part of a recording between two times.
fn span(
    (option, at): (&'static str, Option<Timestamp>),
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Span, UsageError> {
    if let Some(at) = at.filter(|at| *at > now) {
        return Err(UsageError::Future(at));
    }
    match at.zip(until) {
        Some((at, until)) if until <= at => Err(UsageError::EndBeforeStart { option, at, until }),
        _ => Ok(Span { from: at, until }),
    }
}

/// What a spike is; and what a wake-up is, if they are to be explained.
#[derive(Clone, Copy, Default)]
pub(super) struct Rules {
    pub(super) spikes: SpikeRule,
    pub(super) wakes: Option<WakeRule>,
}

/// What the options choose, checked against each other.
#[derive(Clone)]
pub(super) struct Choice {
    uids: Vec<u32>,
    grouping: GroupBy,
    columns: Vec<&'static Field>,
    pub(super) device: Option<OnDevice>,
}

impl Choice {
    pub(super) fn of(
        view: &ViewOptions,
        wakeups: bool,
        detail: bool,
        no_ebpf: bool,
        uid: impl Fn(&str) -> Option<u32>,
        sys_root: &Path,
    ) -> Result<Choice, UsageError> {
        let uids = view
            .user
            .iter()
            .map(|name| uid(name).ok_or_else(|| UsageError::NoUser(name.clone())))
            .collect::<Result<_, _>>()?;
        let grouping = grouping(view, detail, no_ebpf)?;
        check_explain(view, wakeups, no_ebpf)?;
        let columns = columns(view);
        check_fields(view, &columns, grouping)?;
        let device = on_device(&view.device, sys_root)?;
        Ok(Choice {
            uids,
            grouping,
            columns,
            device,
        })
    }
}

/// How to show samples on a terminal.
pub(super) fn live(view: ViewOptions, choice: Choice) -> Live {
    Live {
        delay: None,
        iterations: view.iter,
        only: view.only,
        group_by: view.processes.then_some(choice.grouping),
        accumulated: view.accumulated,
        kilobytes: view.kilobytes,
        sort: view.sort,
        columns: choice.columns,
        pids: view.pid,
        uids: choice.uids,
        filter: view.filter,
        device: choice.device,
        command_line: view.fullcmdline,
        explain: view.explain_writeback,
        explain_wakes: false,
        detail: None,
        spikes: SpikeRule::default(),
        wakes: WakeRule::default(),
    }
}

/// How to print samples.
pub(super) fn batch(view: ViewOptions, choice: Choice, delay: Duration, rules: Rules) -> Batch {
    let Choice {
        uids,
        grouping,
        columns,
        device,
    } = choice;
    let (by, processes) = (grouping.by(), grouping == GroupBy::Process);
    let exited = exited(&view, processes, by);
    let wanted = Wanted {
        rows: rows(&view, rules.wakes.is_some(), &columns, by),
        pids: view.pid,
        uids,
        processes,
        // They have the names of commands.
        leaders: matches!(by, Some(By::Command | By::Parents)),
        for_others: view.export.is_none() && by.is_none(),
        exited,
        // Files have their paths with them.
        flushes: view.explain_writeback
            || rules.wakes.is_some()
            || view.export == Some(Export::Ndjson) && !view.at_end
            || by == Some(By::File),
        spikes: view.explain_writeback.then_some(rules.spikes),
        wakes: rules.wakes,
    };
    let fields = (!columns.is_empty()).then_some(columns);
    Batch {
        delay,
        iterations: view.iter,
        sort: view.sort,
        export: view.export,
        explain: view.explain_writeback,
        explain_wakes: rules.wakes.is_some(),
        only_spikes: view.only,
        top: view.top.map(|rows| rows as usize),
        at_end: view.at_end,
        text: Text {
            accumulated: view.accumulated,
            kilobytes: view.kilobytes,
            time: view.time,
            quiet: view.quiet,
            columns: fields
                .clone()
                .unwrap_or_else(|| fields::columns(processes, by)),
            usual: fields.is_none(),
            full_lines: view.fullcmdline,
            device: device.as_ref().map(|device| device.name.clone()),
        },
        fields,
        wanted,
        view: View {
            filter: view.filter,
            device,
            by,
            accumulated: view.accumulated,
        },
    }
}

/// What `run` is to do. `uid` returns a user's number.
fn run_action(run: RunCli, uid: impl Fn(&str) -> Option<u32>) -> Result<Action, UsageError> {
    if run.schema {
        return Ok(Action::Print(run::SCHEMA.to_owned()));
    }
    // clap takes an option that it does not know for the command.
    let first = run.command.first().and_then(|word| word.to_str());
    if let Some(option) = first.filter(|word| word.starts_with('-') && !word.contains('/')) {
        return Err(UsageError::NoCommand(option.to_owned()));
    }
    let user = run
        .user
        .map(|name| uid(&name).ok_or(UsageError::NoUser(name)));
    Ok(Action::Run(Run {
        command: Command {
            words: run.command,
            uid: user.transpose()?,
        },
        wait: run.wait,
        format: run.format,
    }))
}

/// True if the fields are to be explained, and nothing else.
fn asks_for_help(view: &ViewOptions) -> bool {
    let is_help = |column: &Column| matches!(column, Column::Help);
    view.fields.iter().any(is_help)
}

/// The chosen columns; empty if none were chosen.
fn columns(options: &ViewOptions) -> Vec<&'static Field> {
    let field = |column: &Column| match column {
        Column::Field(field) => Some(*field),
        Column::Help => None,
    };
    options.fields.iter().filter_map(field).collect()
}

fn grouping(options: &ViewOptions, detail: bool, no_ebpf: bool) -> Result<GroupBy, UsageError> {
    let processes = options.processes || detail;
    let grouping = match (options.group_by, processes) {
        (Some(GroupBy::Process) | None, true) => GroupBy::Process,
        (Some(other), true) => return Err(UsageError::TwoGroupings(other.name())),
        (grouping, false) => grouping.unwrap_or(GroupBy::Thread),
    };
    let needs_ebpf = match grouping {
        GroupBy::Device => Some("--group-by device"),
        GroupBy::File => Some("--group-by file"),
        _ => (!options.device.is_empty()).then_some("--device"),
    };
    match needs_ebpf {
        Some(option) if no_ebpf => Err(UsageError::NeedsEbpf(option)),
        _ => Ok(grouping),
    }
}

fn check_explain(options: &ViewOptions, wakeups: bool, no_ebpf: bool) -> Result<(), UsageError> {
    let csv = options.export == Some(Export::Csv);
    let other = [
        (csv, "--export csv"),
        (!options.pid.is_empty(), "-p"),
        (!options.user.is_empty(), "-u"),
        (options.filter.is_some(), "--filter"),
        (options.group_by.is_some(), "--group-by"),
        (!options.fields.is_empty(), "--fields"),
        (options.sort.is_some(), "--sort"),
        (options.top.is_some() && options.export.is_none(), "--top"),
        (options.at_end, "--final"),
        // In text. NDJSON has tasks beside the flushes.
        (options.accumulated && options.export.is_none(), "-a"),
    ];
    let (option, explain) = match (options.explain_writeback, wakeups) {
        (true, _) => ("--explain-writeback", "--explain-writeback shows flushes"),
        (false, true) => (
            "--explain-wakeups",
            "--explain-wakeups shows wake-ups of disks",
        ),
        (false, false) => return Ok(()),
    };
    match other.into_iter().find(|(given, _)| *given) {
        Some((_, other)) => Err(UsageError::Explain { explain, other }),
        None if no_ebpf => Err(UsageError::NeedsEbpf(option)),
        None => Ok(()),
    }
}

fn check_fields(
    options: &ViewOptions,
    columns: &[&'static Field],
    grouping: GroupBy,
) -> Result<(), UsageError> {
    if options.export == Some(Export::Ndjson) && !columns.is_empty() {
        return Err(UsageError::FieldsOfNdjson);
    }
    let key = options.sort.iter().map(|sort| sort.field);
    let foreign = |field: &&Field| !field.is_of(grouping.by());
    match columns.iter().copied().chain(key).find(foreign) {
        None => Ok(()),
        Some(field) => Err(UsageError::NotOfRows {
            field: field.name,
            by: grouping.name(),
            has: fields::names(fields::all(grouping.by())),
        }),
    }
}

/// The devices that the user named.
///
/// # Errors
///
/// One of them does not exist.
pub fn on_device(wanted: &[String], sys_root: &Path) -> Result<Option<OnDevice>, UsageError> {
    if wanted.is_empty() {
        return Ok(None);
    }
    match OnDevice::find(sys_root, wanted) {
        Ok(device) => Ok(Some(device)),
        Err(device) => {
            let known = devices::list(sys_root).unwrap_or_default().into_iter();
            let known =
                known.map(|one| format!("{} ({}:{})", one.name, one.number.0, one.number.1));
            Err(UsageError::NoDevice {
                device,
                known: known.collect::<Vec<_>>().join(", "),
            })
        }
    }
}

/// Which tasks the collector has to return. `-o` keeps a task if any value that is
/// printed is not 0. If rows are devices or files, or are chosen by device, a task
/// without block I/O is in no row.
fn rows(options: &ViewOptions, wakeups: bool, columns: &[&'static Field], by: Option<By>) -> Rows {
    let by_fact = by.is_some_and(By::is_of_facts) || !options.device.is_empty();
    let all_fields = columns.is_empty() && options.export.is_some();
    let explains = options.explain_writeback || wakeups;
    let no_rows = explains && options.export.is_none();
    if by_fact || no_rows {
        Rows::Disk
    } else if !options.only {
        Rows::All
    } else if all_fields || columns.iter().any(|field| field.is_beyond_disk()) {
        Rows::Any
    } else {
        Rows::Disk
    }
}

/// Which exited tasks the collector has to return. Rows of processes and groups, and the first
/// rows, are made of all of them.
fn exited(options: &ViewOptions, processes: bool, by: Option<By>) -> Exited {
    if processes || by.is_some() || options.top.is_some() {
        Exited::All
    } else if options.accumulated {
        Exited::Few(MOST_EXITED)
    } else {
        Exited::Changed
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    /// A /sys with sda, its partition sda1, and sdb.
    fn sys() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (device, number) in [("sda", "8:0"), ("sda/sda1", "8:1"), ("sdb", "8:16")] {
            let name = device.rsplit('/').next().unwrap_or(device);
            let real = root.path().join("devices").join(device);
            fs::create_dir_all(&real).expect("made");
            fs::write(real.join("dev"), number).expect("written");
            for link in [format!("class/block/{name}"), format!("dev/block/{number}")] {
                let link = root.path().join(link);
                fs::create_dir_all(link.parent().expect("a directory")).expect("made");
                symlink(&real, link).expect("linked");
            }
        }
        fs::write(root.path().join("devices/sda/sda1/partition"), "1").expect("written");
        root
    }

    fn resolve(args: &[&str]) -> Result<Result<Config, UsageError>, clap::Error> {
        let cli = Cli::try_parse_from([&["iotop-trace"], args].concat())?;
        let uid = |name: &str| (name == "root").then_some(0).or(name.parse().ok());
        Ok(cli.resolve(uid, |pid| pid < 100, sys().path(), false))
    }

    #[test]
    fn a_terminal_has_the_live_view_unless_lines_are_asked_for() {
        for (args, is_live) in [
            (&[][..], true),
            (&["-o", "-P", "-n", "3"], true),
            (&["--explain-writeback"], true),
            (&["-b"], false),
            (&["-t"], false),
            (&["-q"], false),
            (&["--export", "csv"], false),
            (&["--top", "5"], false),
            (&["-a", "--final"], false),
            (&["-a", "-c"], true),
            (&["--detail", "7"], true),
        ] {
            let cli = Cli::try_parse_from([&["iotop-trace"], args].concat()).expect("parsed");
            let config = cli.resolve(|_| None, |_| true, sys().path(), true);
            let action = config.expect("resolved").action;
            assert_eq!(matches!(action, Action::Live(_)), is_live, "{args:?}");
        }
    }

    fn batch(args: &[&str]) -> Batch {
        match resolve(args).expect("parsed").expect("resolved").action {
            Action::Batch(batch) => *batch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_format_that_this_build_lacks_is_refused_with_how_to_build_it() {
        for (name, feature, is_built) in [
            ("Parquet", "parquet", cfg!(feature = "parquet")),
            ("Perfetto", "perfetto", cfg!(feature = "perfetto")),
        ] {
            let refused = resolve(&["report", "--format", feature]).expect("parsed");
            match refused {
                Ok(_) => assert!(is_built),
                Err(error) => {
                    assert!(!is_built);
                    let said =
                        format!("this build has no {name}; build with `--features {feature}`");
                    assert_eq!(error.to_string(), said);
                }
            }
            let days = ["--compare", "yesterday", "today"];
            let both = resolve(&[&["report", "--format", feature][..], &days].concat());
            assert!(both.expect("parsed").is_err(), "a file has one span");
        }
    }

    #[test]
    fn intervals_that_are_no_intervals_are_refused_in_words() {
        for delay in ["0", "-1", "x", "nan", "inf", "0.001", "1e19", "1e300"] {
            let error = resolve(&["-d", delay]).expect_err(delay);
            assert_eq!(error.exit_code(), 2, "{delay}");
        }
        assert_eq!(batch(&["-d", "0.5"]).delay, Duration::from_millis(500));
    }

    #[test]
    fn lists_and_repeated_options_add_up() {
        let wanted = batch(&["-p", "1,2", "-p", "3", "-u", "root", "-u", "7", "-o"]).wanted;
        assert_eq!(
            (wanted.pids, wanted.uids, wanted.rows),
            (vec![1, 2, 3], vec![0, 7], Rows::Disk)
        );
        let device = batch(&["--device", "sda,8:16"]).view.device;
        let device = device.expect("given");
        assert_eq!(device.numbers, [(8, 0), (8, 1), (8, 16)]);
        assert_eq!(device.name, "sda, sdb");
    }

    #[test]
    fn only_is_asked_for_as_wide_as_what_is_shown() {
        for (args, rows) in [
            (vec![], Rows::All),
            (vec!["-o"], Rows::Disk),
            (vec!["-o", "--fields", "tid,caused"], Rows::Disk),
            (vec!["-o", "--fields", "tid,buffer_read"], Rows::Any),
            (vec!["-o", "--export", "csv"], Rows::Any),
            (vec!["-o", "--export", "csv", "--fields", "tid"], Rows::Disk),
            (vec!["-o", "--export", "ndjson"], Rows::Any),
            (vec!["--group-by", "user"], Rows::All),
            (vec!["--group-by", "device"], Rows::Disk),
            (vec!["--device", "sda"], Rows::Disk),
            (
                vec!["-o", "--group-by", "file", "--export", "csv"],
                Rows::Disk,
            ),
        ] {
            assert_eq!(batch(&args).wanted.rows, rows, "{args:?}");
        }
    }

    #[test]
    fn process_is_a_grouping_of_its_own() {
        for args in [&["-P"][..], &["--group-by", "process"]] {
            let batch = batch(args);
            assert!(batch.wanted.processes && batch.view.by.is_none());
            assert_eq!(batch.text.columns[0].name, "pid");
        }
        let two = resolve(&["-P", "--group-by", "unit"]).expect("parsed");
        assert_eq!(two, Err(UsageError::TwoGroupings("unit")));
        let two = resolve(&["-P", "--group-by", "thread"]).expect("parsed");
        assert_eq!(two, Err(UsageError::TwoGroupings("thread")));
    }

    #[test]
    fn what_only_ebpf_knows_is_refused_without_it() {
        for args in [
            ["--group-by", "device"],
            ["--group-by", "file"],
            ["--device", "sda"],
        ] {
            let refused = resolve(&[&args[..], &["--no-ebpf"]].concat()).expect("parsed");
            let Err(UsageError::NeedsEbpf(option)) = refused else {
                panic!("{refused:?}");
            };
            assert!(args.join(" ").starts_with(option));
        }
    }

    #[test]
    fn fields_that_the_lines_do_not_have_are_refused() {
        for args in [
            vec!["--group-by", "user", "--fields", "tid"],
            vec!["--group-by", "user", "--sort", "tid"],
            vec!["--fields", "tid,name"],
            vec!["-P", "-s", "name"],
        ] {
            let refused = resolve(&args).expect("parsed");
            assert!(
                matches!(refused, Err(UsageError::NotOfRows { .. })),
                "{args:?}"
            );
        }
        let refused = resolve(&["--export", "ndjson", "--fields", "tid"]).expect("parsed");
        assert_eq!(refused, Err(UsageError::FieldsOfNdjson));
    }

    fn run_of(args: &[&str]) -> Result<Action, UsageError> {
        let config = resolve(&[&["run"], args].concat()).expect("parsed");
        config.map(|config| config.action)
    }

    #[test]
    fn a_command_keeps_its_own_options() {
        let words = |args: &[&str]| match run_of(args) {
            Ok(Action::Run(run)) => (run.command.words, run.wait),
            other => panic!("{other:?}"),
        };
        let expected: Vec<std::ffi::OsString> = vec!["dd".into(), "--wait".into(), "-u".into()];
        assert_eq!(
            words(&["--", "dd", "--wait", "-u"]),
            (expected.clone(), false)
        );
        // The two dashes may be left out.
        assert_eq!(words(&["--wait", "dd", "--wait", "-u"]), (expected, true));
        let missing = resolve(&["run", "--wait"]).expect_err("no command");
        assert!(missing.to_string().contains("<COMMAND>"), "{missing}");
        assert_eq!(
            run_of(&["--wiat", "--", "dd"]),
            Err(UsageError::NoCommand("--wiat".to_owned()))
        );
        assert!(run_of(&["--", "./-dd"]).is_ok());
    }

    #[test]
    fn a_command_runs_as_a_user_that_exists() {
        let user = run_of(&["-u", "no such user", "--", "true"]);
        assert_eq!(user, Err(UsageError::NoUser("no such user".into())));
        let Ok(Action::Run(run)) = run_of(&["--user", "1000", "--", "true"]) else {
            panic!("no run");
        };
        assert_eq!(run.command.uid, Some(1000));
        assert!(matches!(run_of(&["--schema"]), Ok(Action::Print(_))));
    }

    #[test]
    fn an_unknown_device_is_told_which_there_are() {
        let Err(error) = resolve(&["--device", "sda,sdc"]).expect("parsed") else {
            panic!("sdc was found");
        };
        let said = error.to_string();
        assert!(
            said.contains("\"sdc\"") && said.contains("sda1 (8:1)"),
            "{said}"
        );
    }

    #[test]
    fn a_sort_key_may_have_a_sign() {
        let sort = batch(&["-s", "-pid"]).sort.expect("given");
        assert_eq!(sort.field.name, "pid");
        assert!(sort.direction.is_some());
    }

    #[test]
    fn the_help_names_every_field() {
        let help = Cli::command().render_long_help().to_string();
        for field in crate::view::FIELDS {
            assert!(help.contains(field.name) && help.contains(field.header));
        }
    }

    #[test]
    fn explanations_may_have_whole_command_lines() {
        let explained = batch(&["--explain-writeback", "--full-command"]);
        assert!(explained.text.full_lines);
    }

    #[test]
    fn wake_ups_are_explained_alone_or_with_flushes() {
        let wakes = batch(&["--explain-wakeups", "--idle", "0.5", "-d", "0.25"]);
        assert!(wakes.explain_wakes && !wakes.explain && wakes.wanted.flushes);
        let rule = WakeRule {
            idle: Duration::from_millis(500),
            upper: false,
        };
        assert_eq!(
            (wakes.wanted.wakes, wakes.wanted.spikes),
            (Some(rule), None)
        );
        let both = batch(&[
            "--explain-wakeups",
            "--explain-writeback",
            "--device",
            "sda",
        ]);
        assert!(both.explain_wakes && both.explain);
        assert!(
            both.wanted.wakes.is_some_and(|rule| rule.upper),
            "sda was named"
        );
        assert_eq!(batch(&["--export", "ndjson"]).wanted.wakes, None);
        let page = live(&["--explain-wakeups", "--idle", "60"]).expect("resolved");
        assert!(page.explain_wakes && page.wakes.idle == Duration::from_secs(60));
        let short = resolve(&["--explain-wakeups", "--idle", "5", "-d", "10"]).expect("parsed");
        let said = short.expect_err("refused").to_string();
        assert!(
            said.contains("10 s") && said.contains("-d 5 or less"),
            "{said}"
        );
    }

    #[test]
    fn unknown_users_and_processes_are_named() {
        let nobody = resolve(&["-u", "nosuch"]).expect("parsed");
        assert_eq!(nobody, Err(UsageError::NoUser("nosuch".to_owned())));
        let gone = resolve(&["-p", "100"]).expect("parsed");
        assert_eq!(gone, Err(UsageError::NoProcess(100)));
    }

    fn live(args: &[&str]) -> Result<Live, UsageError> {
        let cli = Cli::try_parse_from([&["iotop-trace"], args].concat()).expect("parsed");
        let config = cli.resolve(|_| None, |pid| pid < 100, sys().path(), true)?;
        match config.action {
            Action::Live(live) => Ok(*live),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_page_of_a_process_has_rows_by_process() {
        let live_view = live(&["--detail", "7", "--sort", "pid"]).expect("resolved");
        assert_eq!(live_view.detail, Some(7));
        assert_eq!(live_view.group_by, Some(GroupBy::Process));
        assert_eq!(live(&["--detail", "100"]), Err(UsageError::NoProcess(100)));
        let in_lines = resolve(&["--detail", "7", "-b"]).expect("parsed");
        assert_eq!(in_lines, Err(UsageError::NoPage));
    }

    #[test]
    fn the_totals_at_the_end_have_no_flushes() {
        let flushes = |args: &[&str]| batch(args).wanted.flushes;
        assert!(flushes(&["-a", "--export", "ndjson"]));
        assert!(!flushes(&["-a", "--export", "ndjson", "--final"]));
        assert!(flushes(&["-a", "--final", "--group-by", "file"]));
    }

    #[test]
    fn required_ebpf_is_not_just_wanted() {
        let ebpf = |args: &[&str]| resolve(args).expect("parsed").expect("resolved").ebpf;
        assert_eq!(ebpf(&[]), Ebpf::BuiltIn);
        assert_eq!(ebpf(&["--require-ebpf"]), Ebpf::Required);
    }

    #[test]
    fn iotops_letters_go_together() {
        let batch = batch(&["-botqqPak", "-n", "3", "--no-ebpf"]);
        assert_eq!(batch.iterations, Some(3));
        assert!(batch.wanted.processes && batch.view.accumulated);
        assert_eq!(batch.wanted.rows, Rows::Disk);
        assert_eq!(
            (batch.text.quiet, batch.text.time, batch.text.kilobytes),
            (2, true, true)
        );
    }
}
