//! /proc/loadavg: how many tasks the machine has, in every PID namespace.

use std::{fs, path::Path};

/// The number of tasks on the machine (`nr_threads`), below a proc root. `None` if it can't be
/// read.
pub fn tasks(proc_root: &Path) -> Option<u64> {
    parse(&fs::read_to_string(proc_root.join("loadavg")).ok()?)
}

/// The fourth word has the tasks that are runnable, and all tasks.
fn parse(line: &str) -> Option<u64> {
    let (_, all) = line.split_whitespace().nth(3)?.split_once('/')?;
    all.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tasks_are_the_second_number_of_the_fourth_word() {
        assert_eq!(parse("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        for broken in ["", "0.20 0.18 0.12 80 11206", "0.20 0.18 0.12 1/x 11206"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
