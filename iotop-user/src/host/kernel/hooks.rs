//! The kernel half's programs, and which of them this kernel runs.
//!
//! Programs attach to tracepoints. Every kernel from 5.10 on has them, and they are as good a
//! place as the functions around them: they fire in the task's own context, fire once, and
//! cost less than a probe on a function. Between kernels, their names differ, and so does what
//! a program may do. Only one event has no tracepoint: a cgroup's io.max holds a bio back. The
//! programs for it attach to a function, which a kernel may refuse.

use std::fmt;

use iotop_common::Control;

use super::btf::Btf;

/// One program of the kernel half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name in the object.
    pub program: &'static str,
    /// What it attaches to.
    pub on: On,
    /// Which kernels run it.
    kernels: Kernels,
    /// The program whose missed events this one handles.
    pub retry_of: Option<&'static str>,
    /// What it reports. `doctor` and messages print it: "PURPOSE is unknown".
    pub purpose: &'static str,
    /// Why this hook and no other.
    pub why: &'static str,
}

/// What a program attaches to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// A tracepoint, by its name.
    Tracepoint(&'static str),
    /// A tracepoint of a file system, by its name. If the file system is a module, it exists
    /// only while the module is loaded.
    FileSystem(&'static str),
    /// A tracepoint of xfs, by its name, with the fields of its record instead of its
    /// arguments.
    Record(&'static str),
    /// Nothing: we run it over all tasks (`iter/task`).
    TaskIterator,
    /// Nothing: we run it on demand, and it returns an answer.
    Asked,
    /// The entry of a function, by its name (`fentry`). The other programs work without it.
    Entry(&'static str),
    /// The exit of a function, by its name (`fexit`).
    Exit(&'static str),
}

/// The program that reports command lines.
const PROGRAM_EXECUTED: &str = "program_executed";
/// The program that reports bios that a device turned away.
const BIO_TURNED_AWAY: &str = "bio_turned_away";

impl Hook {
    /// True if an event that the program misses costs a command line, and no bytes.
    pub fn tells_commands(&self) -> bool {
        self.program == PROGRAM_EXECUTED
    }

    /// True if an event that the program misses costs bytes. A retry's misses don't: the first
    /// program counts an event that both miss, and the retry counts what it recovers. Only of
    /// the bios that end, few matter, so that the retry can't tell what it recovers: there its
    /// own misses count, and the first program's don't.
    pub fn loses_bytes(&self, has_retry: bool) -> bool {
        let counts = match self.retry_of {
            None => !(has_retry && self.program == BIO_TURNED_AWAY),
            Some(first) => first == BIO_TURNED_AWAY,
        };
        counts && !self.on.is_function() && !self.tells_commands()
    }
}

impl On {
    /// True for a function, which the kernel may refuse.
    pub fn is_function(self) -> bool {
        matches!(self, On::Entry(_) | On::Exit(_))
    }

    /// True if the other programs work without it.
    pub fn is_optional(self) -> bool {
        let other = matches!(
            self,
            On::FileSystem(_) | On::Record(..) | On::Asked | On::Tracepoint(IOMAP)
        );
        self.is_function() || other
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            On::Tracepoint(name) | On::FileSystem(name) | On::Record(name) => f.pad(name),
            On::TaskIterator => f.pad("iter/task"),
            On::Asked => f.pad("on demand"),
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
    /// Before 5.18: the page cache has single pages.
    WithPages,
    /// Before 5.12: a bio names the whole disk, not the partition.
    WithDisks,
    /// Where a task may be preempted inside a tracepoint.
    Preemptible,
    /// Where iomap knows which blocks of a folio are dirty (6.6).
    IomapBlocks,
    /// From this version on, because the file system has large folios since then.
    From((u32, u32)),
    /// The same for btrfs, if BTF has its types.
    Btrfs,
    /// If BTF has this member of a struct, which the program reads: file systems may be
    /// modules, and those had no BTF before 5.11.
    WithType(&'static str, &'static str),
    /// If BTF does not have this struct, but that of a tracepoint's record.
    WithoutType(&'static str),
}

/// The tracepoint where xfs and block devices write a range.
const IOMAP: &str = "iomap_iter";

/// The file systems whose large folios are written block by block on this kernel, as bits of
/// `Control::whole_folios`, each with the programs that report which pages a task writes.
pub fn written_by_block(
    btf: &Btf,
    version: Option<(u32, u32)>,
) -> Vec<(u32, &'static [&'static str])> {
    let since = |release| version.is_none_or(|version| version >= release);
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
        .filter_map(|(applies, bit, programs)| applies.then_some((bit, programs)))
        .collect()
}

/// ext4 and btrfs have large folios since these versions.
const EXT4_LARGE: (u32, u32) = (6, 16);
const BTRFS_LARGE: (u32, u32) = (7, 0);

/// True if a task may be preempted inside a tracepoint. In 7.x the kernel guards
/// tracepoints with SRCU; before, it disabled preemption (include/linux/tracepoint.h).
pub fn tracepoints_are_preemptible(btf: &Btf) -> bool {
    btf.struct_size("class_srcu_fast_notrace_t").is_some()
}

/// What to do if a tracepoint is missing.
pub const NEEDED: &str = "run Linux 5.10 or later, built with CONFIG_BLOCK and CONFIG_BPF_EVENTS; \
    if this kernel is, please report it with the output of `iotop-trace doctor`";

/// This kernel lacks a tracepoint that a program needs.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("this kernel has no tracepoint {tracepoint}, which reports {purpose}; {NEEDED}")]
pub struct NoTracepoint {
    /// The tracepoint's name.
    pub tracepoint: &'static str,
    /// What the program on it reports.
    pub purpose: &'static str,
}

/// Chooses the programs for this kernel, in the order in which they are attached: programs
/// that clear tags come before programs that set them. A kernel of unknown version gets the
/// programs that the newest one needs.
///
/// # Errors
///
/// A tracepoint is missing.
pub fn choose(btf: &Btf, version: Option<(u32, u32)>) -> Result<Vec<Hook>, NoTracepoint> {
    let has = |tracepoint: &str| btf.tracepoint_args(tracepoint).is_some();
    let folios = has("writeback_dirty_folio");
    let since = |release| folios && version.is_none_or(|version| version >= release);
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
            Kernels::WithType(of, member) => btf.member_offset(of, member).is_some(),
            Kernels::WithoutType(of) => {
                btf.struct_size(of).is_none() && btf.struct_size("trace_entry").is_some()
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
            // A newer kernel may have both functions, and needs only the new one.
            On::Exit(OLD_THROTTLE) if chosen.iter().any(|other| other.on.is_function()) => {}
            _ => chosen.push(hook),
        }
    }
    Ok(chosen)
}

const MISSED_WHY: &str = "this kernel may preempt a task inside a tracepoint, and does not run \
    the program for other tasks on that CPU meanwhile";
/// Since 5.12 the kernel's trampoline disables migration, but not preemption
/// (kernel/bpf/trampoline.c: `__bpf_prog_enter_recur`).
const MISSED_AT_FUNCTION_WHY: &str = "a kernel with preempt=full may preempt a task inside a \
    function's program, and does not run it for other tasks on that CPU meanwhile";

const DIRTIED: &str = "which task makes a page dirty";
const CUT_OFF_WHY: &str =
    "the folio may stay in the page cache, and with it the tags of these pages";
const WRITTEN: &str = "which pages of a large folio a task writes";
const COPIED_WHY: &str =
    "fires for each folio before it becomes dirty, with the range that was copied";
const DROPPED: &str = "dirty pages that are dropped before they are written";
const DROPPED_WHY: &str =
    "no tracepoint reports a cancelled write, but the page still has a live tag";
const SUBMITTED: &str = "which tasks dirtied the pages of a bio, and which one submits it";

const HELD_BACK: &str = "the submitter of a bio that a cgroup's io.max holds back";
/// The function that decides whether a bio is held back, and its predecessor
/// (block/blk-throttle.c).
const THROTTLE: &str = "__blk_throtl_bio";
const OLD_THROTTLE: &str = "blk_throtl_bio";

const JOURNAL: Kernels = Kernels::WithType("journal_s", "j_fs_dev");
const XFS: Kernels = Kernels::WithType("xfs_mount", "m_super");
const XFS_RECORDS: Kernels = Kernels::WithoutType("xfs_mount");
const EXT4: Kernels = Kernels::WithType("ext4_sb_info", "s_journal");
const BTRFS_FS: Kernels = Kernels::WithType("btrfs_fs_info", "sb");
/// The record of `btrfs_sync_file_enter`, which was `btrfs_sync_file` before 7.x.
const BTRFS_SYNC_ENTERED: &str = "trace_event_raw_btrfs_sync_file_enter";
const BTRFS_SYNCED: &str = "which tasks wait for a file of btrfs to be written";
const BTRFS_SYNCED_WHY: &str =
    "fires in the task that calls fsync, whether a transaction commits or not";
const WORKS_FOR: &str = "for which task an xfs worker changes the size of a file";
const XFS_CHANGED: &str = "which task changed a block of xfs's metadata";

const HOOKS: [Hook; 65] = [
    Hook {
        program: "task_exited",
        on: On::Tracepoint("sched_process_exit"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "the exit of a task, with its final counters and name",
        why: "every exiting task passes here",
    },
    Hook {
        program: "task_exited_again",
        on: On::Tracepoint("sched_process_exit"),
        kernels: Kernels::Preemptible,
        retry_of: Some("task_exited"),
        purpose: "exits that task_exited missed",
        why: MISSED_WHY,
    },
    Hook {
        program: "task_counters",
        on: On::TaskIterator,
        kernels: Kernels::All,
        retry_of: None,
        purpose: "the changed counters of all tasks",
        why: "one pass takes no system call for each task, and works in any namespace",
    },
    Hook {
        program: PROGRAM_EXECUTED,
        on: On::Tracepoint("sched_process_exec"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "the command line of a process that exits before anyone looks at it",
        why: "fires in the task that executes a program, after its arguments are in place",
    },
    Hook {
        program: "program_executed_again",
        on: On::Tracepoint("sched_process_exec"),
        kernels: Kernels::Preemptible,
        retry_of: Some(PROGRAM_EXECUTED),
        purpose: "command lines that program_executed missed",
        why: MISSED_WHY,
    },
    Hook {
        program: "cgroup_mkdir",
        on: On::FileSystem("cgroup_mkdir"),
        kernels: Kernels::WithType("cgroup", "root"),
        retry_of: None,
        purpose: "the path of a cgroup that is removed before anyone looks at it",
        why: "fires once for each cgroup, with its path; a cgroup of version 2 is never renamed",
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
        purpose: "dirty pages that are cut off a folio when a file is truncated",
        why: CUT_OFF_WHY,
    },
    Hook {
        program: "ext4_punch_hole",
        on: On::FileSystem("ext4_punch_hole"),
        kernels: Kernels::From(EXT4_LARGE),
        retry_of: None,
        purpose: "dirty pages in a hole that is punched into a file",
        why: CUT_OFF_WHY,
    },
    Hook {
        program: "ext4_zero_range",
        on: On::FileSystem("ext4_zero_range"),
        kernels: Kernels::From(EXT4_LARGE),
        retry_of: None,
        purpose: "dirty pages in a range of a file that is zeroed",
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
        purpose: "which pages of a large folio a task writes without delayed allocation",
        why: COPIED_WHY,
    },
    Hook {
        program: "ext4_journalled_write_end",
        on: On::FileSystem("ext4_journalled_write_end"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "which task writes data that goes through ext4's journal",
        why: "the pages become dirty later, or are still dirty after a checkpoint wrote them",
    },
    Hook {
        program: "range_iterated",
        on: On::Tracepoint(IOMAP),
        kernels: Kernels::IomapBlocks,
        retry_of: None,
        purpose: "which pages a task writes on xfs and on block devices",
        why: "fires with the range before any of its pages become dirty, and when the write ends",
    },
    Hook {
        program: "btrfs_set_extent_bit",
        on: On::FileSystem("btrfs_set_extent_bit"),
        kernels: Kernels::Btrfs,
        retry_of: None,
        purpose: "which pages a task writes on btrfs",
        why: "fires with a range that gets delayed allocation, before its pages become dirty",
    },
    Hook {
        program: "pages_waiting",
        on: On::Asked,
        kernels: Kernels::All,
        retry_of: None,
        purpose: "whether tagged pages are still dirty",
        why: "a migrated page, or one cut off a folio, leaves its tag behind, and no event reports it",
    },
    Hook {
        program: "folio_dirtied",
        on: On::Tracepoint("writeback_dirty_folio"),
        kernels: Kernels::WithFolios,
        retry_of: None,
        purpose: DIRTIED,
        why: "fires inside folio_account_dirtied, once for a whole folio, only from clean to dirty",
    },
    Hook {
        program: "page_dirtied",
        on: On::Tracepoint("writeback_dirty_page"),
        kernels: Kernels::WithPages,
        retry_of: None,
        purpose: DIRTIED,
        why: "fires inside account_page_dirtied, only from clean to dirty",
    },
    Hook {
        program: "task_throttled",
        on: On::Tracepoint("balance_dirty_pages"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "how long a task must wait because too much is dirty",
        why: "fires in the task that must wait, with the length of the wait",
    },
    Hook {
        program: "flush_queued",
        on: On::Tracepoint("writeback_queue"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "which task asks for a flush",
        why: "fires in the task that asks, with the work that a flusher gets",
    },
    Hook {
        program: "flush_started",
        on: On::Tracepoint("writeback_start"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "why a flusher runs",
        why: "fires in the flusher with its work, before it submits anything",
    },
    Hook {
        program: "inode_flushed",
        on: On::Tracepoint("writeback_single_inode_start"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "for which task a flusher allocates blocks, and for which flusher btrfs's workers \
                  submit bios",
        why: "fires in the flusher with the inode, before its pages are under writeback",
    },
    Hook {
        program: "flush_written",
        on: On::Tracepoint("writeback_written"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "how much of its work a flusher has done",
        why: "fires in the flusher after each round, with what is left of its work",
    },
    Hook {
        program: "flush_ended",
        on: On::Tracepoint("writeback_pages_written"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "when a flusher has ended its work",
        why: "fires in the flusher when it has no work left",
    },
    Hook {
        program: "bio_remapped",
        on: On::Tracepoint("block_bio_remap"),
        kernels: Kernels::WithDisks,
        retry_of: None,
        purpose: "which partition a bio is for",
        why: "fires when a bio is mapped from its partition to the disk, before block_bio_queue",
    },
    Hook {
        program: "bio_offered",
        on: On::Entry(THROTTLE),
        kernels: Kernels::All,
        retry_of: None,
        purpose: HELD_BACK,
        why: "fires in the task that submits the bio, for cgroups with a limit; a kworker issues a \
              held back bio later",
    },
    Hook {
        program: "bio_offered_again",
        on: On::Entry(THROTTLE),
        kernels: Kernels::All,
        retry_of: Some("bio_offered"),
        purpose: "held back bios that bio_offered missed",
        why: MISSED_AT_FUNCTION_WHY,
    },
    Hook {
        program: "bio_let_through",
        on: On::Exit(THROTTLE),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "which bios a cgroup's io.max does not hold back",
        why: "bio_offered records every bio, because a kworker may issue a held back one before \
              the function returns",
    },
    Hook {
        program: "bio_let_through_again",
        on: On::Exit(THROTTLE),
        kernels: Kernels::All,
        retry_of: Some("bio_let_through"),
        purpose: "bios not held back that bio_let_through missed",
        why: MISSED_AT_FUNCTION_WHY,
    },
    Hook {
        program: "bio_held_back",
        on: On::Exit(OLD_THROTTLE),
        kernels: Kernels::All,
        retry_of: None,
        purpose: HELD_BACK,
        why: "fires in the task that submits the bio, for every bio; a kworker issues a held back \
              bio later",
    },
    Hook {
        program: "jbd2_handle_stats",
        on: On::FileSystem("jbd2_handle_stats"),
        kernels: JOURNAL,
        retry_of: None,
        purpose: "which tasks join a transaction of ext4's journal",
        why: "fires in the task when it has changed metadata, with the number of blocks",
    },
    Hook {
        program: "jbd2_start_commit",
        on: On::FileSystem("jbd2_start_commit"),
        kernels: JOURNAL,
        retry_of: None,
        purpose: "which task commits a transaction of ext4's journal, and why",
        why: "fires once for each transaction, before its log is written",
    },
    Hook {
        program: "jbd2_end_commit",
        on: On::FileSystem("jbd2_end_commit"),
        kernels: JOURNAL,
        retry_of: None,
        purpose: "when a transaction of ext4's journal is committed",
        why: "fires in the same task as jbd2_start_commit",
    },
    Hook {
        program: "xfs_trans_commit",
        on: On::FileSystem("xfs_trans_commit"),
        kernels: XFS,
        retry_of: None,
        purpose: "which tasks change metadata on xfs",
        why: "fires in the task for each transaction, before its changes reach the log",
    },
    Hook {
        program: "xfs_buf_item_pin",
        on: On::FileSystem("xfs_buf_item_pin"),
        kernels: XFS,
        retry_of: None,
        purpose: XFS_CHANGED,
        why: "fires in the task that changed the block, once in a checkpoint of the log",
    },
    Hook {
        program: "xfs_buf_item_ordered",
        on: On::FileSystem("xfs_buf_item_ordered"),
        kernels: XFS,
        retry_of: None,
        purpose: "which task made a block of xfs's metadata that is not logged",
        why: "such a block has no other event",
    },
    Hook {
        program: "xfs_inode_pin",
        on: On::FileSystem("xfs_inode_pin"),
        kernels: XFS,
        retry_of: None,
        purpose: "which task changed an inode of xfs",
        why: "inodes are logged by themselves, and written in buffers of several inodes",
    },
    Hook {
        program: "xfs_setfilesize",
        on: On::FileSystem("xfs_setfilesize"),
        kernels: XFS,
        retry_of: None,
        purpose: WORKS_FOR,
        why: "fires in the worker with the inode, before it changes the file's size",
    },
    Hook {
        program: "xfs_unwritten_convert",
        on: On::FileSystem("xfs_unwritten_convert"),
        kernels: XFS,
        retry_of: None,
        purpose: "for which task an xfs worker converts extents",
        why: "fires in the worker with the inode, before it changes the extents",
    },
    Hook {
        program: "xfs_inode_inactivating",
        on: On::FileSystem("xfs_inode_inactivating"),
        kernels: XFS,
        retry_of: None,
        purpose: "for which task an xfs worker frees an inode",
        why: "fires in the worker with the inode, before it frees the inode",
    },
    Hook {
        program: "btrfs_inode_new",
        on: On::FileSystem("btrfs_inode_new"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "which tasks create files on btrfs",
        why: "trees have too few pages to tell how much each task changes",
    },
    Hook {
        program: "btrfs_ordered_extent_add",
        on: On::FileSystem("btrfs_ordered_extent_add"),
        kernels: Kernels::WithType("btrfs_inode", "vfs_inode"),
        retry_of: None,
        purpose: "for which file btrfs submits compressed data",
        why: "compressed pages belong to no file; fires in the worker with the inode, before it submits them",
    },
    Hook {
        program: "xfs_committed",
        on: On::Record("xfs_trans_commit"),
        kernels: XFS_RECORDS,
        retry_of: None,
        purpose: "which tasks change metadata on xfs, without its types",
        why: "the kernel has no types of the module xfs; the record has the device and the inode's number",
    },
    Hook {
        program: "xfs_size_set",
        on: On::Record("xfs_setfilesize"),
        kernels: XFS_RECORDS,
        retry_of: None,
        purpose: "for which task an xfs worker changes a file's size, without its types",
        why: "the kernel has no types of the module xfs; the record has the device and the inode's number",
    },
    Hook {
        program: "xfs_converted",
        on: On::Record("xfs_unwritten_convert"),
        kernels: XFS_RECORDS,
        retry_of: None,
        purpose: "for which task an xfs worker converts extents, without its types",
        why: "the kernel has no types of the module xfs; the record has the device and the inode's number",
    },
    Hook {
        program: "xfs_file_fsync",
        on: On::FileSystem("xfs_file_fsync"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "which tasks wait for a file of xfs to be written",
        why: "fires in the task that calls fsync, whether the log is forced or not",
    },
    Hook {
        program: "btrfs_sync_file",
        on: On::FileSystem("btrfs_sync_file"),
        kernels: Kernels::WithoutType(BTRFS_SYNC_ENTERED),
        retry_of: None,
        purpose: BTRFS_SYNCED,
        why: BTRFS_SYNCED_WHY,
    },
    Hook {
        program: "btrfs_sync_file_enter",
        on: On::FileSystem("btrfs_sync_file_enter"),
        kernels: Kernels::WithType(BTRFS_SYNC_ENTERED, "ent"),
        retry_of: None,
        purpose: BTRFS_SYNCED,
        why: BTRFS_SYNCED_WHY,
    },
    Hook {
        program: "ext4_sync_file_enter",
        on: On::FileSystem("ext4_sync_file_enter"),
        kernels: EXT4,
        retry_of: None,
        purpose: "which tasks wait for a file of ext4 to be written, and which fsync begins there",
        why: "fires in the task that calls fsync, before the file is written",
    },
    Hook {
        program: "ext4_sync_file_exit",
        on: On::FileSystem("ext4_sync_file_exit"),
        kernels: EXT4,
        retry_of: None,
        purpose: "which tasks make ext4 commit by fsync",
        why: "fires in that task when its transaction is committed",
    },
    Hook {
        program: "ext4_sync_fs",
        on: On::FileSystem("ext4_sync_fs"),
        kernels: EXT4,
        retry_of: None,
        purpose: "which tasks make ext4 commit by sync",
        why: "fires in a task that calls sync or syncfs, or unmounts",
    },
    Hook {
        program: "jbd2_checkpoint",
        on: On::FileSystem("jbd2_checkpoint"),
        kernels: JOURNAL,
        retry_of: None,
        purpose: "which tasks wait because the log of jbd2 is full",
        why: "fires in a task that finds no room in the log",
    },
    Hook {
        program: "xfs_log_force",
        on: On::FileSystem("xfs_log_force"),
        kernels: XFS,
        retry_of: None,
        purpose: "which tasks force the log of xfs",
        why: "fires in the task that forces the log, and in the kworker that does it periodically",
    },
    Hook {
        program: "xfs_log_grant_sleep",
        on: On::FileSystem("xfs_log_grant_sleep"),
        kernels: XFS,
        retry_of: None,
        purpose: "which tasks wait because the log of xfs is full",
        why: "fires in a task that finds no room in the log",
    },
    Hook {
        program: "btrfs_transaction_commit",
        on: On::FileSystem("btrfs_transaction_commit"),
        kernels: BTRFS_FS,
        retry_of: None,
        purpose: "which tasks commit a transaction of btrfs",
        why: "fires in the task that has committed",
    },
    Hook {
        program: "xfs_log_forced",
        on: On::Record("xfs_log_force"),
        kernels: XFS_RECORDS,
        retry_of: None,
        purpose: "which tasks force the log of xfs, without its types",
        why: "the kernel has no types of the module xfs; the record has the device",
    },
    Hook {
        program: "xfs_log_slept",
        on: On::Record("xfs_log_grant_sleep"),
        kernels: XFS_RECORDS,
        retry_of: None,
        purpose: "which tasks wait because the log of xfs is full, without its types",
        why: "the kernel has no types of the module xfs; the record has the device",
    },
    Hook {
        program: BIO_TURNED_AWAY,
        on: On::Tracepoint("block_bio_complete"),
        kernels: Kernels::All,
        retry_of: None,
        purpose: "bios that a device turns away because they would have to wait",
        why: "fires for bios that did not become part of a request, with their status",
    },
    Hook {
        program: "bio_turned_away_again",
        on: On::Tracepoint("block_bio_complete"),
        kernels: Kernels::Preemptible,
        retry_of: Some(BIO_TURNED_AWAY),
        purpose: "bios turned away that bio_turned_away missed",
        why: MISSED_WHY,
    },
    Hook {
        program: "bio_submitted",
        on: On::Tracepoint("block_bio_queue"),
        kernels: Kernels::WithFolios,
        retry_of: None,
        purpose: SUBMITTED,
        why: "fires once for each bio, before it is split; the sum equals pgpgin and pgpgout",
    },
    Hook {
        program: "bio_submitted_again",
        on: On::Tracepoint("block_bio_queue"),
        kernels: Kernels::Preemptible,
        retry_of: Some("bio_submitted"),
        purpose: "bios that bio_submitted missed",
        why: MISSED_WHY,
    },
    Hook {
        program: "bio_submitted_at_last",
        on: On::Tracepoint("block_bio_queue"),
        kernels: Kernels::Preemptible,
        retry_of: Some("bio_submitted"),
        purpose: "bios that bio_submitted and bio_submitted_again missed",
        why: "it is short, so a task is rarely preempted inside it",
    },
    Hook {
        program: "bio_of_pages_submitted",
        on: On::Tracepoint("block_bio_queue"),
        kernels: Kernels::WithPages,
        retry_of: None,
        purpose: SUBMITTED,
        why: "fires once for each bio, before it is split; the sum equals pgpgin and pgpgout",
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
            eprintln!("skipped: this kernel has no BTF");
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

    /// `missed_events` counts each event at most once.
    #[test]
    fn an_event_that_two_programs_may_handle_is_missed_once() {
        let on = |tracepoint, has_retry| {
            let hooks = HOOKS
                .iter()
                .filter(|hook| hook.on == On::Tracepoint(tracepoint));
            let counted =
                hooks.filter(|hook| hook.loses_bytes(has_retry && hook.retry_of.is_none()));
            counted.map(|hook| hook.program).collect::<Vec<_>>()
        };
        assert_eq!(on("sched_process_exit", true), ["task_exited"]);
        assert_eq!(on("block_bio_complete", true), ["bio_turned_away_again"]);
        let alone = HOOKS.iter().find(|hook| hook.program == BIO_TURNED_AWAY);
        assert!(alone.is_some_and(|hook| hook.loses_bytes(false)));
    }

    /// Large folios count as `Shared` unless all these programs run, so each name must be that
    /// of a program.
    #[test]
    fn every_program_that_reports_written_blocks_exists() {
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
    fn a_missing_tracepoint_is_named() {
        let btf = Btf::parse(empty()).expect("well-formed");
        let error = choose(&btf, None).expect_err("nothing in it").to_string();
        assert!(error.contains("sched_process_exit"), "{error}");
    }
}
