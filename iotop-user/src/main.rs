//! The program: parse the command line, open the sources, run.

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use iotop_trace::{
    batch,
    causes::with_causes,
    cli::{Action, Batch, Cli, Config, DoctorFormat, Ebpf},
    collect::{Collector, devices},
    doctor, identity,
    kernel::capabilities,
    output::is_closed_pipe,
    sources,
};

/// A run-time failure.
const FAILED: u8 = 1;
/// Wrong usage.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // --help and --version end here too, with 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let exists = |pid: u32| Path::new("/proc").join(pid.to_string()).exists();
    let block_devices = || devices::list(Path::new("/sys")).unwrap_or_default();
    let config = match cli.resolve(identity::uid, exists, block_devices) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("iotop-trace: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match run(config) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("iotop-trace: {}", with_causes(&*error));
            ExitCode::from(FAILED)
        }
    }
}

fn run(config: Config) -> Result<ExitCode> {
    match config.action {
        Action::Doctor(format) => examine(&config.ebpf, format),
        Action::Batch(batch) => sample(&config.ebpf, &batch),
    }
}

fn examine(ebpf: &Ebpf, format: DoctorFormat) -> Result<ExitCode> {
    let report = doctor::examine(ebpf);
    let mut out = io::stdout().lock();
    match report.print(format, &mut out).and_then(|()| out.flush()) {
        Err(error) if !is_closed_pipe(&error) => Err(error).context("writing to standard output"),
        _ if report.is_healthy() => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::from(FAILED)),
    }
}

fn sample(ebpf: &Ebpf, batch: &Batch) -> Result<ExitCode> {
    // aya-log reads its ring buffer from a task, so the runtime comes first.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let opened = sources::open(ebpf).context("the kernel half")?;
        capabilities::drop_unneeded().context("dropping capabilities")?;
        // Text says them above its first table.
        if batch.export.is_some() || batch.text.quiet > 2 {
            for notice in &opened.notices {
                eprintln!("iotop-trace: {notice}");
            }
        }
        let collector = Collector::new(opened.sources, batch.wanted.clone())
            .context("reading the kernel's counters")?;
        let mut out = io::stdout().lock();
        batch::run(collector, batch, opened.notices, &mut out).await
    })?;
    Ok(ExitCode::SUCCESS)
}
