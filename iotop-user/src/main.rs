//! The program: parse the command line, open the sources, run.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use iotop_trace::{
    causes::with_causes,
    cli::{Action, Batch, Cli, Config, Ebpf, Live, Record, Replay, ReportFormat, Run, UsageError},
    collect::{Collector, Sources, Wanted, recorded},
    commands::{
        batch, doctor, record, replay, report, run,
        sources::{self, Opened},
        waiting,
    },
    host::{
        Notice,
        helper::{Helper, Paths},
        hidepid, identity,
        kernel::{capabilities::Capabilities, memory, priority, sysctls::Sysctls},
        room::{self, Need, Shortage},
        sandbox, signals,
        supervisor::{ForCommand, Inherited, Supervisor, leave_streams},
    },
    output::{Outlet, is_closed_pipe, say},
    record::Store,
    tui::{self, Settings, Surroundings, settings::SettingsError},
};

const PROC: &str = "/proc";
const SYS: &str = "/sys";
/// What a run does once everything is open.
const GIVING_UP: &str = "giving up the rights that are not needed any more";

/// Exit status of a failure at run time.
const FAILED: u8 = 1;
/// Exit status of wrong usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let inherited = Inherited::now();
    if let Err(error) = signals::end_while_starting() {
        say(&format!("catching signals: {error}"));
        return ExitCode::from(FAILED);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // --help and --version end here too, with 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    if let Err(shortage) = make_room() {
        say(&shortage.to_string());
        return ExitCode::from(FAILED);
    }
    let exists = |pid| hidepid::exists(Path::new(PROC), pid);
    let config = match cli.resolve(
        identity::uid,
        exists,
        Path::new(SYS),
        tui::terminal::can_show(),
    ) {
        Ok(config) => config,
        Err(error) => {
            say(&error.to_string());
            return ExitCode::from(USAGE);
        }
    };
    match act(config, &inherited) {
        Ok(status) => status,
        Err(error) => {
            say(&with_causes(&*error));
            ExitCode::from(FAILED)
        }
    }
}

/// Makes the most of this process's limits, and checks that they leave enough to run at all.
fn make_room() -> Result<(), Shortage> {
    room::raise_file_limit();
    if room::is_address_space_limited() {
        // Each further heap would reserve 64 MiB.
        memory::keep_one_heap();
    }
    room::check(&Need::PROGRAM, Path::new(PROC), Path::new(SYS))
}

fn act(config: Config, inherited: &Inherited) -> Result<ExitCode> {
    match config.action {
        Action::Doctor(format) => examine(&config.ebpf, format),
        Action::Run(run) => measure(&config.ebpf, &run, inherited),
        Action::Print(text) => print(&text),
        Action::Live(live) => show(&config.ebpf, *live),
        Action::Batch(batch) => sample(&config.ebpf, &batch),
        Action::Record(wanted) => keep(&config.ebpf, &wanted),
        Action::Replay(mut wanted) => {
            if let Some(live) = wanted.live.take() {
                return show_recording(&wanted, live);
            }
            // Nothing is lost if a signal ends it, as it ends any other program.
            replay::run(&wanted)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Report(wanted) => {
            report::run(&wanted)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn print(text: &str) -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if !is_closed_pipe(&error) => Err(error).context("writing to standard output"),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn examine(ebpf: &Ebpf, format: ReportFormat) -> Result<ExitCode> {
    // Without a report, 0 would say that all is well.
    signals::status_while_starting(FAILED);
    let helper = helper(ebpf, None)?;
    let report = doctor::examine(ebpf, &helper).context(GIVING_UP)?;
    let mut out = io::stdout().lock();
    match report.print(format, &mut out).and_then(|()| out.flush()) {
        Err(error) if !is_closed_pipe(&error) => Err(error).context("writing to standard output"),
        _ if report.is_healthy() => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::from(FAILED)),
    }
}

/// The error that one of these processes is not known to any source: it has just ended, /proc
/// hides it, or the source has other numbers.
fn missing(collector: &Collector, pids: &[u32]) -> Option<UsageError> {
    let chosen = collector.choose(pids);
    let mut missing = pids.iter().zip(chosen);
    let (pid, _) = missing.find(|(_, chosen)| chosen.start().is_none())?;
    let (pid, proc_root) = (*pid, Path::new(PROC));
    let why = match collector.probe() {
        Some(_) => {
            let settings = Sysctls::read(proc_root, Path::new(SYS));
            let other_numbers = settings.first_pid_namespace == Some(false);
            other_numbers.then_some(UsageError::OtherNumber(pid))
        }
        None => hidepid::hiding(proc_root, &Capabilities::effective())
            .map(|hidepid| UsageError::Hidden { pid, hidepid }),
    };
    let exists = hidepid::exists(proc_root, pid);
    Some(why.filter(|_| exists).unwrap_or(UsageError::NoProcess(pid)))
}

/// The settings, with a notice if their file can't be read.
fn settings(
    path: Option<&PathBuf>,
    helper: &Helper,
) -> Result<(Settings, Option<Notice>), SettingsError> {
    let read = |path: &PathBuf| Settings::read(path, helper);
    match path.map(read).transpose() {
        Ok(settings) => Ok((settings.unwrap_or_default(), None)),
        // The user wants to see the writes, whatever HOME is.
        Err(error @ SettingsError::File { .. }) => {
            let notice = Notice::NoSettings(with_causes(&error));
            Ok((Settings::default(), Some(notice)))
        }
        Err(error) => Err(error),
    }
}

/// Shows a recording in the live view.
fn show_recording(replay: &Replay, live: Live) -> Result<ExitCode> {
    memory::keep_heap_small();
    let settings_path = tui::settings::path();
    let helper = helper(&Ebpf::Off, settings_path.clone())?;
    let (settings, unread) = match settings(settings_path.as_ref(), &helper) {
        Ok(read) => read,
        Err(error) => {
            say(&with_causes(&error));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let settings = tui::with_options(settings, &live);
    let machine = Surroundings {
        helper: Some(helper),
        notices: unread.into_iter().collect(),
        // The numbers are those of tasks that ran when it was recorded.
        own_pids: false,
        settings_path,
    };
    let (opened, live) = replay::open(replay, live)?;
    sandbox::keys_from_terminal().context("opening the terminal")?;
    let shown = runtime()?.block_on(tui::replay::run(opened, live, settings, machine))?;
    match shown {
        true => Ok(ExitCode::SUCCESS),
        false => bail!(
            "{} has no interval that can be read",
            replay.directory.display()
        ),
    }
}

fn show(ebpf: &Ebpf, live: Live) -> Result<ExitCode> {
    // Not for batch output: it keeps little, and would map its buffers again in each
    // interval.
    memory::keep_heap_small();
    let settings_path = tui::settings::path();
    let helper = helper(ebpf, settings_path.clone())?;
    priority::raise();
    let (settings, unread) = match settings(settings_path.as_ref(), &helper) {
        Ok(read) => read,
        Err(error) => {
            say(&with_causes(&error));
            return Ok(ExitCode::from(USAGE));
        }
    };
    let settings = tui::with_options(settings, &live);
    let runtime = runtime()?;
    runtime.block_on(async {
        let wanted = tui::wanted(&settings, &live);
        let mut opened = open(ebpf, wanted.flushes, helper.clone())?;
        sandbox::keys_from_terminal().context("opening the terminal")?;
        // The user may set the I/O priority of a task.
        opened.needs.priorities = true;
        opened.give_up().context(GIVING_UP)?;
        let machine = Surroundings {
            helper: Some(helper),
            notices: opened.notices.into_iter().chain(unread).collect(),
            own_pids: opened.own_pids,
            settings_path,
        };
        let collector = look(opened.sources, wanted)?;
        let pids: Vec<u32> = live.pids.iter().chain(&live.detail).copied().collect();
        if let Some(error) = missing(&collector, &pids) {
            say(&error.to_string());
            return Ok(ExitCode::from(USAGE));
        }
        tui::run(collector, live, settings, machine).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Starts the process that opens what the user names. Before all else: what is open then is open
/// there too.
fn helper(ebpf: &Ebpf, settings: Option<PathBuf>) -> Result<Arc<Helper>> {
    let object = match ebpf {
        Ebpf::File(path) => Some(path.clone()),
        _ => None,
    };
    let helper = Helper::start(Paths { settings, object });
    Ok(Arc::new(helper.context(
        "starting the process that has only the rights of the user",
    )?))
}

/// Opens the sources.
fn open(ebpf: &Ebpf, flushes: bool, helper: Arc<Helper>) -> Result<Opened> {
    let what = match ebpf {
        Ebpf::Off => "the sources of counters",
        _ => "the kernel, which checks and loads the kernel half",
    };
    waiting::on(what, || sources::open(ebpf, flushes, helper)).context(without(ebpf))
}

/// Takes a first look at all counters.
fn look(sources: Sources, wanted: Wanted) -> Result<Collector> {
    let look = || Collector::new(sources, wanted);
    waiting::on("a first look at all tasks", look).context("reading the kernel's counters")
}

/// What is missing if the sources can't be opened.
fn without(ebpf: &Ebpf) -> &'static str {
    match ebpf {
        Ebpf::Required => "no attribution, and --require-ebpf wants it",
        _ => "the kernel half",
    }
}

/// aya-log reads its ring buffer in a task, so there must be a runtime before the
/// kernel half is attached.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
}

fn sample(ebpf: &Ebpf, batch: &Batch) -> Result<ExitCode> {
    let helper = helper(ebpf, None)?;
    priority::raise();
    runtime()?.block_on(async {
        let mut opened = open(ebpf, batch.wanted.flushes, helper)?;
        opened.give_up().context(GIVING_UP)?;
        // The notice about io.max is a permanent limit of this kernel. Only doctor and
        // the live view report it.
        let notices = opened.notices.iter().filter(|one| !one.is_about_io_max());
        let notices: Vec<String> = notices.map(ToString::to_string).collect();
        // Text output prints them above its first table.
        if batch.export.is_some() || batch.text.quiet > 2 {
            for notice in &notices {
                say(notice);
            }
        }
        let collector = look(opened.sources, batch.wanted.clone())?;
        if let Some(error) = missing(&collector, &batch.wanted.pids) {
            say(&error.to_string());
            return Ok(ExitCode::from(USAGE));
        }
        let outlet = Outlet::start(io::stdout()).context("starting the writer's thread")?;
        batch::run(collector, batch, notices, &outlet).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn keep(ebpf: &Ebpf, wanted: &Record) -> Result<ExitCode> {
    let helper = helper(ebpf, None)?;
    // First: that another recorder is there is known at once.
    let mut store = Store::open(&wanted.directory, wanted.retention)?;
    priority::raise();
    runtime()?.block_on(async {
        let mut opened = open(ebpf, true, helper)?;
        opened
            .give_up_but(Some(&wanted.directory))
            .context(GIVING_UP)?;
        store.prepare(jiff::Timestamp::now())?;
        for notice in opened.notices.iter().filter(|one| !one.is_about_io_max()) {
            say(&notice.to_string());
        }
        let collector = look(opened.sources, recorded::everything())?;
        let directory = wanted.directory.display();
        say(&format!(
            "recording into {directory}, every {:?}",
            wanted.delay
        ));
        record::run(collector, store, wanted.delay).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs a command and reports what it cost.
fn measure(ebpf: &Ebpf, run: &Run, inherited: &Inherited) -> Result<ExitCode> {
    // Nothing was run: 0 would say that it was.
    signals::status_while_starting(FAILED);
    // SAFETY: geteuid takes nothing and can't fail.
    if run.command.uid.is_some() && unsafe { libc::geteuid() } != 0 {
        say(&UsageError::NotRoot.to_string());
        return Ok(ExitCode::from(USAGE));
    }
    // Before all else: the command gets what we have now.
    let supervisor = Supervisor::start(&run.command, inherited);
    let supervisor = supervisor.context("starting the process that supervises the command")?;
    let helper = helper(ebpf, None)?;
    leave_streams(0..=1).context("leaving standard input and output to the command")?;
    priority::raise();
    runtime()?.block_on(async {
        let mut opened = open(ebpf, true, helper)?;
        let signals = ForCommand::take(inherited).context("waiting for signals")?;
        opened.give_up().context(GIVING_UP)?;
        let of_report = |one: &&Notice| !one.is_permanent() && !one.is_about_rows();
        let notices = opened.notices.iter().filter(of_report);
        let notices = notices.map(ToString::to_string).collect();
        let by_name = !opened.own_pids;
        let collector = look(opened.sources, run::wanted())?;
        let status = run::run(collector, run, supervisor, signals, by_name, notices).await?;
        Ok(ExitCode::from(status))
    })
}
