//! The result of a run as text: kernel by groups of trials, then what failed.

use std::fmt::Write;

use super::outcome::Outcome;

/// The columns, and the groups that each adds up.
const COLUMNS: [(&str, &[&str]); 6] = [
    ("EXT4", &["ext4"]),
    ("XFS", &["xfs"]),
    ("BTRFS", &["btrfs"]),
    (
        "STACKS",
        &["partition", "dm_crypt", "raid1", "loop", "fuse", "overlay"],
    ),
    ("WITHOUT", &["without"]),
    ("HARNESS", &["harness"]),
];

pub fn of(outcomes: &[(&'static str, Outcome)]) -> String {
    let mut text = String::from("\n");
    let mut line = |kernel: &str, columns: [&str; 6], time: &str, machine: &str| {
        let [a, b, c, d, e, f] = columns;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{kernel:<36}{a:>8}{b:>8}{c:>8}{d:>8}{e:>9}{f:>9}{time:>8}  {machine}"
        );
    };
    line("KERNEL", COLUMNS.map(|(name, _)| name), "TIME", "MACHINE");
    for (kernel, outcome) in outcomes {
        let columns = COLUMNS.map(|(_, groups)| match outcome.of_groups(groups) {
            (_, 0) => "-".to_owned(),
            (passed, all) => format!("{passed}/{all}"),
        });
        let name = format!("{} ({})", kernel, outcome.release);
        let time = format!("{} s", outcome.time.as_secs());
        let machine = match outcome.problems.len() {
            0 => "ok",
            _ => "FAILED",
        };
        line(
            &name,
            columns.each_ref().map(String::as_str),
            &time,
            machine,
        );
    }
    for (kernel, outcome) in outcomes {
        for trial in outcome.failed() {
            let _ = writeln!(
                text,
                "\n{}: {} FAILED\n  {}",
                kernel,
                trial.name,
                indented(&trial.message)
            );
        }
        for problem in &outcome.problems {
            let _ = writeln!(text, "\n{}: FAILED\n  {}", kernel, indented(problem));
        }
    }
    text
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n  ")
}
