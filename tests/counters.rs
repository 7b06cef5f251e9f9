//! Task counters: every byte of every task is counted once. Runs real processes beside
//! the real binary, and compares its lines with the kernel's counters in /proc.
//!
//! Run as root: `cargo test --test counters [FILTER]`. Trials that can't run here are
//! ignored and say why; with `IOTOP_TRACE_REQUIRE_EBPF` set they fail.

#[path = "counters/actor.rs"]
mod actor;
#[path = "counters/command.rs"]
mod command;
#[path = "counters/devices.rs"]
mod devices;
#[path = "counters/files.rs"]
mod files;
#[path = "counters/fork.rs"]
mod fork;
#[path = "counters/identity.rs"]
mod identity;
#[path = "counters/intervals.rs"]
mod intervals;
#[path = "counters/io.rs"]
mod io;
#[path = "counters/mapped.rs"]
mod mapped;
#[path = "counters/names.rs"]
mod names;
#[path = "counters/processes.rs"]
mod processes;
#[path = "counters/replaceable.rs"]
mod replaceable;
#[path = "counters/short_lived.rs"]
mod short_lived;
#[path = "counters/side_by_side.rs"]
mod side_by_side;
#[path = "counters/sources.rs"]
mod sources;
#[path = "counters/stage.rs"]
mod stage;
#[expect(dead_code, reason = "other trials need more of the harness")]
mod support;
#[path = "counters/table.rs"]
mod table;
#[path = "counters/text.rs"]
mod text;
#[path = "counters/title.rs"]
mod title;
#[path = "counters/wakes.rs"]
mod wakes;

use std::env;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};

use stage::Stage;
use support::device::{Device, Fs};
use support::needs::Needs;
use support::trial;
use support::writer::WRITER;

const MIB: u64 = 1 << 20;

/// A trial in an empty directory of a file system.
type Case = fn(&Stage<'_>) -> Result<()>;

const CASES: &[(&str, Case)] = &[
    (
        "a_process_born_and_dead_inside_one_interval_has_one_row_with_all_its_bytes",
        short_lived::process,
    ),
    (
        "a_thread_that_writes_at_birth_and_exits_has_all_its_bytes",
        short_lived::thread,
    ),
    (
        "a_thread_that_writes_at_birth_and_lives_on_has_all_its_bytes",
        short_lived::thread_that_lives_on,
    ),
    (
        "ten_thousand_processes_of_milliseconds_are_all_accounted_for",
        short_lived::ten_thousand,
    ),
    (
        "a_thread_that_exits_neither_lowers_nor_repeats_its_process",
        processes::thread_exits,
    ),
    (
        "pid_and_tid_both_select_the_whole_process",
        processes::selected,
    ),
    (
        "a_shell_is_not_charged_with_what_its_children_wrote",
        processes::shell,
    ),
    (
        "a_reused_tid_does_not_inherit_counters",
        identity::reused_tid,
    ),
    (
        "a_chosen_process_is_not_replaced_by_the_next_one_with_its_number",
        identity::chosen,
    ),
    (
        "a_tid_reused_inside_one_interval_is_two_tasks",
        identity::reused_at_once,
    ),
    (
        "exec_from_another_thread_counts_nothing_twice",
        identity::exec_from_a_thread,
    ),
    (
        "a_file_below_a_mount_is_not_called_deleted",
        files::file_below_a_mount,
    ),
    (
        "a_mount_that_hangs_above_a_written_file_stops_nothing",
        files::file_below_a_mount_that_hangs,
    ),
    (
        "a_disk_has_its_partitions_whenever_they_are_made",
        devices::partitions,
    ),
    (
        "a_disk_in_anothers_place_has_its_own_bytes",
        devices::replaced,
    ),
    (
        "every_wake_up_by_a_regular_reader_is_named_and_its_period_found",
        wakes::reader,
    ),
    ("a_busy_disk_is_never_silent", wakes::busy),
    (
        "a_postponed_write_that_wakes_a_disk_is_its_writers",
        wakes::postponed,
    ),
    (
        "a_process_that_is_moved_to_another_cgroup_is_there",
        names::moved_to_another_cgroup,
    ),
    (
        "after_exec_the_command_line_is_the_new_one_whatever_the_name",
        names::program_of_the_same_name,
    ),
    (
        "a_process_that_changes_its_title_has_it_in_the_same_interval",
        names::changed_title,
    ),
    (
        "a_process_whose_main_thread_has_ended_keeps_its_names",
        names::main_thread_ended,
    ),
    (
        "a_process_whose_memory_is_locked_is_shown_by_its_name_and_stops_nothing",
        names::locked_memory,
    ),
    (
        "command_lines_of_64_kib_cost_neither_time_nor_memory",
        names::long_command_lines,
    ),
    (
        "a_dead_child_of_a_container_of_version_1_is_in_it",
        names::container_of_version_1,
    ),
    (
        "iterator_netlink_and_proc_agree_on_a_live_task",
        sources::live,
    ),
    (
        "iterator_netlink_and_proc_agree_on_a_task_that_exited",
        sources::exited,
    ),
    (
        "the_first_interval_has_nothing_from_before_the_start",
        intervals::first_interval,
    ),
    (
        "one_batch_interval_shows_the_real_rate",
        intervals::single_interval,
    ),
    (
        "an_unknown_delay_is_a_dash_or_null",
        intervals::unknown_delay,
    ),
    ("the_total_is_the_sum_of_the_rows", table::total),
    (
        "the_command_is_the_same_word_on_every_line",
        table::number_of_words,
    ),
    ("run_counts_a_command_to_the_byte", command::dd),
    (
        "run_waits_for_a_background_job_and_its_pages",
        command::background,
    ),
    (
        "run_says_what_a_command_leaves_behind",
        command::left_behind,
    ),
    ("run_follows_a_daemon", command::daemon),
    (
        "run_counts_two_thousand_short_processes_to_the_byte",
        command::two_thousand,
    ),
    ("run_counts_nothing_of_other_processes", command::others),
    (
        "run_knows_what_was_dropped_before_it_was_written",
        command::dropped,
    ),
    (
        "dd_that_lives_under_a_second_has_its_row_beside_iotop_c",
        side_by_side::dd,
    ),
];

/// A trial that needs no privilege.
type Anywhere = fn() -> Result<()>;

const ANYWHERE: &[(&str, Anywhere)] = &[
    ("half_a_second_is_half_a_second", intervals::half_a_second),
    ("every_line_has_its_time", intervals::stamped),
    ("an_unknown_figure_is_a_dash_or_null", intervals::unknown),
    (
        "a_figure_of_the_table_is_read_with_its_precision",
        text::selftest,
    ),
];

fn main() -> ExitCode {
    if let Ok(comm) = env::var(WRITER) {
        let args: Vec<String> = env::args().skip(1).collect();
        return match actor::act(&comm, &args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{comm}: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let mut args = Arguments::from_args();
    // One trial at a time: a tracer would also report the processes of other trials.
    args.test_threads = Some(1);
    let needs = Arc::new(Needs::enter());
    let device = Arc::new(Mutex::new(None));
    let mut trials = Vec::new();
    for &(name, case) in CASES {
        let (needs, device) = (Arc::clone(&needs), Arc::clone(&device));
        trials.push(Trial::ignorable_test(name, move || {
            on_a_device(&needs, &device, name, case)
        }));
    }
    for &(name, case) in ANYWHERE {
        trials.push(Trial::ignorable_test(name, move || trial::end(case())));
    }
    libtest_mimic::run(&args, trials).exit_code()
}

fn on_a_device(
    needs: &Needs,
    device: &Mutex<Option<Device>>,
    name: &str,
    case: Case,
) -> Result<Completion, Failed> {
    let mut device = device.lock().unwrap_or_else(PoisonError::into_inner);
    // Taken out of the mutex: after a failure or a panic the next trial gets a fresh
    // device.
    let fresh = match (needs.check(Fs::Ext4), device.take()) {
        (Ok(()), Some(used)) => Ok(used),
        (able, _) => able.and_then(|()| Device::create(Fs::Ext4)),
    };
    let fresh = match fresh {
        Ok(fresh) => fresh,
        Err(error) => return trial::end(Err(error)),
    };
    let ended = trial::end(Stage::new(&fresh, name).and_then(|stage| case(&stage)));
    if ended.is_ok() {
        *device = Some(fresh);
    }
    ended
}
