//! The list of workloads and their budgets. Each runs for one to three seconds.

use super::load;
use super::workload::{Pages, Work, Workload};

/// Many pages in a bio.
pub const BUFFERED_SEQUENTIAL: &str = "buffered sequential write";
/// One page in a bio.
pub const BUFFERED_HOLES: &str = "buffered write of every other page";

/// What most of them have in common. The budget for the tracer's share of CPU is 2 %,
/// and there is none for a page.
const WORKLOAD: Workload = Workload {
    name: "",
    work: Work::Forks,
    pages: Pages::Written,
    runs: 1,
    share: Some(2.0),
    ns_a_page: None,
};

pub const ALL: &[Workload] = &[
    Workload {
        name: BUFFERED_SEQUENTIAL,
        work: Work::Fio("size=1g rw=write bs=128k io_size=2g fsync=8192 end_fsync=1"),
        ..WORKLOAD
    },
    // A quarter of the file's pages, few of them neighbours, and their
    // writeback; then the next quarter.
    Workload {
        name: "buffered 4 KiB random write",
        work: Work::Fio("size=1g rw=randwrite bs=4k io_size=512m fsync=65536 end_fsync=1"),
        share: Some(5.0),
        ns_a_page: Some(500.0),
        ..WORKLOAD
    },
    // In order, so that a bio can't carry more than one page.
    Workload {
        name: BUFFERED_HOLES,
        work: Work::Fio("size=1g rw=write:4k bs=4k io_size=512m end_fsync=1"),
        share: None,
        ..WORKLOAD
    },
    Workload {
        name: "4 KiB write and fdatasync",
        work: Work::Fio("size=1g rw=randwrite bs=4k fdatasync=1 time_based runtime=2"),
        ..WORKLOAD
    },
    Workload {
        name: load::FSYNC.name,
        work: Work::AsUser(&load::FSYNC, 10_000),
        ..WORKLOAD
    },
    // A server is started, its four clients do this many transactions each, and the server
    // is stopped.
    Workload {
        name: load::PGBENCH.name,
        work: Work::AsUser(&load::PGBENCH, 500),
        ..WORKLOAD
    },
    // As a database's backends do: small writes into large folios in memory.
    Workload {
        name: "four backends of one file",
        work: Work::CachedFio("size=256m numjobs=4 rw=randwrite bs=8k io_size=256m end_fsync=1"),
        runs: 2,
        ..WORKLOAD
    },
    // As many as the disk can do.
    Workload {
        name: "direct 4 KiB random read",
        work: Work::Fio(
            "size=1g rw=randread direct=1 ioengine=libaio iodepth=32 time_based runtime=2",
        ),
        pages: Pages::Read,
        ..WORKLOAD
    },
    Workload {
        name: "direct 4 KiB random write",
        work: Work::Fio(
            "size=1g rw=randwrite direct=1 ioengine=libaio iodepth=32 time_based runtime=2",
        ),
        ..WORKLOAD
    },
    Workload {
        name: "cold sequential read",
        work: Work::Fio("size=1g rw=read bs=128k"),
        pages: Pages::Read,
        runs: 4,
        ..WORKLOAD
    },
    Workload {
        name: "cold 4 KiB random read",
        work: Work::Fio("size=1g rw=randread bs=4k io_size=256m"),
        pages: Pages::Read,
        ..WORKLOAD
    },
    Workload {
        name: "untar and remove 10,000 files",
        work: Work::Untar,
        ..WORKLOAD
    },
    Workload {
        name: "unlink of a cached clean file",
        work: Work::Unlink,
        pages: Pages::Neither,
        runs: 4,
        ..WORKLOAD
    },
    Workload {
        name: "fork storm",
        work: Work::Forks,
        pages: Pages::Neither,
        ..WORKLOAD
    },
];

/// Whether `--only` selects this name: it has the word in it, in any case.
pub fn selected(name: &str, only: Option<&str>) -> bool {
    only.is_none_or(|word| name.to_lowercase().contains(&word.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_selects_whatever_has_it() {
        let of = |only| ALL.iter().filter(|load| selected(load.name, only)).count();
        assert_eq!(of(None), ALL.len());
        assert_eq!(of(Some("KIB RANDOM")), 4);
        assert_eq!(of(Some("unlink")), 1);
        assert_eq!(of(Some("none of them")), 0);
    }

    #[test]
    fn names_are_unique() {
        for load in ALL {
            let same = ALL.iter().filter(|other| other.name == load.name);
            assert_eq!(same.count(), 1, "{}", load.name);
        }
    }
}
