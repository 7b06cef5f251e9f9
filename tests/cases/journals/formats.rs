//! File systems with another journal than the default one, or with none.

use super::super::{Case, Group};
use super::committed::{after_its_slot_is_reused, by_timer, synced_by_others};
use super::loads::on_a_disk_used_before;
use super::ratios::{lockstep, lockstep_compressed, lockstep_in_all};
use crate::support::device::{Fs, On};
use crate::support::format::{DATA_JOURNAL, Format, Second};

/// Each with the cases that run on it.
pub fn groups() -> impl Iterator<Item = Group> {
    let group = |&(fs, format, cases): &(Fs, Format, Cases)| Group {
        name: fs.name(),
        fs,
        on: On::Formatted(format),
        feature: None,
        program: None,
        cases,
    };
    FORMATS.iter().map(group)
}

type Cases = &'static [(&'static str, Case)];

const FORMATS: &[(Fs, Format, Cases)] = &[
    (
        Fs::Ext4,
        Format::PLAIN,
        &[("journal_of_a_reused_slot", after_its_slot_is_reused)],
    ),
    (
        Fs::Xfs,
        Format::PLAIN,
        &[("journal_of_a_reused_slot", after_its_slot_is_reused)],
    ),
    (
        Fs::Ext4,
        mounted("each_second", "commit=1"),
        &[("journal_committed_by_timer", by_timer)],
    ),
    // Its interval is a setting of the whole machine.
    (
        Fs::Xfs,
        Format::PLAIN,
        &[("journal_committed_by_timer", by_timer)],
    ),
    (
        Fs::Btrfs,
        mounted("each_second", "commit=1"),
        &[("journal_committed_by_timer", by_timer)],
    ),
    (
        Fs::Ext4,
        made("small_journal", &["-Jsize=4"]),
        &[
            ("journal_with_small_journal_two_in_lockstep", lockstep),
            (
                "journal_with_small_journal_synced_by_others",
                synced_by_others,
            ),
        ],
    ),
    (
        Fs::Ext4,
        DATA_JOURNAL,
        &[
            (
                "journal_with_data_in_journal_two_in_lockstep",
                lockstep_in_all,
            ),
            (
                "journal_with_data_in_journal_synced_by_others",
                synced_by_others,
            ),
        ],
    ),
    (
        Fs::Ext4,
        mounted("writeback", "data=writeback"),
        &[("journal_with_data_writeback_two_in_lockstep", lockstep)],
    ),
    (
        Fs::Ext4,
        mounted("nodelalloc", "nodelalloc"),
        &[("journal_with_nodelalloc_two_in_lockstep", lockstep)],
    ),
    (
        Fs::Ext4,
        made("no_journal", &["-O^has_journal"]),
        &[
            ("journal_with_no_journal_two_in_lockstep", lockstep_in_all),
            ("journal_with_no_journal_synced_by_others", synced_by_others),
        ],
    ),
    (
        Fs::Ext4,
        made("fast_commit", &["-Ofast_commit"]),
        &[("journal_with_fast_commit_two_in_lockstep", lockstep)],
    ),
    (
        Fs::Ext4,
        beside("external", Second::Journal),
        &[("journal_with_external_journal_two_in_lockstep", lockstep)],
    ),
    (
        Fs::Xfs,
        beside("external", Second::Log),
        &[
            ("journal_with_external_log_two_in_lockstep", lockstep),
            (
                "journal_with_external_log_synced_by_others",
                synced_by_others,
            ),
        ],
    ),
    (
        Fs::Xfs,
        made("small_log", &["-lsize=8m"]),
        &[("journal_with_small_log_synced_by_others", synced_by_others)],
    ),
    (
        Fs::Xfs,
        made("no_reflink", &["-mreflink=0"]),
        &[("journal_with_no_reflink_two_in_lockstep", lockstep)],
    ),
    (
        Fs::Btrfs,
        made("single", &["-msingle"]),
        &[("journal_with_single_metadata_two_in_lockstep", lockstep)],
    ),
    (
        Fs::Btrfs,
        beside("raid1", Second::Copy),
        &[
            ("journal_with_raid1_two_in_lockstep", lockstep_in_all),
            ("journal_with_raid1_synced_by_others", synced_by_others),
        ],
    ),
    // The trial leaves another file system, so it is the only one.
    (
        Fs::Btrfs,
        beside("used_before", Second::Copy),
        &[("journal_of_a_disk_used_before", on_a_disk_used_before)],
    ),
    (
        Fs::Btrfs,
        mounted("zstd", "compress=zstd"),
        &[(
            "journal_with_compression_two_in_lockstep",
            lockstep_compressed,
        )],
    ),
    (
        Fs::Btrfs,
        mounted("notreelog", "notreelog"),
        &[("journal_with_no_tree_log_two_in_lockstep", lockstep)],
    ),
];

const fn made(name: &'static str, mkfs: &'static [&'static str]) -> Format {
    Format {
        name,
        mkfs,
        ..Format::PLAIN
    }
}

const fn mounted(name: &'static str, option: &'static str) -> Format {
    Format {
        name,
        option,
        ..Format::PLAIN
    }
}

const fn beside(name: &'static str, second: Second) -> Format {
    Format {
        name,
        second,
        ..Format::PLAIN
    }
}
