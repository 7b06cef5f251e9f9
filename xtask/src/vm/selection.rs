//! The cases that a kernel leaves out when not all are wanted. Emulation is slow, and most of a
//! case's time goes into the verifier.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::kernels::{ALL, Kernel};

const FILE_SYSTEMS: [&str; 3] = ["ext4", "xfs", "btrfs"];

/// How the names begin of the cases that each kernel runs on each file system: a journal is the
/// file system's own.
const JOURNALS: &str = "journal_";

/// Parts of the names of the cases that no kernel runs.
const LEFT_OUT: [&str; 9] = [
    // The user half alone makes the difference.
    "explained_deleted_file",
    "explained_fifty_files",
    "explained_links_and_mounts",
    "explained_mixed_load",
    "explained_two_units",
    // What lies on dm-crypt: ext4 does.
    "foreign_sync_on_",
    // Of the cases about journals the fsync loop, a foreign sync, and two tasks with 3:1 remain.
    "journal_with_",
    "journal_of_a_",
    "journal_committed_",
];

/// The names of the trials that this kernel leaves out. A case that is there for each file
/// system runs on one of them: on another one with the next kernel.
pub fn left_out(trials: &[String], kernel: Kernel) -> Result<Vec<String>> {
    for part in LEFT_OUT {
        let is_a_trials = trials.iter().any(|trial| trial.contains(part));
        ensure!(is_a_trials, "no case has a name with {part:?} to leave out");
    }
    let turn = ALL.iter().position(|one| *one == kernel).unwrap_or(0);
    let everywhere = on_each_file_system(trials);
    let has_turn = |group: &str, case: &str| {
        let number = everywhere.iter().position(|one| *one == case);
        number.is_none_or(|number| FILE_SYSTEMS[(number + turn) % FILE_SYSTEMS.len()] == group)
    };
    let is_left_out = |trial: &&String| {
        let on_one_of_them = match trial.split_once("::") {
            Some((group, case)) if FILE_SYSTEMS.contains(&group) => has_turn(group, case),
            _ => true,
        };
        !on_one_of_them || LEFT_OUT.iter().any(|part| trial.contains(part))
    };
    Ok(trials.iter().filter(is_left_out).cloned().collect())
}

/// The cases that there are for each file system, except those about journals.
fn on_each_file_system(trials: &[String]) -> BTreeSet<&str> {
    let cases = trials
        .iter()
        .filter_map(|trial| trial.strip_prefix("ext4::"));
    let is_on_each = |case: &&str| {
        let mut others = FILE_SYSTEMS[1..].iter().map(|fs| format!("{fs}::{case}"));
        !case.starts_with(JOURNALS) && others.all(|name| trials.contains(&name))
    };
    cases.filter(is_on_each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials() -> Vec<String> {
        let on_each = ["a", "b", "c", "d", "journal_x", "journal_with_y"];
        let groups = FILE_SYSTEMS.into_iter();
        let mut trials: Vec<String> = groups
            .flat_map(|fs| on_each.map(|case| format!("{fs}::{case}")))
            .collect();
        let others = LEFT_OUT.map(|part| format!("dm_crypt::{part}x"));
        trials.extend(others);
        trials.push("raid1::a".to_owned());
        trials
    }

    #[test]
    fn each_case_runs_once_on_each_kernel_and_somewhere_on_each_file_system() {
        let trials = trials();
        let mut ran = BTreeSet::new();
        for kernel in ALL {
            let left_out = left_out(&trials, kernel).expect("all are there");
            let runs = |name: &String| trials.contains(name) && !left_out.contains(name);
            for case in ["a", "b", "c", "d"] {
                let of = FILE_SYSTEMS.map(|fs| format!("{fs}::{case}"));
                let here: Vec<String> = of.into_iter().filter(runs).collect();
                assert_eq!(here.len(), 1, "{case} on {}", kernel.name);
                ran.extend(here);
            }
            let journals = FILE_SYSTEMS.map(|fs| format!("{fs}::journal_x"));
            assert!(journals.iter().all(runs), "{}", kernel.name);
            assert!(runs(&"raid1::a".to_owned()));
            assert!(!runs(&"xfs::journal_with_y".to_owned()));
            assert!(!runs(&"dm_crypt::foreign_sync_on_x".to_owned()));
        }
        assert_eq!(ran.len(), 4 * FILE_SYSTEMS.len());
    }

    #[test]
    fn a_name_that_no_case_has_is_told() {
        let error = left_out(&["ext4::a".to_owned()], ALL[0]).expect_err("none is there");
        assert!(error.to_string().contains("explained_deleted_file"));
    }
}
