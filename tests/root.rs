//! What only root can bring about: a kernel that lacks something, namespaces, another /proc.
//!
//! Run as root: `cargo test --test root [FILTER]`. Trials that can't run here are ignored and
//! say why; with `IOTOP_TRACE_REQUIRE_EBPF` set they fail.

#[path = "support/attached.rs"]
mod attached;
#[path = "support/deadline.rs"]
mod deadline;
#[path = "root/ending.rs"]
mod ending;
#[path = "root/hidepid.rs"]
mod hidepid;
#[path = "root/kernel.rs"]
mod kernel;
#[path = "root/namespaces.rs"]
mod namespaces;
#[path = "support/program.rs"]
mod program;
#[path = "support/trial.rs"]
mod trial;
#[path = "root/unit.rs"]
mod unit;

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Trial};

use program::{complaint, is_root, soon};
use trial::LeftOut;

type Case = fn() -> Result<()>;

const CASES: &[(&str, Case)] = &[
    (
        "nothing_stays_attached_however_it_ends",
        ending::nothing_stays_attached,
    ),
    (
        "processes_that_proc_hides_are_reported_with_the_way_out",
        hidepid::reported_with_the_way_out,
    ),
    (
        "a_kernel_without_btf_leaves_the_rest_working",
        kernel::without_btf,
    ),
    (
        "counters_that_a_kernel_is_built_without_are_unknown",
        kernel::without_counters,
    ),
    (
        "a_kernel_without_a_tracepoint_leaves_the_rest_working",
        kernel::without_a_tracepoint,
    ),
    (
        "a_program_that_the_verifier_refuses_is_named",
        kernel::refused_program,
    ),
    (
        "counters_are_known_in_a_network_namespace",
        namespaces::network,
    ),
    ("counters_are_known_in_a_pid_namespace", namespaces::pid),
    (
        "a_number_of_a_pid_namespace_is_not_taken_for_one_of_the_host",
        namespaces::foreign_number,
    ),
    (
        "a_pid_namespace_counts_the_tasks_of_the_machine",
        namespaces::counts_the_machine,
    ),
    (
        "a_time_namespace_changes_no_name_and_no_start_time",
        namespaces::time,
    ),
    (
        "the_systemd_unit_grants_what_recording_needs",
        unit::grants_what_recording_needs,
    ),
];

fn main() -> ExitCode {
    let trial = |&(name, case): &(&'static str, Case)| {
        Trial::ignorable_test(name, move || trial::end(as_root(case)))
    };
    let trials = CASES.iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn as_root(case: Case) -> Result<()> {
    ensure!(is_root(), LeftOut::Missing("not root".to_owned()));
    case()
}

/// Runs a command in new namespaces. Fails with [`LeftOut`] if the kernel has none of these.
fn unshare(namespaces: &[&str]) -> Result<Command> {
    let mut command = Command::new("unshare");
    command.args(namespaces);
    let tried = soon().output(Command::new("unshare").args(namespaces).arg("true"))?;
    if !tried.status.success() {
        return Err(LeftOut::missing(complaint(&tried).trim()));
    }
    Ok(command)
}
