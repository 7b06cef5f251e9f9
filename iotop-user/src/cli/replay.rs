//! The options of `replay`.

use std::{path::PathBuf, time::Duration};

use clap::{Arg, ArgAction};
use jiff::Timestamp;

use super::{
    Replay, UsageError, ViewOptions,
    resolve::{Choice, Rules, batch, live},
};
use crate::{record::Span, sample::WakeRule, view::OnDevice};

/// How to show a recording. `terminal` is true if standard output can show the live view. Users
/// and devices are looked up in the recording. `idle` is the silence before a wake-up, if these
/// are to be explained.
///
/// # Errors
///
/// Options contradict each other, or a time has not come yet.
pub(super) fn replay(
    directory: PathBuf,
    span: Span,
    at: Option<Timestamp>,
    idle: Option<Duration>,
    mut view: ViewOptions,
    terminal: bool,
) -> Result<Replay, UsageError> {
    if let Some(at) = at.filter(|at| *at > Timestamp::now()) {
        return Err(UsageError::Future(at));
    }
    let users = std::mem::take(&mut view.user);
    let explains = view.explain_writeback && !users.is_empty();
    let wanted = std::mem::take(&mut view.device);
    let mut choice = Choice::of(&view, idle.is_some(), false, false, |_| None, "/".as_ref())?;
    if explains {
        return Err(UsageError::Explain {
            explain: "--explain-writeback shows flushes",
            other: "-u",
        });
    }
    choice.device = (!wanted.is_empty()).then(|| OnDevice {
        name: wanted.join(", "),
        wanted: wanted.clone(),
        numbers: Vec::new(),
    });
    view.device = wanted;
    let is_live = terminal && !is_printed(&view) && idle.is_none();
    let other = [
        (span.from.is_some(), "--since"),
        (span.until.is_some(), "--until"),
        (view.iter.is_some(), "-n"),
    ];
    if let Some((_, other)) = other.into_iter().find(|(given, _)| *given)
        && at.is_some()
        && !is_live
    {
        return Err(UsageError::OneInterval(other));
    }
    let upper = choice.device.is_some();
    let rules = Rules {
        wakes: idle.map(|idle| WakeRule { idle, upper }),
        ..Rules::default()
    };
    let batch = batch(view.clone(), choice.clone(), Duration::from_secs(1), rules);
    Ok(Replay {
        directory,
        span,
        at,
        users,
        live: is_live.then(|| live(view, choice)),
        batch,
    })
}

/// Whether text or lines are asked for.
fn is_printed(view: &ViewOptions) -> bool {
    view.batch
        || view.time
        || view.quiet != 0
        || view.top.is_some()
        || view.at_end
        || view.iter.is_some()
        || view.export.is_some()
        || view.group_by.is_some()
        || view.explain_writeback
}

/// Replaces what the help says only of a run that gathers samples.
pub(super) fn of_recordings(arg: Arg) -> Arg {
    let (short, long) = match arg.get_id().as_str() {
        "batch" => (
            "Print text, one block per interval, instead of the live view",
            "Implied by -t, -q, -n, --top, --final, --group-by and --explain-writeback, when \
             standard output is not a terminal, and by TERM=dumb.",
        ),
        "iter" => ("Print NUM intervals [default: all]", ""),
        "pid" => (
            "Only show these processes, with all their threads (PID,PID for several)",
            "PID may also be the TID of a thread. Of processes that had the same PID at different \
             times, text shows all.",
        ),
        "user" => (
            "Only show the tasks of these users, by name or number (USER,USER for several)",
            "Names are those of the recording.",
        ),
        "device" => (
            "Only show the I/O of DEV: sda, /dev/sda or 8:0 (DEV,DEV for several)",
            "Names and numbers are those of the recording. A disk includes its partitions. The \
             block figures of the tasks and of the Attributed line are those of the device, and \
             tasks without any are left out. The task counters (DISK_READ, DISK_WRITE, SWAPIN, IO \
             and others) and the Total and Actual lines cannot be split by device: they are always \
             those of all devices. PENDING, DIRTIED and DROPPED are unknown.",
        ),
        "accumulated" => (
            "Show totals since the start of the span instead of rates",
            "",
        ),
        "explain_writeback" => (
            "Explain each flush: who wrote, why, and whose data",
            "Prints a block for each flush, and a report for each spike of a device's write rate \
             once the spike is over. With -o it prints only the spikes. --export ndjson has lines \
             for flushes anyway; this option adds those for spikes.",
        ),
        _ => return arg,
    };
    let arg = arg.help(short);
    match long {
        "" => arg.long_help(short),
        long => arg.long_help(format!("{short}\n\n{long}")),
    }
}

/// Options of all commands that mean nothing here: accepted, as before, but not in the help.
pub(super) fn of_runs() -> [Arg; 2] {
    [
        Arg::new("no_ebpf")
            .long("no-ebpf")
            .action(ArgAction::SetTrue),
        Arg::new("ebpf_object")
            .long("ebpf-object")
            .value_name("FILE"),
    ]
    .map(|arg| arg.hide(true))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::{Action, Cli};

    fn resolve(args: &[&str], terminal: bool) -> Result<Replay, UsageError> {
        let args = [&["iotop-trace", "replay", "/srv/recording"], args].concat();
        let cli = Cli::try_parse_from(args).expect("parsed");
        let nobody = |_: &str| None;
        let config = cli.resolve(nobody, |_| false, "/nonexistent".as_ref(), terminal);
        match config?.action {
            Action::Replay(replay) => Ok(*replay),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_terminal_has_the_live_view_unless_text_is_asked_for() {
        for (args, is_live) in [
            (&[][..], true),
            (&["-o", "-P", "-a", "-c"], true),
            (&["--at", "2001-01-01", "--since", "2000-01-01"], true),
            (&["-b"], false),
            (&["-t"], false),
            (&["-n", "3"], false),
            (&["--export", "csv"], false),
            (&["--explain-writeback"], false),
            (&["--group-by", "unit"], false),
            (&["-a", "--final"], false),
        ] {
            let replay = resolve(args, true).expect("resolved");
            assert_eq!(replay.live.is_some(), is_live, "{args:?}");
            assert!(is_live || resolve(args, false).expect("resolved").live.is_none());
        }
    }

    #[test]
    fn users_and_devices_need_not_exist_here() {
        let replay = resolve(&["-u", "mallory,7", "--device", "/dev/sdz"], false);
        let replay = replay.expect("resolved");
        assert_eq!(replay.users, ["mallory", "7"]);
        let device = replay.batch.view.device.expect("one");
        assert_eq!(
            (&device.wanted[..], &*device.numbers),
            (&["/dev/sdz".to_owned()][..], &[][..])
        );
        let both = resolve(&["-u", "root", "--explain-writeback"], false);
        assert!(matches!(both, Err(UsageError::Explain { other: "-u", .. })));
    }

    #[test]
    fn one_interval_is_printed_and_not_a_span() {
        for option in ["--since", "--until"] {
            let args = ["-b", "--at", "2001-01-01", option, "2001-01-02"];
            assert_eq!(resolve(&args, true), Err(UsageError::OneInterval(option)));
        }
        let future = resolve(&["--at", "2999-01-01"], true);
        assert!(matches!(future, Err(UsageError::Future(_))));
    }

    #[test]
    fn the_help_has_nothing_that_is_true_only_of_a_run() {
        let mut command = Cli::command();
        let help = command.find_subcommand_mut("replay").expect("there");
        for help in [help.render_help(), help.render_long_help()] {
            let help = help.to_string();
            for word in [
                "until ^C",
                "each interval. DEV",
                "is not shown",
                "starts with the page",
                "eBPF",
            ] {
                let near = help
                    .find(word)
                    .map(|at| &help[at.saturating_sub(60)..at + 30]);
                assert_eq!(near, None, "{word}");
            }
        }
    }
}
