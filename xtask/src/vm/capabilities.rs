//! The table in docs/kernels.md of what is proven, by kernel, capability and file
//! system. It is made from the record, never by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::Value;

use super::outcome::Outcome;
use super::record::Proven;
use crate::page::Place;

/// What the trials of one kind prove.
pub struct Capability {
    name: &'static str,
    /// Its name in the table.
    shown: &'static str,
    /// Prefixes of the names of its trials. A trial belongs to the first capability that
    /// fits.
    trials: &'static [&'static str],
    /// If not empty, one of these programs must run on the kernel. Without them the
    /// trials pass too, but show that the capability is missing.
    programs: &'static [&'static str],
}

const CAPABILITIES: [Capability; 10] = [
    Capability {
        name: "held_back",
        shown: "direct I/O that `io.max` holds back",
        trials: &["direct_io_held_back"],
        programs: &["bio_offered", "bio_held_back"],
    },
    Capability {
        name: "page_cache",
        shown: "page cache, by write(2) or mmap, exact, whichever task submits it",
        trials: &[
            "writer_",
            "foreign_sync",
            "second_writer_",
            "two_writers_",
            "threads_of_",
            "processes_that_",
            "own_fsync",
            "mapped_stores",
            "rewritten_",
            "server_",
            "client_",
        ],
        programs: &[],
    },
    Capability {
        name: "blocks",
        shown: "blocks of one file written by many tasks, exact",
        trials: &["blocks_"],
        programs: &[],
    },
    Capability {
        name: "direct",
        shown: "direct I/O",
        trials: &["direct_io", "zeros_"],
        programs: &[],
    },
    Capability {
        name: "pages",
        shown: "pages that were dropped, swapped out, moved by compaction, read before, or dirty before the start",
        trials: &[
            "unlinked_",
            "moved_by_",
            "reader_before_",
            "dirty_before_",
            "swapped_out_",
        ],
        programs: &[],
    },
    Capability {
        name: "explained",
        shown: "why data was written, its owners, files and age; spikes",
        trials: &["explained_"],
        programs: &[],
    },
    Capability {
        name: "gone",
        shown: "names of tasks, units and containers that are gone before anyone looks",
        trials: &["unit_gone_", "arguments_of_", "rows_by_parents_"],
        programs: &[],
    },
    Capability {
        name: "other_journals",
        shown: "the same with small, external and no journals, other data modes, mirrors, compression",
        trials: &["journal_with_"],
        programs: &[],
    },
    Capability {
        name: "journals",
        shown: "journals and metadata, shared between the tasks that caused them",
        trials: &["journal_"],
        programs: &[],
    },
    Capability {
        name: "without",
        shown: "reports what is missing, and the rest works, without",
        trials: &["btf", "capabilities", "kprobes", "cgroup_v2", "lockdown_"],
        programs: &[],
    },
];

/// Order of the rows in the table.
const ROWS: [&str; 10] = [
    "page_cache",
    "blocks",
    "direct",
    "held_back",
    "pages",
    "explained",
    "gone",
    "journals",
    "other_journals",
    "without",
];

/// Groups that prove nothing of a kernel.
const OTHERS: [&str; 5] = ["harness", "cost", "cpus", "crowd", "crowd_of_files"];

/// What a trial proves; `None` if it proves nothing of a kernel.
///
/// # Errors
///
/// The trial proves something that the table does not have.
pub fn proven_by(trial: &str) -> Result<Option<&'static Capability>> {
    let (group, case) = trial.split_once("::").context("a trial of no group")?;
    if OTHERS.contains(&group) {
        return Ok(None);
    }
    let fits = |one: &&Capability| one.trials.iter().any(|begin| case.starts_with(begin));
    let capability = CAPABILITIES.iter().find(fits);
    capability.map(Some).with_context(|| {
        format!("the table in {PAGE} has no row for {trial}: add it to a capability")
    })
}

/// For each capability, the groups whose trials have all passed. Of the group
/// `without`, each trial counts by itself.
pub fn of(outcome: &Outcome, facts: &Value) -> Result<BTreeMap<String, Vec<String>>> {
    let hooks = facts["hooks"].as_array().context("no hooks")?;
    let runs = |program: &&str| hooks.iter().any(|hook| hook["program"] == *program);
    let (mut good, mut bad): (BTreeMap<_, BTreeSet<_>>, BTreeSet<_>) = Default::default();
    for trial in &outcome.trials {
        let (group, case) = trial.name.split_once("::").context("a trial of no group")?;
        let Some(capability) = proven_by(&trial.name)? else {
            continue;
        };
        let shown = if group == "without" { case } else { group };
        let programs = capability.programs;
        let there = trial.passed && (programs.is_empty() || programs.iter().any(runs));
        match there {
            true => _ = good.entry(capability.name).or_default().insert(shown),
            false => _ = bad.insert((capability.name, shown)),
        }
    }
    let owned = |name: &str, groups: BTreeSet<&str>| {
        let whole = groups
            .into_iter()
            .filter(|group| !bad.contains(&(name, group)));
        (name.to_owned(), whole.map(str::to_owned).collect())
    };
    Ok(good
        .into_iter()
        .map(|(name, groups)| owned(name, groups))
        .collect())
}

/// The capabilities of which a run tried all of these trials.
pub fn all_tried(outcome: &Outcome, trials: &[String]) -> Result<BTreeSet<&'static str>> {
    let ran: BTreeSet<&str> = outcome.trials.iter().map(|one| one.name.as_str()).collect();
    let (mut all, mut not_all) = (BTreeSet::new(), BTreeSet::new());
    for trial in trials {
        if let Some(capability) = proven_by(trial)? {
            match ran.contains(trial.as_str()) {
                true => all.insert(capability.name),
                false => not_all.insert(capability.name),
            };
        }
    }
    Ok(&all - &not_all)
}

/// Order of the groups in a cell; others follow.
const ORDER: [&str; 3] = ["ext4", "xfs", "btrfs"];

/// The table, in Markdown.
pub fn table(record: &[Proven]) -> String {
    let mut text = String::from("| |");
    let columns = record.iter().map(|one| format!(" {} |", one.version));
    text.extend(columns);
    text.push_str("\n|---|");
    text.extend(record.iter().map(|_| "---|"));
    text.push('\n');
    for name in ROWS {
        let capability = CAPABILITIES.iter().find(|one| one.name == name);
        let shown = capability.map_or(name, |one| one.shown);
        let cells = record.iter().map(|one| cell(one.capabilities.get(name)));
        line(&mut text, shown, cells);
    }
    let most = record.iter().map(|one| {
        let most = one.verified_instructions.values().flatten().max();
        most.map_or("unknown".to_owned(), |most| thousands(*most))
    });
    line(
        &mut text,
        "most instructions verified (limit: one million)",
        most,
    );
    text
}

fn line(text: &mut String, shown: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "| {shown} | {} |", cells.join(" | "));
}

fn cell(groups: Option<&Vec<String>>) -> String {
    let mut groups: Vec<&str> = groups.into_iter().flatten().map(String::as_str).collect();
    if groups.is_empty() {
        return "-".to_owned();
    }
    groups.sort_by_key(|group| {
        ORDER
            .iter()
            .position(|one| one == group)
            .unwrap_or(ORDER.len())
    });
    groups.join(", ").replace('_', "-")
}

fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

/// The page that has the table.
pub const PAGE: &str = "docs/kernels.md";

/// The table's place in that page.
pub const PLACE: Place = Place {
    page: PAGE,
    begin: "<!-- made by `cargo xtask vm --record` -->\n",
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::outcome::Trial;
    use super::super::record;
    use anyhow::ensure;

    use super::*;
    use crate::workspace;

    #[test]
    fn the_page_has_the_table_of_the_record() -> Result<()> {
        let path = workspace::root().join(PAGE);
        let page = std::fs::read_to_string(&path)?;
        let made = PLACE.put(&page, &table(&record::read()?))?;
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &made)?;
            return Ok(());
        }
        ensure!(
            page == made,
            "the table is not the record's: `cargo xtask vm --record` makes it, and \
             UPDATE_GOLDEN=1 where only its words changed"
        );
        Ok(())
    }

    fn outcome(trials: &[(&str, bool)]) -> Outcome {
        let trial = |&(name, passed): &(&str, bool)| Trial {
            name: name.to_owned(),
            passed,
            lacking: !passed,
            message: String::new(),
        };
        let mut outcome = Outcome::new("6.1.0");
        outcome.trials = trials.iter().map(trial).collect();
        outcome
    }

    #[test]
    fn a_group_with_a_trial_that_did_not_run_proves_nothing() -> Result<()> {
        let outcome = outcome(&[
            ("ext4::foreign_sync", true),
            ("xfs::foreign_sync", true),
            ("xfs::own_fsync", false),
            ("ext4::direct_io_held_back_by_io_max", true),
            ("without::btf", true),
            ("harness::a_cut_off_line_is_caught", true),
        ]);
        let proven = of(&outcome, &json!({"hooks": [{"program": "bio_submitted"}]}))?;
        let expected = [("page_cache", "ext4"), ("without", "btf")];
        let expected = expected.map(|(name, group)| (name.to_owned(), vec![group.to_owned()]));
        assert_eq!(proven, BTreeMap::from(expected));
        Ok(())
    }

    #[test]
    fn a_trial_that_no_row_has_is_an_error() {
        let unheard_of = outcome(&[("ext4::unheard_of", true)]);
        assert!(of(&unheard_of, &json!({"hooks": []})).is_err());
    }

    #[test]
    fn numbers_are_read_in_groups_of_three() {
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_002_003), "1,002,003");
    }
}
