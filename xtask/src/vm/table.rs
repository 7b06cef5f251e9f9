//! The end of the run as text: kernel by file system, then what failed.

use std::fmt::Write;

use super::kernels::Kernel;
use super::outcome::Outcome;

const GROUPS: [&str; 4] = ["ext4", "xfs", "btrfs", "harness"];

pub fn of(outcomes: &[(Kernel, Outcome)]) -> String {
    let mut text = String::from("\n");
    let mut line = |words: [&str; 7]| {
        let [kernel, a, b, c, d, time, machine] = words;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{kernel:<36}{a:>8}{b:>8}{c:>8}{d:>9}{time:>8}  {machine}"
        );
    };
    line([
        "KERNEL", "EXT4", "XFS", "BTRFS", "HARNESS", "TIME", "MACHINE",
    ]);
    for (kernel, outcome) in outcomes {
        let groups = GROUPS.map(|group| match outcome.of_group(group) {
            (_, 0) => "-".to_owned(),
            (passed, all) => format!("{passed}/{all}"),
        });
        let [a, b, c, d] = groups.each_ref().map(String::as_str);
        let name = format!("{} ({})", kernel.name, outcome.release);
        let time = format!("{} s", outcome.time.as_secs());
        let machine = match outcome.problems.len() {
            0 => "ok",
            _ => "FAILED",
        };
        line([&name, a, b, c, d, &time, machine]);
    }
    for (kernel, outcome) in outcomes {
        for trial in outcome.failed() {
            let _ = writeln!(
                text,
                "\n{}: {} FAILED\n  {}",
                kernel.name,
                trial.name,
                indented(&trial.message)
            );
        }
        for problem in &outcome.problems {
            let _ = writeln!(text, "\n{}: FAILED\n  {}", kernel.name, indented(problem));
        }
    }
    text
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n  ")
}
