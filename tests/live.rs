//! The live view in a real terminal, beside real writes.
//!
//! Run as root: `cargo test --test live [FILTER]`. Trials that can't run here are
//! ignored and say why; with `IOTOP_TRACE_REQUIRE_EBPF` set they fail.

#[path = "live/bulk.rs"]
mod bulk;
#[path = "live/files.rs"]
mod files;
#[path = "live/gone.rs"]
mod gone;
#[path = "live/keys.rs"]
mod keys;
#[path = "live/manners.rs"]
mod manners;
#[path = "live/privilege.rs"]
mod privilege;
#[path = "live/pty.rs"]
mod pty;
#[path = "live/recording.rs"]
mod recording;
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
use support::needs::Needs;
use support::trial;
use support::writer::{self, WRITER};

/// A trial that has a file system for itself.
type Case = fn(&Stage) -> Result<()>;

const CASES: &[(&str, Case)] = &[
    (
        "the_owner_of_a_flushers_writes_is_shown_at_once",
        bulk::seen,
    ),
    (
        "a_writers_detail_has_its_file_and_its_submitter",
        bulk::detail,
    ),
    (
        "the_live_view_starts_with_the_page_of_a_process",
        bulk::process,
    ),
    ("the_flushes_are_listed_and_opened", bulk::why),
    ("the_wake_ups_are_listed_and_opened", bulk::woken),
    ("a_hostile_name_does_not_move_the_cursor", bulk::hostile),
    ("keys_sort_filter_group_and_freeze", keys::all),
    ("a_priority_is_set", keys::priority),
    ("settings_are_saved_and_read_back", keys::settings),
    ("the_mouse_sorts_and_selects", keys::mouse),
    (
        "a_recording_is_shown_back_and_forth_to_whoever_can_read_it",
        recording::replayed,
    ),
    ("a_resized_terminal_is_redrawn", manners::resize),
    (
        "the_terminal_is_restored_however_the_program_ends",
        manners::restored,
    ),
    (
        "a_panic_restores_the_terminal_and_shows_its_message",
        manners::panicked,
    ),
    (
        "without_privileges_the_rest_is_shown",
        manners::unprivileged,
    ),
    (
        "a_wrong_configuration_is_reported_before_the_terminal_is_taken_over",
        manners::wrong_settings,
    ),
    (
        "a_full_file_system_leaves_the_old_configuration",
        files::full,
    ),
    ("a_home_that_can_not_be_used_is_a_notice", files::no_home),
    (
        "the_key_for_delays_says_the_command_that_works",
        files::delays,
    ),
    (
        "a_link_of_the_user_leads_root_to_no_other_file",
        privilege::foreign,
    ),
    ("what_is_saved_belongs_to_the_user", privilege::saved),
    (
        "a_configuration_that_is_no_file_is_not_read",
        privilege::no_file,
    ),
    (
        "a_wrong_configuration_is_reported_without_its_content",
        privilege::content,
    ),
    (
        "every_thread_of_the_live_view_is_limited",
        privilege::threads,
    ),
    ("a_closed_terminal_ends_it_silently", gone::closed),
    (
        "a_blocked_terminal_keeps_nothing_from_ending_it",
        gone::blocked,
    ),
    (
        "a_terminal_that_was_blocked_is_drawn_again",
        gone::unblocked,
    ),
    ("without_a_shell_it_is_not_suspended", gone::orphaned),
    ("a_terminal_without_a_size_is_drawn_on", gone::sizeless),
    ("a_dumb_terminal_gets_text", gone::dumb),
    (
        "suspended_by_the_shell_it_continues_with_fg",
        shell::suspended,
    ),
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
    // One trial at a time: each screen shows the whole machine's writes.
    args.test_threads = Some(1);
    let needs = Arc::new(Needs::enter());
    let trial = |&(name, case): &(&'static str, Case)| {
        let needs = Arc::clone(&needs);
        Trial::ignorable_test(name, move || on_a_stage(&needs, case))
    };
    libtest_mimic::run(&args, CASES.iter().map(trial).collect()).exit_code()
}

fn on_a_stage(needs: &Needs, case: Case) -> Result<Completion, Failed> {
    let done = needs
        .check(Fs::Ext4)
        .and_then(|()| Device::create(Fs::Ext4))
        .and_then(Stage::new)
        .and_then(|stage| case(&stage));
    trial::end(done)
}
