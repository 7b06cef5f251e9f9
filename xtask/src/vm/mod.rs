//! Runs the ground truth on other kernels: boots the distribution's kernels in
//! QEMU, all at once, with the test binary as their first process.

pub mod build;
pub mod bzimage;
mod capabilities;
mod cpio;
mod here;
mod initramfs;
mod kernel_log;
pub mod kernels;
mod machine;
pub mod modules;
mod outcome;
#[path = "../../../tests/support/plan.rs"]
mod plan;
mod record;
mod selection;
pub mod suite;
mod table;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::{privilege, process, test, workspace};
use build::Built;
use kernels::Kernel;
use machine::{End, Machine};
use outcome::Outcome;
use plan::Plan;
use record::Proven;
use suite::Unpacked;

/// Machines at a time. Each has one CPU and waits part of the time, so two CPUs are
/// enough for four.
const AT_ONCE: usize = 4;
/// Machines at a time if the run time of programs is measured.
const AT_ONCE_MEASURED: usize = 2;
/// How long one machine may run. On a slow host the newest kernel takes an hour for every case.
const LIMIT: Duration = Duration::from_secs(75 * 60);
/// The factor for the tests' time limits: emulation is slow, and the machines share CPUs.
const SLOWER: &str = "8";
/// Limits as on a machine with much more memory: nothing may be written back before a
/// case has all its data dirty.
const SETTINGS: [(&str, &str); 2] = [
    ("vm/dirty_background_bytes", "536870912"),
    ("vm/dirty_bytes", "1073741824"),
];
/// Makes the tests report what the programs cost.
const COST: &str = "IOTOP_TRACE_COST";
/// Runs the writers without a tracer.
const TRUTH_ONLY: &str = "IOTOP_TRACE_TRUTH_ONLY";

#[derive(clap::Args, Default)]
pub struct Options {
    /// Only this kernel: 5.10, 6.1, 6.12 or newest; more than once for several
    #[arg(long = "kernel", value_name = "KERNEL", value_parser = kernels::named)]
    kernels: Vec<Kernel>,
    /// Print what `iotop-trace doctor` reports there, instead of running the tests
    #[arg(long)]
    doctor: bool,
    /// Run every case, on this machine too, and record what each kernel without a
    /// failure can do, in tests/kernels.json and docs/kernels.md; with a part of names,
    /// only what all such cases prove
    #[arg(long, conflicts_with_all = ["doctor", "append"])]
    record: bool,
    /// Add arguments to the kernel's command line
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    append: Vec<String>,
    /// Arguments of the tests, such as a part of their names, after `--`
    #[arg(last = true)]
    filter: Vec<String>,
    /// Leave out the cases that [`selection`] leaves out
    #[arg(skip)]
    selected: bool,
}

impl Options {
    /// The whole matrix, with these arguments of the tests. Without any, and if not every case
    /// is wanted, each kernel runs a selection.
    pub fn all(filter: &[String], every_case: bool) -> Options {
        Options {
            filter: filter.to_vec(),
            selected: filter.is_empty() && !every_case,
            ..Options::default()
        }
    }

    /// Whether the whole matrix is asked for.
    fn is_whole(&self) -> bool {
        self.kernels.is_empty() && !self.doctor && self.append.is_empty()
    }
}

pub fn run(options: &Options) -> Result<()> {
    if cfg!(not(target_arch = "x86_64")) {
        bail!("the kernels of the matrix need an x86-64 machine");
    }
    ensure!(
        !(options.record && truth_only()),
        "nothing is traced with {TRUTH_ONLY}: there is nothing to record"
    );
    let kernels = match &options.kernels[..] {
        [] => kernels::ALL.to_vec(),
        chosen => chosen.to_vec(),
    };
    let built = build::build()?;
    let trials = here::trials(&built)?;
    if options.is_whole() {
        for trial in &trials {
            capabilities::proven_by(trial)?;
        }
    }
    let common = initramfs::common(&built)?;
    let mut machines = VecDeque::new();
    let mut outcomes = Vec::new();
    for kernel in kernels {
        let left_out = match options.selected {
            true => selection::left_out(&trials, kernel)?,
            false => Vec::new(),
        };
        let commands = commands(&built, options, left_out);
        match prepare(kernel, commands, &common, options) {
            Ok((unpacked, machine)) => machines.push_back((kernel, unpacked, machine)),
            Err(error) => outcomes.push((kernel.name, failed("-", &error))),
        }
    }
    let (machines, ended) = (Mutex::new(machines), Mutex::new(outcomes));
    let at_once = match options.record {
        true => AT_ONCE_MEASURED,
        false => AT_ONCE,
    };
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                let next = || locked(&machines).pop_front();
                while let Some((kernel, unpacked, machine)) = next() {
                    let outcome = watch(kernel, &unpacked, &machine);
                    locked(&ended).push((kernel.name, outcome));
                }
            });
        }
    });
    let mut outcomes = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Err(missing) = privilege::prefix()
        && options.is_whole()
        && !options.record
    {
        eprintln!("This machine's own kernel is not tested: {missing}");
    } else if options.is_whole() {
        let tests = options.record.then_some(&options.filter[..]);
        let here = here::run(&built, tests).unwrap_or_else(|error| failed("-", &error));
        outcomes.push((here::NAME, here));
    }
    outcomes.sort_by_key(|(_, outcome)| version(&outcome.version));
    let recorded = record::read()?;
    for (kernel, outcome) in &mut outcomes {
        match record::grown(&recorded, kernel, outcome) {
            // To accept growth, make a new record.
            Ok(_) if options.record => {}
            Ok(grown) => outcome.problems.extend(grown),
            Err(error) => outcome.problems.push(format!("{error:#}")),
        }
    }
    print!("{}", table::of(&outcomes));
    if options.record {
        keep(recorded, &outcomes, &trials)?;
    }
    ensure!(
        outcomes.iter().all(|(_, outcome)| outcome.is_good()),
        "not every kernel is good; the logs are in {}",
        logs().display()
    );
    Ok(())
}

fn failed(release: &str, error: &anyhow::Error) -> Outcome {
    let mut outcome = Outcome::new(release);
    outcome.problems.push(format!("{error:#}"));
    outcome
}

/// A kernel's version, to be compared.
fn version(text: &str) -> Vec<u32> {
    let numbers = text.split('.');
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// Records what was proved, and puts it into the table of docs/kernels.md. A kernel
/// with a failure keeps its old record.
fn keep(mut record: Vec<Proven>, outcomes: &[(&str, Outcome)], trials: &[String]) -> Result<()> {
    for (kernel, outcome) in outcomes.iter().filter(|(_, outcome)| outcome.is_good()) {
        let at = record.iter().position(|one| one.kernel == *kernel);
        let before = at.map(|at| record.remove(at));
        record.push(Proven::by(kernel, outcome, trials, before)?);
    }
    record.sort_by_key(|one| version(&one.version));
    record::write(&record)?;
    let path = workspace::root().join(capabilities::PAGE);
    let page = fs::read_to_string(&path)?;
    fs::write(
        &path,
        capabilities::PLACE.put(&page, &capabilities::table(&record))?,
    )?;
    Ok(())
}

/// Where archives and logs are kept.
fn logs() -> PathBuf {
    workspace::target().join("vm")
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program in PATH or in root's directories.
fn program(name: &str) -> Result<PathBuf> {
    let root = ["/usr/sbin", "/sbin"].map(|dir| PathBuf::from(dir).join(name));
    let found = process::find(name).or_else(|| root.into_iter().find(|file| file.is_file()));
    found.with_context(|| format!("{name} is not installed: run `cargo xtask setup`"))
}

/// Fetches a kernel and makes its archive.
fn prepare(
    kernel: Kernel,
    commands: Vec<Vec<String>>,
    common: &initramfs::Common,
    options: &Options,
) -> Result<(Unpacked, Machine)> {
    let unpacked = suite::fetch(kernel)?;
    let modules = modules::wanted(&unpacked.modules)?;
    let plan = Plan {
        modules: modules.iter().map(initramfs::module_path).collect(),
        settings: SETTINGS.map(owned).into(),
        environment: environment(),
        commands,
    };
    let dir = logs();
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let file = |ending: &str| dir.join(format!("{}.{ending}", kernel.name));
    let machine = Machine {
        image: unpacked.image.clone(),
        initramfs: file("initramfs"),
        append: options.append.clone(),
        output: file("log"),
        kernel_log: file("kernel.log"),
        facts: file("doctor.json"),
        limit: LIMIT,
        nice: kernel.nice,
        cpus: kernel.cpus,
    };
    fs::write(&machine.initramfs, initramfs::of(common, &modules, &plan)?)?;
    Ok((unpacked, machine))
}

fn truth_only() -> bool {
    std::env::var_os(TRUTH_ONLY).is_some()
}

/// The guest's environment. No trial may be skipped there. As on the host,
/// [`TRUTH_ONLY`] leaves out the tracer, to check the harness itself.
fn environment() -> BTreeMap<String, String> {
    let mode = if truth_only() {
        TRUTH_ONLY
    } else {
        test::REQUIRE_EBPF
    };
    let variables = [
        ("PATH", initramfs::BIN),
        ("HOME", "/root"),
        ("IOTOP_TRACE_SLOWER", SLOWER),
        (COST, "1"),
        (mode, "1"),
    ];
    variables.map(owned).into()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// What the guest runs: first the doctor, for its facts, because the last tests leave a
/// machine without eBPF; then the tests or the doctor.
fn commands(built: &Built, options: &Options, left_out: Vec<String>) -> Vec<Vec<String>> {
    let program = built.program.to_string_lossy();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let asked_for = match options.doctor {
        true => words(&[&program, "doctor"]),
        false => {
            let mut test: Vec<String> = words(&[initramfs::INIT, "--format", "json"]);
            test.extend(options.filter.iter().cloned());
            if !left_out.is_empty() {
                test.push("--exact".to_owned());
                let skip = |name| ["--skip".to_owned(), name];
                test.extend(left_out.into_iter().flat_map(skip));
            }
            test
        }
    };
    vec![words(&[&program, "doctor", "--format", "json"]), asked_for]
}

/// Runs a machine to its end, and prints its progress.
fn watch(kernel: Kernel, unpacked: &Unpacked, machine: &Machine) -> Outcome {
    let mut outcome = Outcome::new(&unpacked.release);
    outcome.version.clone_from(&unpacked.version);
    let end = machine.run(|line| {
        if let Some(shown) = outcome.line(line) {
            println!("{}: {shown}", kernel.name);
        }
    });
    match end {
        Ok(End::Off) => {}
        Ok(End::TooLate) => outcome.problems.push(format!(
            "the machine ran for longer than {} min",
            LIMIT.as_secs() / 60
        )),
        Err(error) => outcome.problems.push(format!("{error:#}")),
    }
    outcome.off();
    // Parsed and written again, to have it on one line.
    let facts: serde_json::Value = serde_json::from_str(&outcome.doctor).unwrap_or_default();
    if let Err(error) = fs::write(&machine.facts, format!("{facts}\n")) {
        outcome
            .problems
            .push(format!("{}: {error}", machine.facts.display()));
    }
    let log = fs::read(&machine.kernel_log).unwrap_or_default();
    if let Some(trouble) = kernel_log::trouble(&String::from_utf8_lossy(&log)) {
        outcome
            .problems
            .push(format!("in the kernel's log:\n{trouble}"));
    }
    outcome
}
