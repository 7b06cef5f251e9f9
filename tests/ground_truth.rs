//! Ground truth: runs real writers on real file systems beside the real binary, and
//! compares every byte that it reports with what was really written.
//!
//! Run as root: `cargo test --test ground_truth [FILTER]`. Without root, loop devices
//! or eBPF the trials are ignored and say why; with `IOTOP_TRACE_REQUIRE_EBPF` set they
//! fail. `IOTOP_TRACE_TRUTH_ONLY` runs the writers alone and checks the harness against
//! the kernel's counters. `cargo xtask vm` runs this on other kernels, as the first
//! process of a virtual machine.

mod cases;
mod support;

use std::env;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use cases::{Case, Group};
use support::device::Device;
use support::needs::{self, Feature, Needs};
use support::run::kept_as;
use support::{init, selftest, tracer, trial, writer};

fn main() -> ExitCode {
    if init::is_ours() {
        init::run();
    }
    if let Ok(comm) = env::var(writer::WRITER) {
        let args: Vec<String> = env::args().skip(1).collect();
        return match writer::act(&comm, &args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let mut args = Arguments::from_args();
    // One tracer at a time: each must see only its own case's writers.
    args.test_threads = Some(1);
    let trials = trials(&Arc::new(Needs::enter()));
    libtest_mimic::run(&args, trials).exit_code()
}

fn trials(needs: &Arc<Needs>) -> Vec<Trial> {
    let mut trials = selftest::trials();
    for group in cases::groups() {
        // The trials of a group share its device; the last one frees it.
        let device = Arc::new(Mutex::new(None));
        for &(case_name, case) in group.cases {
            let (needs, device) = (Arc::clone(needs), Arc::clone(&device));
            let name = format!("{}::{case_name}", group.name);
            trials.push(Trial::ignorable_test(name.clone(), move || {
                on_a_device(&needs, &group, &device, &name, case)
            }));
        }
    }
    trials.extend(cases::cost::trials());
    if init::is_guest() {
        trials.extend(cases::cpus::trials());
        trials.extend(cases::without::trials());
    }
    trials
}

fn on_a_device(
    needs: &Needs,
    group: &Group,
    device: &Mutex<Option<Device>>,
    name: &str,
    case: Case,
) -> Result<Completion, Failed> {
    let feature = group.feature.map_or(Ok(()), Feature::check);
    let able = feature
        .and_then(|()| group.program.map_or(Ok(()), needs::program))
        .and_then(|()| needs.check(group.fs));
    if able.is_err() {
        return trial::end(able);
    }
    let mut device = device.lock().unwrap_or_else(PoisonError::into_inner);
    // Taken out of the mutex: after a failure or a panic the next trial gets a fresh
    // device.
    let fresh = match device.take() {
        Some(used) => used,
        None => match Device::create_on(group.fs, group.on) {
            Ok(made) => made,
            Err(error) => return trial::end(Err(error)),
        },
    };
    let ended = trial::end(cases::run(name, case, &fresh));
    if ended.is_ok() {
        *device = Some(fresh);
    } else if init::is_guest() {
        tracer::tell(&kept_as(name));
    }
    ended
}
