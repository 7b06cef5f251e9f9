//! The kernel's [`Layout`], resolved from its BTF.

use std::time::Duration;

use iotop_common::{
    Layout,
    layout::{BVEC_BYTES, FOLIO_BYTES, PAGE_BYTES},
    tag::TICK_AT_LEAST_NS,
};

use super::{btf::Btf, hooks, syscalls};

/// What the running kernel's BTF lacks, or has in a form that the kernel half can't read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    /// A field that we need.
    #[error(
        "this kernel's BTF has no {0}; please report it with the output of `iotop-trace doctor`"
    )]
    Missing(String),
    /// A field lies beyond what the kernel half copies.
    #[error(
        "this kernel has {0} at byte {1}, beyond the bytes that this iotop-trace copies; \
         please report it with the output of `iotop-trace doctor`"
    )]
    OutOfReach(&'static str, u32),
    /// The size of `struct page` is not a power of two.
    #[error(
        "sizeof(struct page) is {0}, but page tags need a power of two; \
         please report it with the output of `iotop-trace doctor`"
    )]
    PageSize(u32),
    /// A tracepoint that we need.
    #[error("this kernel has no tracepoint {0}; {NEEDED}", NEEDED = hooks::NEEDED)]
    Tracepoint(&'static str),
}

/// The event of a commit of btrfs. Since 7.x it passes a handle, before the `btrfs_fs_info`.
const BTRFS_COMMIT: &str = "btrfs_transaction_commit";

/// What the layout depends on besides BTF.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// The size of a page frame.
    pub page_size: u64,
    /// The number of page tags, a power of two.
    pub tags: u32,
    /// How long a jiffy is.
    pub jiffy: Duration,
    /// How many tasks' states the kernel half remembers, a power of two.
    pub tasks_seen: u32,
    /// The kernel's version, if it is known.
    pub version: Option<(u32, u32)>,
}

impl Machine {
    /// By how many bits jiffies are shifted right to get a tick of the tags' clock.
    fn tick_shift(&self) -> u32 {
        let jiffy = u64::try_from(self.jiffy.as_nanos())
            .unwrap_or(u64::MAX)
            .max(1);
        (0..8)
            .find(|shift| jiffy << shift >= TICK_AT_LEAST_NS)
            .unwrap_or(8)
    }

    /// The length of a tick of the tags' clock.
    pub fn tick(&self) -> Duration {
        self.jiffy * (1 << self.tick_shift())
    }
}

/// Resolves every field.
///
/// # Errors
///
/// This kernel lacks a field that is required. The error names the first one.
pub fn resolve(btf: &Btf, machine: &Machine) -> Result<Layout, LayoutError> {
    let member = |of: &str, path: &str| {
        btf.member_offset(of, path)
            .ok_or_else(|| LayoutError::Missing(format!("{of}.{path}")))
    };
    // A field that is missing has the offset 0. Where that makes a difference, the field is
    // not the first one of its struct.
    let optional = |of: &str, path: &str| btf.member_offset(of, path).unwrap_or(0);
    let constant = |of: &str, name: &str| {
        btf.enum_value(of, name)
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| LayoutError::Missing(format!("{of} {name}")))
    };
    // The flag of which an enumerator is the number.
    let bit = |of: &str, name: &str| {
        1u32.checked_shl(constant(of, name)?)
            .ok_or_else(|| LayoutError::Missing(format!("{of} {name} below 32")))
    };
    let size = |of: &str| {
        btf.struct_size(of)
            .ok_or_else(|| LayoutError::Missing(format!("struct {of}")))
    };
    let helper = |name: &str| btf.enum_value("bpf_func_id", name).is_some();
    let page_struct = size("page")?;
    if !page_struct.is_power_of_two() {
        return Err(LayoutError::PageSize(page_struct));
    }
    // 7.2 renamed the word that leads from a tail page to its head.
    let compound_info = btf.member_offset("page", "compound_info");
    let layout = Layout {
        page_struct_shift: page_struct.trailing_zeros(),
        page_shift: machine.page_size.trailing_zeros(),
        tag_mask: machine.tags - 1,
        tick_shift: machine.tick_shift(),
        bio_arg: bio_arg(btf)?,

        runs_once: u32::from(btf.has_function("bpf_prog_inc_misses_counter")),
        preemptible: u32::from(hooks::tracepoints_are_preemptible(btf)),
        current_is_typed: u32::from(helper("BPF_FUNC_get_current_task_btf")),

        bio_bi_bdev: optional("bio", "bi_bdev"),
        bio_bi_disk: optional("bio", "bi_disk"),
        bio_bi_partno: optional("bio", "bi_partno"),
        disk_major: optional("gendisk", "major"),
        disk_first_minor: member("gendisk", "first_minor")?,
        bio_bi_opf: member("bio", "bi_opf")?,
        bio_bi_flags: member("bio", "bi_flags")?,
        // An enumerator since 5.0 (include/linux/blk_types.h).
        bio_queued: btf
            .enumerator("BIO_TRACE_COMPLETION")
            .and_then(|number| 1u32.checked_shl(number))
            .unwrap_or(1 << 31),
        bio_bi_sector: member("bio", "bi_iter.bi_sector")?,
        bio_bi_size: member("bio", "bi_iter.bi_size")?,
        bio_bi_idx: member("bio", "bi_iter.bi_idx")?,
        bio_bi_bvec_done: member("bio", "bi_iter.bi_bvec_done")?,
        bio_bi_io_vec: member("bio", "bi_io_vec")?,
        bvec_size: size("bio_vec")?,
        bvec_bv_page: member("bio_vec", "bv_page")?,
        bvec_bv_len: member("bio_vec", "bv_len")?,
        bvec_bv_offset: member("bio_vec", "bv_offset")?,
        bdev_bd_dev: member("block_device", "bd_dev")?,

        req_meta: bit("req_flag_bits", "__REQ_META")?,
        req_swap: bit("req_flag_bits", "__REQ_SWAP")?,
        req_nowait: bit("req_flag_bits", "__REQ_NOWAIT")?,
        bio_bi_status: member("bio", "bi_status")?,

        page_flags: member("page", "flags")?,
        page_compound: compound_info.map_or_else(|| member("page", "compound_head"), Ok)?,
        compound_may_be_mask: u32::from(compound_info.is_some()),
        page_mapping: member("page", "mapping")?,
        folio_nr_pages: ["_nr_pages", "_folio_nr_pages"]
            .iter()
            .find_map(|name| btf.member_offset("folio", name))
            .unwrap_or(0),
        folio_order: folio_order(btf)?,
        pg_head: constant("pageflags", "PG_head")?,
        pg_writeback: constant("pageflags", "PG_writeback")?,
        pg_dirty: constant("pageflags", "PG_dirty")?,

        mapping_host: member("address_space", "host")?,
        inode_i_data: member("inode", "i_data")?,
        inode_i_ino: member("inode", "i_ino")?,
        inode_i_sb: member("inode", "i_sb")?,
        inode_i_state: member("inode", "i_state")?,
        i_dirty_pages: i_dirty_pages(btf, machine.version),
        sb_s_dev: member("super_block", "s_dev")?,
        sb_s_type: member("super_block", "s_type")?,
        sb_s_magic: member("super_block", "s_magic")?,
        fs_type_fs_flags: member("file_system_type", "fs_flags")?,

        task_flags: member("task_struct", "flags")?,
        task_tgid: member("task_struct", "tgid")?,
        task_real_parent: member("task_struct", "real_parent")?,
        task_start_boottime: member("task_struct", "start_boottime")?,
        task_pid: member("task_struct", "pid")?,
        task_comm: member("task_struct", "comm")?,
        task_on_cpu: optional("task_struct", "on_cpu"),
        task_nvcsw: member("task_struct", "nvcsw")?,
        task_nivcsw: member("task_struct", "nivcsw")?,
        task_cred: member("task_struct", "cred")?,
        cred_euid: member("cred", "euid")?,
        task_cgroups: optional("task_struct", "cgroups"),
        css_set_dfl_cgrp: optional("css_set", "dfl_cgrp"),
        cgroup_kn: optional("cgroup", "kn"),
        kernfs_node_id: optional("kernfs_node", "id"),

        task_rchar: optional("task_struct", "ioac.rchar"),
        task_wchar: optional("task_struct", "ioac.wchar"),
        task_syscr: optional("task_struct", "ioac.syscr"),
        task_syscw: optional("task_struct", "ioac.syscw"),
        task_read_bytes: optional("task_struct", "ioac.read_bytes"),
        task_write_bytes: optional("task_struct", "ioac.write_bytes"),
        task_cancelled_write_bytes: optional("task_struct", "ioac.cancelled_write_bytes"),
        task_delays: optional("task_struct", "delays"),
        delays_blkio_delay: optional("task_delay_info", "blkio_delay"),
        delays_swapin_delay: optional("task_delay_info", "swapin_delay"),
        delays_blkio_count: optional("task_delay_info", "blkio_count"),
        delays_swapin_count: optional("task_delay_info", "swapin_count"),
        work_reason: member("wb_writeback_work", "reason")?,
        work_nr_pages: member("wb_writeback_work", "nr_pages")?,
        wb_memcg_css: optional("bdi_writeback", "memcg_css"),
        css_cgroup: optional("cgroup_subsys_state", "cgroup"),
        pause_arg: pause_arg(btf)?,
        regs_syscall: ["orig_ax", "syscallno", "orig_a0"]
            .iter()
            .find_map(|name| btf.member_offset("pt_regs", name))
            .unwrap_or(0),
        task_stack_vm_area: match helper("BPF_FUNC_task_pt_regs") {
            true => 0,
            false => optional("task_struct", "stack_vm_area"),
        },
        task_stack: optional("task_struct", "stack"),
        vm_nr_pages: optional("vm_struct", "nr_pages"),
        regs_size: btf.struct_size("pt_regs").unwrap_or(0),
        inode_i_generation: member("inode", "i_generation")?,
        dentry_hash: member("dentry", "d_name.hash")?,
        inode_i_dentry: member("inode", "i_dentry")?,
        dentry_d_alias: member("dentry", "d_u.d_alias").or_else(|_| member("dentry", "d_alias"))?,
        dentry_d_parent: member("dentry", "d_parent")?,
        dentry_name: member("dentry", "d_name.name")?,
        seen_mask: machine.tasks_seen - 1,

        pg_locked: constant("pageflags", "PG_locked")?,
        folio_index: btf
            .member_offset("folio", "index")
            .map_or_else(|| member("page", "index"), Ok)?,
        mapping_xa_head: member("address_space", "i_pages.xa_head")?,
        mapping_xa_flags: member("address_space", "i_pages.xa_flags")?,
        // XA_FLAGS_MARK of include/linux/xarray.h: above the bits of gfp_t.
        xa_dirty_marks: btf
            .enumerator("___GFP_LAST_BIT")
            .and_then(|bits| 0b111u32.checked_shl(bits))
            .unwrap_or(0),
        xa_node_shift: member("xa_node", "shift")?,
        xa_node_slots: member("xa_node", "slots")?,
        xa_chunk_shift: xa_chunk_shift(btf)?,
        inode_i_size: member("inode", "i_size")?,
        iter_inode: optional("iomap_iter", "inode"),
        iter_pos: optional("iomap_iter", "pos"),
        iter_len: optional("iomap_iter", "len"),
        iter_flags: optional("iomap_iter", "flags"),
        iter_iomap_length: optional("iomap_iter", "iomap.length"),
        iter_processed: optional("iomap_iter", "processed"),
        iter_status: optional("iomap_iter", "status"),
        extent_tree_inode: optional("extent_io_tree", "inode"),
        btrfs_vfs_inode: optional("btrfs_inode", "vfs_inode"),
        extent_delalloc: btf.enumerator("EXTENT_DELALLOC").unwrap_or(0),
        bio_bi_private: member("bio", "bi_private")?,
        req_idle: bit("req_flag_bits", "__REQ_IDLE")?,
        inode_i_rdev: member("inode", "i_rdev")?,
        journal_j_fs_dev: optional("journal_s", "j_fs_dev"),
        journal_j_dev: optional("journal_s", "j_dev"),
        transaction_t_tid: optional("transaction_s", "t_tid"),
        trace_entry_size: btf.struct_size("trace_entry").unwrap_or(0),
        xfs_trans_t_mountp: optional("xfs_trans", "t_mountp"),
        xfs_mount_m_super: optional("xfs_mount", "m_super"),
        xfs_mount_m_logdev_targp: optional("xfs_mount", "m_logdev_targp"),
        xfs_buftarg_bt_dev: optional("xfs_buftarg", "bt_dev"),
        xfs_buf_b_target: optional("xfs_buf", "b_target"),
        xfs_buf_log_item_bli_buf: optional("xfs_buf_log_item", "bli_buf"),
        xfs_inode_i_vnode: optional("xfs_inode", "i_vnode"),
        xfs_inode_i_itemp: optional("xfs_inode", "i_itemp"),
        xfs_inode_log_item_li_buf: optional("xfs_inode_log_item", "ili_item.li_buf"),
        btrfs_inode_new_vfs_inode: match btf.tracepoint_arg("btrfs_inode_new", 0) {
            Some("btrfs_inode") => member("btrfs_inode", "vfs_inode")?,
            _ => 0,
        },
        sys_fsync: syscalls::FSYNC,
        sys_fdatasync: syscalls::FDATASYNC,
        sys_sync: syscalls::SYNC,
        sys_syncfs: syscalls::SYNCFS,
        sys_umount2: syscalls::UMOUNT2,

        file_f_inode: optional("file", "f_inode"),
        sb_s_fs_info: optional("super_block", "s_fs_info"),
        ext4_sb_journal: optional("ext4_sb_info", "s_journal"),
        ext4_vfs_inode: optional("ext4_inode_info", "vfs_inode"),
        ext4_sync_tid: optional("ext4_inode_info", "i_sync_tid"),
        ext4_datasync_tid: optional("ext4_inode_info", "i_datasync_tid"),
        journal_commit_sequence: optional("journal_s", "j_commit_sequence"),
        journal_running: optional("journal_s", "j_running_transaction"),
        journal_committing: optional("journal_s", "j_committing_transaction"),
        journal_free: optional("journal_s", "j_free"),
        journal_max_buffers: optional("journal_s", "j_max_transaction_buffers"),
        transaction_requested: optional("transaction_s", "t_requested"),
        transaction_expires: optional("transaction_s", "t_expires"),
        transaction_credits: optional("transaction_s", "t_outstanding_credits"),
        xfs_mount_m_log: optional("xfs_mount", "m_log"),
        xlog_l_mp: optional("xlog", "l_mp"),
        xlog_l_work: optional("xlog", "l_work"),
        task_worker_private: optional("task_struct", "worker_private"),
        kthread_data: optional("kthread", "data"),
        worker_current_work: optional("worker", "current_work"),
        btrfs_fs_info_sb: optional("btrfs_fs_info", "sb"),
        btrfs_trans_fs_info: match btf.tracepoint_arg(BTRFS_COMMIT, 0) {
            Some("btrfs_trans_handle") => optional("btrfs_trans_handle", "fs_info"),
            _ => 0,
        },
        btrfs_trans_transaction: optional("btrfs_trans_handle", "transaction"),
        btrfs_transaction_state: optional("btrfs_transaction", "state"),
        btrfs_state_completed: btf.enumerator("TRANS_STATE_COMPLETED").unwrap_or(0),

        cgroup_root: optional("cgroup", "root"),
        root_hierarchy_id: optional("cgroup_root", "hierarchy_id"),
        task_group_leader: member("task_struct", "group_leader")?,
        task_mm: member("task_struct", "mm")?,
        mm_arg_start: member("mm_struct", "arg_start")?,
        mm_arg_end: member("mm_struct", "arg_end")?,
    };
    if layout.bio_bi_bdev == 0 && layout.bio_bi_disk == 0 {
        return Err(LayoutError::Missing("bio.bi_bdev".to_owned()));
    }
    check_reach(&layout)?;
    Ok(drop_incomplete(layout))
}

/// Drops groups of fields of which one is missing. The kernel half follows these pointers
/// without a check of the fields behind them, and the verifier would refuse the whole kernel
/// half. Of counters that belong together, a missing one would be reported as 0.
fn drop_incomplete(mut layout: Layout) -> Layout {
    let l = &mut layout;
    let delays = [
        l.delays_blkio_delay,
        l.delays_swapin_delay,
        l.delays_blkio_count,
        l.delays_swapin_count,
    ];
    clear_unless_all(&mut l.task_delays, &delays);
    let calls = [l.task_wchar, l.task_syscr, l.task_syscw];
    clear_unless_all(&mut l.task_rchar, &calls);
    let bytes = [l.task_write_bytes, l.task_cancelled_write_bytes];
    clear_unless_all(&mut l.task_read_bytes, &bytes);
    let cgroup = [l.cgroup_kn, l.kernfs_node_id];
    clear_unless_all(&mut l.wb_memcg_css, &cgroup);
    clear_unless_all(&mut l.task_cgroups, &cgroup);
    clear_unless_all(&mut l.task_cgroups, &[l.css_set_dfl_cgrp]);
    drop_unknown_causes(l);
    layout
}

/// Drops what makes a file system commit if a field is missing that tells it.
fn drop_unknown_causes(l: &mut Layout) {
    let journal = [
        l.journal_j_dev,
        l.journal_j_fs_dev,
        l.journal_commit_sequence,
        l.journal_running,
        l.journal_committing,
        l.journal_free,
        l.journal_max_buffers,
        l.transaction_expires,
        l.transaction_credits,
    ];
    clear_unless_all(&mut l.transaction_requested, &journal);
    let ext4 = [
        l.file_f_inode,
        l.sb_s_fs_info,
        l.ext4_vfs_inode,
        l.ext4_sync_tid,
        l.ext4_datasync_tid,
    ];
    clear_unless_all(&mut l.ext4_sb_journal, &ext4);
    let worker = [
        l.kthread_data,
        l.worker_current_work,
        l.xfs_mount_m_log,
        l.xlog_l_work,
    ];
    clear_unless_all(&mut l.task_worker_private, &worker);
    let handle = [l.btrfs_trans_transaction, l.btrfs_transaction_state];
    if l.btrfs_trans_fs_info != 0 && (handle.contains(&0) || l.btrfs_state_completed == 0) {
        l.btrfs_fs_info_sb = 0;
    }
}

fn clear_unless_all(field: &mut u32, others: &[u32]) {
    if others.contains(&0) {
        *field = 0;
    }
}

/// Checks that these fields lie within the first bytes of their structs, which are all that
/// the kernel half copies.
fn check_reach(layout: &Layout) -> Result<(), LayoutError> {
    let fields = [
        ("bio_vec.bv_page", layout.bvec_bv_page, 8, BVEC_BYTES),
        ("bio_vec.bv_len", layout.bvec_bv_len, 4, BVEC_BYTES),
        ("bio_vec.bv_offset", layout.bvec_bv_offset, 4, BVEC_BYTES),
        ("page.flags", layout.page_flags, 8, PAGE_BYTES),
        ("page.compound_head", layout.page_compound, 8, PAGE_BYTES),
        ("page.mapping", layout.page_mapping, 8, PAGE_BYTES),
        ("folio.index", layout.folio_index, 8, FOLIO_BYTES),
    ];
    match fields
        .iter()
        .find(|(_, at, size, reach)| at + size > *reach)
    {
        Some((field, at, ..)) => Err(LayoutError::OutOfReach(field, *at)),
        None => Ok(()),
    }
}

/// Which argument of `block_bio_queue` is the bio. Before 5.11 the request queue came first.
fn bio_arg(btf: &Btf) -> Result<u32, LayoutError> {
    match btf.tracepoint_args("block_bio_queue") {
        Some(args) => Ok(u32::from(args > 1)),
        None => Err(LayoutError::Tracepoint("block_bio_queue")),
    }
}

/// The binary logarithm of the number of slots in an xarray node. There are fewer slots with
/// CONFIG_BASE_SMALL.
fn xa_chunk_shift(btf: &Btf) -> Result<u32, LayoutError> {
    let slots = btf.member_offset("xa_node", "slots");
    let behind = btf.member_offset("xa_node", "marks");
    slots
        .zip(behind)
        .and_then(|(slots, behind)| behind.checked_sub(slots)?.checked_div(8)?.checked_ilog2())
        .ok_or_else(|| LayoutError::Missing("xa_node.slots".to_owned()))
}

/// Which argument of `balance_dirty_pages` is the pause. 6.15 moved most other arguments into
/// one struct.
fn pause_arg(btf: &Btf) -> Result<u32, LayoutError> {
    match btf.tracepoint_args("balance_dirty_pages") {
        Some(8) => Ok(6),
        Some(12) => Ok(10),
        Some(_) => Err(LayoutError::Missing(
            "the pause of balance_dirty_pages".to_owned(),
        )),
        None => Err(LayoutError::Tracepoint("balance_dirty_pages")),
    }
}

/// `I_DIRTY_PAGES` of include/linux/fs.h. It is an enumerator since 6.18. Before, it was a
/// macro, which BTF does not contain: bit 2, and bit 5 in 6.12, which renumbered inode states.
/// For the versions between 6.12 and 6.18 it is not known: 0.
fn i_dirty_pages(btf: &Btf, version: Option<(u32, u32)>) -> u32 {
    ["inode_state_flags_t", "inode_state_flags_enum"]
        .iter()
        .find_map(|of| btf.enum_value(of, "I_DIRTY_PAGES"))
        .and_then(|flag| u32::try_from(flag).ok())
        .unwrap_or(match version {
            Some(version) if version < (6, 12) => 1 << 2,
            Some((6, 12)) => 1 << 5,
            _ => 0,
        })
}

/// The offset of the byte that holds a large folio's order, in the folio's second page. Since
/// 6.6 it is the lowest byte of that page's flags (little endian). Before, it was a member of
/// its own, and before 5.18 a member of `struct page`.
fn folio_order(btf: &Btf) -> Result<u32, LayoutError> {
    let of_page = || Some(btf.struct_size("page")? + btf.member_offset("page", "compound_order")?);
    ["_folio_order", "_flags_1"]
        .iter()
        .find_map(|name| btf.member_offset("folio", name))
        .or_else(of_page)
        .ok_or_else(|| LayoutError::Missing("folio._folio_order".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const MACHINE: Machine = Machine {
        page_size: 4096,
        tags: 1 << 20,
        jiffy: Duration::from_millis(4),
        tasks_seen: 1 << 16,
        version: None,
    };

    #[test]
    fn a_tick_has_about_the_same_length_at_every_hz() {
        for (hz, tick_us) in [(100, 20_000), (250, 16_000), (300, 13_333), (1000, 16_000)] {
            let jiffy = Duration::from_secs(1) / hz;
            let machine = Machine { jiffy, ..MACHINE };
            assert_eq!(machine.tick().as_micros(), tick_us, "{hz} Hz");
        }
    }

    /// The values are those that `bpftool btf dump` shows for a 6.18 kernel.
    #[test]
    fn the_running_kernels_layout_is_found() {
        let Ok(btf) = Btf::from_file(Path::new("/sys/kernel/btf/vmlinux")) else {
            eprintln!("skipped: this kernel has no BTF");
            return;
        };
        let layout = match resolve(&btf, &MACHINE) {
            Ok(layout) => layout,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(layout.page_shift, 12);
        assert_eq!(layout.tag_mask, (1 << 20) - 1);
        assert_eq!(layout.page_mapping, 24);
        assert_eq!(layout.page_compound, 8);
        assert_eq!(layout.bio_bi_opf, 16);
    }

    #[test]
    fn a_field_beyond_what_is_copied_is_refused() {
        let layout = Layout {
            page_mapping: 28,
            ..Layout::default()
        };
        let refused = Err(LayoutError::OutOfReach("page.mapping", 28));
        assert_eq!(check_reach(&layout), refused);
    }

    #[test]
    fn a_missing_type_is_named() {
        let empty = [0xeb9fu32 | 1 << 16, 24, 0, 0, 0, 1]
            .map(u32::to_ne_bytes)
            .concat();
        let btf = Btf::parse([empty, vec![0]].concat()).expect("well-formed");
        let error = resolve(&btf, &MACHINE).expect_err("nothing in it");
        assert!(error.to_string().contains("struct page"), "{error}");
    }
}
