//! The kernel half's programs, and which of them this kernel runs.
//!
//! Every kernel from 5.10 on has the tracepoints, in places that are as good as
//! the functions around them: they are in the task's own context, fire once and
//! cost less than a probe on a function. What changes is their names and what
//! a program on that kernel may do. One thing happens where no tracepoint is: its
//! programs hang on a function, which a kernel may refuse.

use std::fmt;

use iotop_common::Control;

use super::btf::Btf;

/// One program of the kernel half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name in the object.
    pub program: &'static str,
    /// What it hangs on.
    pub on: On,
    /// Which kernels run it.
    kernels: Kernels,
    /// The program whose events it takes that the kernel kept from that one.
    pub retry_of: Option<&'static str>,
    /// What it is for.
    pub purpose: &'static str,
    /// Why this hook and no other.
    pub why: &'static str,
}

/// What a program hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// A tracepoint, by its name.
    Tracepoint(&'static str),
    /// A tracepoint of a file system, by its name. It is there when the file system
    /// is, which may be a module.
    FileSystem(&'static str),
    /// Nothing: we have it pass over all tasks (`iter/task`).
    TaskIterator,
    /// Nothing: we run it, and it answers.
    Asked,
    /// The beginning of a function, by its name (`fentry`). Without it the rest
    /// works.
    Entry(&'static str),
    /// Its end (`fexit`).
    Exit(&'static str),
}

impl On {
    /// Whether it is a function: the kernel may refuse that.
    pub fn is_function(self) -> bool {
        matches!(self, On::Entry(_) | On::Exit(_))
    }

    /// Whether the others work without it.
    pub fn is_optional(self) -> bool {
        self.is_function() || matches!(self, On::FileSystem(_) | On::Asked | On::Tracepoint(IOMAP))
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            On::Tracepoint(name) | On::FileSystem(name) => f.pad(name),
            On::TaskIterator => f.pad("iter/task"),
            On::Asked => f.pad("when asked"),
            On::Entry(name) => f.pad(&format!("fentry/{name}")),
            On::Exit(name) => f.pad(&format!("fexit/{name}")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernels {
    All,
    /// From 5.18 on: page-cache folios may have many pages, and `bpf_loop`
    /// (5.17) walks them.
    WithFolios,
    /// Before that: page cache comes in single pages.
    WithPages,
    /// Before 5.12: a bio names the whole disk.
    WithDisks,
    /// Where a task may be preempted inside of a tracepoint.
    Preemptible,
    /// Where iomap knows which blocks of a folio are dirty (6.6).
    IomapBlocks,
    /// From a version on: the file system has large folios since then.
    From((u32, u32)),
    /// The same, where btrfs tells its types.
    Btrfs,
}

/// Where xfs and block devices write a range.
const IOMAP: &str = "iomap_iter";

/// The file systems whose large folios are written block by block on this kernel, with
/// the programs that tell which pages a task writes; bits of `Control::whole_folios`.
pub fn written_by_block(
    btf: &Btf,
    version: Option<(u32, u32)>,
) -> Vec<(u32, &'static [&'static str])> {
    let since = |release| version.is_none_or(|is| is >= release);
    let iomap = btf.struct_size("iomap_folio_state").is_some();
    let all: [(bool, u32, &[&str]); 3] = [
        (
            since(EXT4_LARGE),
            Control::EXT4,
            &["ext4_da_write_end", "ext4_write_end"],
        ),
        (iomap, Control::XFS, &["range_iterated"]),
        (
            since(BTRFS_LARGE),
            Control::BTRFS,
            &["btrfs_set_extent_bit"],
        ),
    ];
    all.into_iter()
        .filter_map(|(is, bit, programs)| is.then_some((bit, programs)))
        .collect()
}

/// Since then the file system has large folios.
const EXT4_LARGE: (u32, u32) = (6, 16);
const BTRFS_LARGE: (u32, u32) = (7, 0);

/// Whether a task may be preempted inside of a tracepoint: the kernel guards
/// them by SRCU since 7.x, by no preemption before (include/linux/tracepoint.h).
pub fn tracepoints_are_preemptible(btf: &Btf) -> bool {
    btf.struct_size("class_srcu_fast_notrace_t").is_some()
}

/// What a kernel without one of the tracepoints lacks.
pub const NEEDED: &str = "run Linux 5.10 or later, built with CONFIG_BLOCK and CONFIG_BPF_EVENTS; \
    if this one is, please report it with the output of `iotop-trace doctor`";

/// This kernel has not the tracepoint that a program needs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("this kernel has no tracepoint {tracepoint}, for {purpose}; {NEEDED}")]
pub struct NoTracepoint {
    /// Its name.
    pub tracepoint: &'static str,
    /// What it is needed for.
    pub purpose: &'static str,
}

/// The programs for this kernel, in the order in which they are attached:
/// whatever clears tags comes before whatever sets them. A kernel of unknown version
/// gets what the newest one needs.
///
/// # Errors
///
/// A tracepoint is missing.
pub fn choose(btf: &Btf, version: Option<(u32, u32)>) -> Result<Vec<Hook>, NoTracepoint> {
    let has = |tracepoint: &str| btf.tracepoint_args(tracepoint).is_some();
    let folios = has("writeback_dirty_folio");
    let since = |release| folios && version.is_none_or(|is| is >= release);
    let mut chosen: Vec<Hook> = Vec::new();
    for hook in HOOKS {
        let runs = match hook.kernels {
            Kernels::All => true,
            Kernels::WithFolios => folios,
            Kernels::WithPages => !folios,
            Kernels::WithDisks => btf.member_offset("bio", "bi_disk").is_some(),
            Kernels::Preemptible => folios && tracepoints_are_preemptible(btf),
            Kernels::IomapBlocks => btf.struct_size("iomap_folio_state").is_some(),
            Kernels::From(release) => since(release),
            Kernels::Btrfs => {
                since(BTRFS_LARGE) && btf.member_offset("btrfs_inode", "vfs_inode").is_some()
            }
        };
        match hook.on {
            _ if !runs => {}
            On::Tracepoint(IOMAP) if !has(IOMAP) => {}
            On::Tracepoint(tracepoint) if !has(tracepoint) => {
                return Err(NoTracepoint {
                    tracepoint,
                    purpose: hook.purpose,
                });
            }
            On::Entry(name) | On::Exit(name) if !btf.has_function(name) => {}
            // Of two functions of one purpose newer kernels may have both names.
            On::Exit(OLD) if chosen.iter().any(|other| other.on.is_function()) => {}
            _ => chosen.push(hook),
        }
    }
    Ok(chosen)
}

const KEPT_FROM: &str = "this kernel may preempt a task inside of a tracepoint, and keeps a \
    program from running a second time on that CPU";
/// The kernel's trampoline holds a task on its CPU, no more, since 5.12
/// (kernel/bpf/trampoline.c: `__bpf_prog_enter_recur`).
const KEPT_FROM_FUNCTION: &str = "a kernel with preempt=full may preempt a task inside of a \
    function's program, and keeps it from running a second time on that CPU";

const DIRTIED: &str = "who makes a page dirty";
const CUT_OFF_WHY: &str = "the folio may stay, and with it the pages' tags";
const WRITTEN: &str = "which pages of a large folio a task writes";
const COPIED_WHY: &str = "fires for each folio, before it becomes dirty, with what was copied";
const DROPPED: &str = "dirty pages that are dropped before they are written";
const DROPPED_WHY: &str = "a cancelled page has no tracepoint of its own; its live tag tells";
const SUBMITTED: &str = "whose pages a bio carries, and who submits it";

const HELD_BACK: &str = "who handed over what a cgroup's io.max holds back";
/// What decides whether a bio is held back, and what did before it (block/blk-throttle.c).
const NEW: &str = "__blk_throtl_bio";
const OLD: &str = "blk_throtl_bio";

const HOOKS: [Hook; 33] = [
    Hook {
        program: "task_exited",
        on: On::Tracepoint("sched_process_exit"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "a task's last counters and name, and that it is gone",
        why: "the one place that every exiting task passes",
    },
    Hook {
        program: "task_exited_again",
        on: On::Tracepoint("sched_process_exit"),
        kernels: Kernels::Preemptible,
        retry_of: Some("task_exited"),
        purpose: "tasks whose exit the program before it was kept from",
        why: KEPT_FROM,
    },
    Hook {
        program: "task_counters",
        on: On::TaskIterator,
        kernels: Kernels::All,
        retry_of: None,
        purpose: "all tasks' counters, those that changed",
        why: "one pass without a system call a task, in any namespace",
    },
    Hook {
        program: "folio_dropped",
        on: On::Tracepoint("mm_filemap_delete_from_page_cache"),
        kernels: Kernels::WithFolios,
        retry_of: None,
        purpose: DROPPED,
        why: DROPPED_WHY,
    },
    Hook {
        program: "page_dropped",
        on: On::Tracepoint("mm_filemap_delete_from_page_cache"),
        kernels: Kernels::WithPages,
        retry_of: None,
        purpose: DROPPED,
        why: DROPPED_WHY,
    },
    Hook {
        program: "ext4_truncate_enter",
        on: On::FileSystem("ext4_truncate_enter"),
        kernels: Kernels::From(EXT4_LARGE),
        retry_of: None,
        purpose: "dirty pages that a file is cut off",
        why: CUT_OFF_WHY,
    },
    Hook {
        program: "ext4_punch_hole",
        on: On::FileSystem("ext4_punch_hole"),
        kernels: Kernels::From(EXT4_LARGE),
        retry_of: None,
        purpose: "dirty pages in a hole that is punched",
        why: CUT_OFF_WHY,
    },
    Hook {
        program: "ext4_zero_range",
        on: On::FileSystem("ext4_zero_range"),
        kernels: Kernels::From(EXT4_LARGE),
        retry_of: None,
        purpose: "dirty pages in a range that is made zero",
        why: CUT_OFF_WHY,
    },
    Hook {
        program: "iomap_invalidate_folio",
        on: On::FileSystem("iomap_invalidate_folio"),
        kernels: Kernels::IomapBlocks,
        retry_of: None,
        purpose: "dirty pages that are cut off a folio on xfs",
        why: CUT_OFF_WHY,
    },
    Hook {
        program: "ext4_da_write_end",
        on: On::FileSystem("ext4_da_write_end"),
        kernels: Kernels::From(EXT4_LARGE),
        retry_of: None,
        purpose: WRITTEN,
        why: COPIED_WHY,
    },
    Hook {
        program: "ext4_write_end",
        on: On::FileSystem("ext4_write_end"),
        kernels: Kernels::From(EXT4_LARGE),
        retry_of: None,
        purpose: "the same without delayed allocation",
        why: COPIED_WHY,
    },
    Hook {
        program: "ext4_journalled_write_end",
        on: On::FileSystem("ext4_journalled_write_end"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "who writes data that goes through ext4's journal",
        why: "its pages become dirty later, or are dirty still where a checkpoint wrote them",
    },
    Hook {
        program: "range_iterated",
        on: On::Tracepoint(IOMAP),
        kernels: Kernels::IomapBlocks,
        retry_of: None,
        purpose: "which pages are written on xfs and on block devices",
        why: "fires with the range before anything of it becomes dirty, and when it ends",
    },
    Hook {
        program: "btrfs_set_extent_bit",
        on: On::FileSystem("btrfs_set_extent_bit"),
        kernels: Kernels::Btrfs,
        retry_of: None,
        purpose: "which pages are written on btrfs",
        why: "delayed allocation of a range comes before its pages become dirty",
    },
    Hook {
        program: "pages_waiting",
        on: On::Asked,
        kernels: Kernels::All,
        retry_of: None,
        purpose: "whether pages that are tagged are dirty still",
        why: "a page that is migrated, or cut off a folio, leaves its tag behind without an event",
    },
    Hook {
        program: "folio_dirtied",
        on: On::Tracepoint("writeback_dirty_folio"),
        kernels: Kernels::WithFolios,
        retry_of: None,
        purpose: DIRTIED,
        why: "fires inside folio_account_dirtied, clean to dirty only, once a folio",
    },
    Hook {
        program: "page_dirtied",
        on: On::Tracepoint("writeback_dirty_page"),
        kernels: Kernels::WithPages,
        retry_of: None,
        purpose: DIRTIED,
        why: "fires inside account_page_dirtied, clean to dirty only",
    },
    Hook {
        program: "task_throttled",
        on: On::Tracepoint("balance_dirty_pages"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "how long a task has to wait because too much is dirty",
        why: "fires in the task that is made to wait, with how long",
    },
    Hook {
        program: "flush_queued",
        on: On::Tracepoint("writeback_queue"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "who asks for a flush",
        why: "fires in the task that asks, with the work that a worker then gets",
    },
    Hook {
        program: "flush_started",
        on: On::Tracepoint("writeback_start"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "why a writeback worker runs",
        why: "fires in the worker with its work, before it submits anything",
    },
    Hook {
        program: "inode_flushed",
        on: On::Tracepoint("writeback_single_inode_start"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "for which worker btrfs's checksum workers submit",
        why: "fires in the worker with the inode, before its pages are under writeback",
    },
    Hook {
        program: "flush_written",
        on: On::Tracepoint("writeback_written"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "how far a writeback worker has come",
        why: "fires in the worker after each round, with what is left of its work",
    },
    Hook {
        program: "flush_ended",
        on: On::Tracepoint("writeback_pages_written"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "when a writeback worker has ended",
        why: "fires in the worker when it has no work left",
    },
    Hook {
        program: "bio_remapped",
        on: On::Tracepoint("block_bio_remap"),
        kernels: Kernels::WithDisks,
        retry_of: None,
        purpose: "of which partition a bio is",
        why: "fires where a bio leaves its partition behind, before it is submitted",
    },
    Hook {
        program: "bio_offered",
        on: On::Entry(NEW),
        kernels: Kernels::All,
        retry_of: None,
        purpose: HELD_BACK,
        why: "a worker submits it later; fires in the task's own context, for bios of cgroups \
              with a limit",
    },
    Hook {
        program: "bio_offered_again",
        on: On::Entry(NEW),
        kernels: Kernels::All,
        retry_of: Some("bio_offered"),
        purpose: "bios held back that the program before it was kept from",
        why: KEPT_FROM_FUNCTION,
    },
    Hook {
        program: "bio_let_through",
        on: On::Exit(NEW),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "that a cgroup's io.max did not hold a bio back",
        why: "by then a worker may have one that was",
    },
    Hook {
        program: "bio_let_through_again",
        on: On::Exit(NEW),
        kernels: Kernels::All,
        retry_of: Some("bio_let_through"),
        purpose: "bios let through that the program before it was kept from",
        why: KEPT_FROM_FUNCTION,
    },
    Hook {
        program: "bio_held_back",
        on: On::Exit(OLD),
        kernels: Kernels::All,
        retry_of: None,
        purpose: HELD_BACK,
        why: "a worker submits it later; fires in the task's own context, for every bio",
    },
    Hook {
        program: "bio_submitted",
        on: On::Tracepoint("block_bio_queue"),
        kernels: Kernels::WithFolios,
        retry_of: None,
        purpose: SUBMITTED,
        why: "fires once a bio before it is split; adds up to pgpgin and pgpgout",
    },
    Hook {
        program: "bio_submitted_again",
        on: On::Tracepoint("block_bio_queue"),
        kernels: Kernels::Preemptible,
        retry_of: Some("bio_submitted"),
        purpose: "bios that the program before it was kept from",
        why: KEPT_FROM,
    },
    Hook {
        program: "bio_submitted_at_last",
        on: On::Tracepoint("block_bio_queue"),
        kernels: Kernels::Preemptible,
        retry_of: Some("bio_submitted"),
        purpose: "bios that both programs before it were kept from",
        why: "it is short, so that hardly any task is preempted inside of it",
    },
    Hook {
        program: "bio_of_pages_submitted",
        on: On::Tracepoint("block_bio_queue"),
        kernels: Kernels::WithPages,
        retry_of: None,
        purpose: SUBMITTED,
        why: "fires once a bio before it is split; adds up to pgpgin and pgpgout",
    },
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// One program for each purpose, and none that this kernel would refuse.
    #[test]
    fn each_kernel_has_one_program_for_each_purpose() {
        let Ok(btf) = Btf::from_file(Path::new("/sys/kernel/btf/vmlinux")) else {
            eprintln!("this kernel has no BTF: nothing to choose from");
            return;
        };
        let hooks = choose(&btf, None).expect("every kernel from 5.10 on has the tracepoints");
        let mut purposes: Vec<&str> = hooks.iter().map(|hook| hook.purpose).collect();
        purposes.sort_unstable();
        purposes.dedup();
        assert_eq!(purposes.len(), hooks.len());
        for purpose in [DIRTIED, DROPPED, SUBMITTED] {
            assert!(purposes.contains(&purpose), "{purpose}");
        }
        let last = hooks.last().map(|hook| hook.on);
        assert_eq!(
            last,
            Some(On::Tracepoint("block_bio_queue")),
            "tags are set before they are read"
        );
    }

    /// Where one is missing the first writer of a large folio is not called its only one.
    #[test]
    fn whatever_writes_large_folios_by_block_has_programs_that_tell_the_blocks() {
        for (_, programs) in written_by_block(&Btf::parse(empty()).expect("well-formed"), None) {
            for program in programs {
                assert!(
                    HOOKS.iter().any(|hook| hook.program == *program),
                    "{program}"
                );
            }
        }
        let old = written_by_block(&Btf::parse(empty()).expect("well-formed"), Some((6, 1)));
        assert!(old.is_empty(), "{old:?}");
    }

    fn empty() -> Vec<u8> {
        let header = [0xeb9fu32 | 1 << 16, 24, 0, 0, 0, 1].map(u32::to_ne_bytes);
        [header.concat(), vec![0]].concat()
    }

    #[test]
    fn a_tracepoint_that_is_missing_is_named() {
        let btf = Btf::parse(empty()).expect("well-formed");
        let error = choose(&btf, None).expect_err("nothing in it").to_string();
        assert!(error.contains("sched_process_exit"), "{error}");
    }
}
