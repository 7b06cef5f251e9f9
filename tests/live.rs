//! The live view in a real terminal, beside real writes.
//!
//! Run as root: `cargo test --test live [FILTER]`. What cannot run here is
//! ignored and says why; with `IOTOP_TRACE_REQUIRE_EBPF` set that is a failure.

#[path = "live/bulk.rs"]
mod bulk;
#[path = "live/keys.rs"]
mod keys;
#[path = "live/manners.rs"]
mod manners;
#[path = "live/shell.rs"]
mod shell;
#[path = "live/stage.rs"]
mod stage;
#[expect(dead_code, reason = "other trials need more of the harness")]
mod support;
#[path = "live/terminal.rs"]
mod terminal;

use std::env;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use stage::Stage;
use support::device::{Device, Fs};
use support::needs::{self, Needs};
use support::writer::{self, WRITER};

/// A trial with a file system of its own.
type Case = fn(&Stage) -> Result<()>;

const CASES: &[(&str, Case)] = &[
    ("who_causes_a_flushers_writes_is_seen_at_once", bulk::seen),
    (
        "a_writers_detail_has_its_file_and_who_submitted",
        bulk::detail,
    ),
    ("the_flushes_are_listed_and_opened", bulk::why),
    ("a_hostile_name_moves_nothing", bulk::hostile),
    ("keys_sort_filter_group_and_freeze", keys::all),
    ("a_priority_is_set", keys::priority),
    ("settings_are_saved_and_found_again", keys::settings),
    ("the_mouse_sorts_and_selects", keys::mouse),
    ("a_terminal_of_another_size_is_drawn_anew", manners::resize),
    (
        "the_terminal_is_as_before_however_it_ends",
        manners::restored,
    ),
    (
        "a_panic_gives_the_terminal_back_and_is_read",
        manners::panicked,
    ),
    ("no_privilege_shows_what_is_left", manners::unprivileged),
    (
        "a_wrong_configuration_is_said_before_the_terminal_is_taken",
        manners::wrong_settings,
    ),
    ("stopped_by_the_shell_it_goes_on_with_fg", shell::suspended),
];

fn main() -> ExitCode {
    if let Ok(comm) = env::var(WRITER) {
        let args: Vec<String> = env::args().skip(1).collect();
        return match writer::act(&comm, &args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{comm}: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    if env::var_os(manners::PANIC).is_some() {
        return manners::panic();
    }
    let mut args = Arguments::from_args();
    // Each has the whole machine's writes on its screen.
    args.test_threads = Some(1);
    let needs = Arc::new(Needs::enter());
    let trial = |&(name, case): &(&'static str, Case)| {
        let needs = Arc::clone(&needs);
        Trial::ignorable_test(name, move || on_a_stage(&needs, case))
    };
    libtest_mimic::run(&args, CASES.iter().map(trial).collect()).exit_code()
}

fn on_a_stage(needs: &Needs, case: Case) -> Result<Completion, Failed> {
    match needs.check(Fs::Ext4) {
        Ok(()) => {}
        Err(missing) if needs::required() => return Err(describe(missing)),
        Err(missing) => return Ok(Completion::ignored_with(format!("{missing:#}"))),
    }
    let done = Device::create(Fs::Ext4)
        .and_then(Stage::new)
        .and_then(|stage| case(&stage));
    done.map(|()| Completion::Completed).map_err(describe)
}

fn describe(error: anyhow::Error) -> Failed {
    format!("{error:#}").into()
}
