//! Where the fields lie that the kernel half reads in the running kernel.
//!
//! The user half resolves every field from the kernel's own BTF. It freezes the struct
//! into the object before it loads the object. So the verifier knows each value, and
//! drops the branches that this kernel does not need. All offsets are bytes.

/// The bytes of a `struct page` that the kernel half copies at once.
pub const PAGE_BYTES: u32 = 32;
/// The bytes of a `struct folio` that it copies at once.
pub const FOLIO_BYTES: u32 = 64;
/// The bytes of a `struct bio_vec` that it copies at once.
pub const BVEC_BYTES: u32 = 16;

/// The kernel's layout, as the `LAYOUT` global of the kernel half.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `log2(sizeof(struct page))`.
    pub page_struct_shift: u32,
    /// `log2` of the page size.
    pub page_shift: u32,
    /// Tags are indexed by (page address >> `page_struct_shift`) & this.
    pub tag_mask: u32,
    /// A tick of the tags' clock is the number of jiffies, shifted right by this.
    pub tick_shift: u32,
    /// The number of the bio among `block_bio_queue`'s arguments (1 before 5.11).
    pub bio_arg: u32,

    /// 1 where the kernel itself keeps a program from running twice at once on one CPU
    /// (6.1, `bpf_prog_inc_misses_counter`).
    pub runs_once: u32,
    /// 1 where a task may be preempted inside a tracepoint (7.x). The kernel then skips
    /// the program for other tasks' events on that CPU.
    pub preemptible: u32,
    /// 1 where the kernel has `bpf_get_current_task_btf` (5.11).
    pub current_is_typed: u32,

    /// `bio.bi_bdev`; 0 where bios have `bi_disk` instead (before 5.12).
    pub bio_bi_bdev: u32,
    /// `bio.bi_disk`.
    pub bio_bi_disk: u32,
    /// `bio.bi_partno`; 0 where bios have `bi_bdev`.
    pub bio_bi_partno: u32,
    /// `bio.bi_flags`, of two bytes.
    pub bio_bi_flags: u32,
    /// The bit `BIO_TRACE_COMPLETION` of `bi_flags`: `block_bio_queue` has fired. A bit
    /// outside `bi_flags` where it is not known.
    pub bio_queued: u32,
    /// `gendisk.major`.
    pub disk_major: u32,
    /// `gendisk.first_minor`.
    pub disk_first_minor: u32,
    /// `bio.bi_opf`.
    pub bio_bi_opf: u32,
    /// `bio.bi_iter.bi_sector`.
    pub bio_bi_sector: u32,
    /// `bio.bi_iter.bi_size`.
    pub bio_bi_size: u32,
    /// `bio.bi_iter.bi_idx`.
    pub bio_bi_idx: u32,
    /// `bio.bi_iter.bi_bvec_done`.
    pub bio_bi_bvec_done: u32,
    /// `bio.bi_io_vec`.
    pub bio_bi_io_vec: u32,
    /// `sizeof(struct bio_vec)`.
    pub bvec_size: u32,
    /// `bio_vec.bv_page`.
    pub bvec_bv_page: u32,
    /// `bio_vec.bv_len`.
    pub bvec_bv_len: u32,
    /// `bio_vec.bv_offset`.
    pub bvec_bv_offset: u32,
    /// `block_device.bd_dev`.
    pub bdev_bd_dev: u32,

    /// `1 << __REQ_META`.
    pub req_meta: u32,
    /// `1 << __REQ_SWAP`.
    pub req_swap: u32,
    /// `1 << __REQ_NOWAIT`.
    pub req_nowait: u32,
    /// `bio.bi_status`, of one byte.
    pub bio_bi_status: u32,

    /// `page.flags`.
    pub page_flags: u32,
    /// `page.compound_head`, since 7.2 `page.compound_info`.
    pub page_compound: u32,
    /// 1 where `page_compound` may be a mask that gives the head's address (7.2).
    pub compound_may_be_mask: u32,
    /// `page.mapping`.
    pub page_mapping: u32,
    /// `folio._nr_pages`; 0 where the kernel does not have it.
    pub folio_nr_pages: u32,
    /// The byte that holds a large folio's order.
    pub folio_order: u32,
    /// `PG_head`, the bit's number.
    pub pg_head: u32,
    /// `PG_writeback`, the bit's number.
    pub pg_writeback: u32,
    /// `PG_dirty`, the bit's number.
    pub pg_dirty: u32,

    /// `address_space.host`.
    pub mapping_host: u32,
    /// `inode.i_data`.
    pub inode_i_data: u32,
    /// `inode.i_ino`.
    pub inode_i_ino: u32,
    /// `inode.i_sb`.
    pub inode_i_sb: u32,
    /// `inode.i_state`.
    pub inode_i_state: u32,
    /// `I_DIRTY_PAGES`; 0 where this kernel's value is not known.
    pub i_dirty_pages: u32,
    /// `super_block.s_dev`.
    pub sb_s_dev: u32,
    /// `super_block.s_type`.
    pub sb_s_type: u32,
    /// `super_block.s_magic`.
    pub sb_s_magic: u32,
    /// `file_system_type.fs_flags`.
    pub fs_type_fs_flags: u32,

    /// `task_struct.flags`.
    pub task_flags: u32,
    /// `task_struct.tgid`.
    pub task_tgid: u32,
    /// `task_struct.real_parent`.
    pub task_real_parent: u32,
    /// `task_struct.start_boottime`.
    pub task_start_boottime: u32,
    /// `task_struct.pid`, what userspace calls TID.
    pub task_pid: u32,
    /// `task_struct.comm`.
    pub task_comm: u32,
    /// `task_struct.on_cpu`; 0 where the kernel does not have it.
    pub task_on_cpu: u32,
    /// `task_struct.nvcsw`.
    pub task_nvcsw: u32,
    /// `task_struct.nivcsw`.
    pub task_nivcsw: u32,
    /// `task_struct.cred`.
    pub task_cred: u32,
    /// `cred.euid`.
    pub cred_euid: u32,
    /// `task_struct.cgroups`; 0 without cgroups.
    pub task_cgroups: u32,
    /// `css_set.dfl_cgrp`.
    pub css_set_dfl_cgrp: u32,
    /// `cgroup.kn`.
    pub cgroup_kn: u32,
    /// `kernfs_node.id`.
    pub kernfs_node_id: u32,

    /// `task_struct.ioac.rchar` and the three that follow it; 0 without
    /// CONFIG_TASK_XACCT.
    pub task_rchar: u32,
    /// `task_struct.ioac.wchar`.
    pub task_wchar: u32,
    /// `task_struct.ioac.syscr`.
    pub task_syscr: u32,
    /// `task_struct.ioac.syscw`.
    pub task_syscw: u32,
    /// `task_struct.ioac.read_bytes` and the two that follow it; 0 without
    /// CONFIG_TASK_IO_ACCOUNTING.
    pub task_read_bytes: u32,
    /// `task_struct.ioac.write_bytes`.
    pub task_write_bytes: u32,
    /// `task_struct.ioac.cancelled_write_bytes`.
    pub task_cancelled_write_bytes: u32,
    /// `task_struct.delays`; 0 without CONFIG_TASK_DELAY_ACCT.
    pub task_delays: u32,
    /// `task_delay_info.blkio_delay`.
    pub delays_blkio_delay: u32,
    /// `task_delay_info.swapin_delay`.
    pub delays_swapin_delay: u32,
    /// `task_delay_info.blkio_count`.
    pub delays_blkio_count: u32,
    /// `task_delay_info.swapin_count`.
    pub delays_swapin_count: u32,
    /// `wb_writeback_work.reason`.
    pub work_reason: u32,
    /// `wb_writeback_work.nr_pages`.
    pub work_nr_pages: u32,
    /// `bdi_writeback.memcg_css`; 0 without CONFIG_CGROUP_WRITEBACK.
    pub wb_memcg_css: u32,
    /// `cgroup_subsys_state.cgroup`.
    pub css_cgroup: u32,
    /// The number of the pause among `balance_dirty_pages`'s arguments.
    pub pause_arg: u32,
    /// `pt_regs.orig_ax`, or its counterpart on another architecture; 0 where it is not
    /// known.
    pub regs_syscall: u32,
    /// `task_struct.stack_vm_area` where the kernel does not have `bpf_task_pt_regs`
    /// (before 5.15), else 0.
    pub task_stack_vm_area: u32,
    /// `task_struct.stack`.
    pub task_stack: u32,
    /// `vm_struct.nr_pages`.
    pub vm_nr_pages: u32,
    /// `sizeof(struct pt_regs)`. The registers lie at the top of a task's stack.
    pub regs_size: u32,
    /// `inode.i_generation`.
    pub inode_i_generation: u32,
    /// `dentry.d_name.hash`.
    pub dentry_hash: u32,
    /// `inode.i_dentry`.
    pub inode_i_dentry: u32,
    /// `dentry.d_u.d_alias`.
    pub dentry_d_alias: u32,
    /// `dentry.d_parent`.
    pub dentry_d_parent: u32,
    /// `dentry.d_name.name`.
    pub dentry_name: u32,
    /// `SEEN` is indexed by tid & this.
    pub seen_mask: u32,
    /// `PG_locked`, the bit's number.
    pub pg_locked: u32,
    /// `folio.index`, before 5.16 `page.index`.
    pub folio_index: u32,
    /// `address_space.i_pages.xa_head`.
    pub mapping_xa_head: u32,
    /// `address_space.i_pages.xa_flags`.
    pub mapping_xa_flags: u32,
    /// The bits of `xa_flags` that say that some page is dirty, under writeback or about
    /// to be (6.12); 0 where they are not known.
    pub xa_dirty_marks: u32,
    /// `xa_node.shift`, of one byte.
    pub xa_node_shift: u32,
    /// `xa_node.slots`.
    pub xa_node_slots: u32,
    /// `log2` of the number of slots of an `xa_node` (`XA_CHUNK_SHIFT`).
    pub xa_chunk_shift: u32,
    /// `inode.i_size`.
    pub inode_i_size: u32,
    /// `iomap_iter.inode`.
    pub iter_inode: u32,
    /// `iomap_iter.pos`.
    pub iter_pos: u32,
    /// `iomap_iter.len`.
    pub iter_len: u32,
    /// `iomap_iter.flags`.
    pub iter_flags: u32,
    /// `iomap_iter.iomap.length`.
    pub iter_iomap_length: u32,
    /// `iomap_iter.processed`; 0 where `pos` has already moved on (since 6.15).
    pub iter_processed: u32,
    /// `iomap_iter.status`, since 6.15.
    pub iter_status: u32,
    /// `extent_io_tree.inode`.
    pub extent_tree_inode: u32,
    /// `btrfs_inode.vfs_inode`.
    pub btrfs_vfs_inode: u32,
    /// `EXTENT_DELALLOC`; 0 where it is not known.
    pub extent_delalloc: u32,

    /// `bio.bi_private`.
    pub bio_bi_private: u32,
    /// `1 << __REQ_IDLE`.
    pub req_idle: u32,
    /// `inode.i_rdev`.
    pub inode_i_rdev: u32,
    /// `journal_s.j_fs_dev`; 0 without jbd2, as the next two.
    pub journal_j_fs_dev: u32,
    /// `journal_s.j_dev`.
    pub journal_j_dev: u32,
    /// `transaction_s.t_tid`.
    pub transaction_t_tid: u32,
    /// `sizeof(struct trace_entry)`: where the fields of a tracepoint's record begin.
    pub trace_entry_size: u32,
    /// `xfs_trans.t_mountp`; 0 where xfs's types are not known, as all that follow.
    pub xfs_trans_t_mountp: u32,
    /// `xfs_mount.m_super`.
    pub xfs_mount_m_super: u32,
    /// `xfs_mount.m_logdev_targp`.
    pub xfs_mount_m_logdev_targp: u32,
    /// `xfs_buftarg.bt_dev`.
    pub xfs_buftarg_bt_dev: u32,
    /// `xfs_buf.b_target`.
    pub xfs_buf_b_target: u32,
    /// `xfs_buf_log_item.bli_buf`.
    pub xfs_buf_log_item_bli_buf: u32,
    /// `xfs_inode.i_vnode`.
    pub xfs_inode_i_vnode: u32,
    /// `xfs_inode.i_itemp`.
    pub xfs_inode_i_itemp: u32,
    /// `xfs_inode_log_item.ili_item.li_buf`.
    pub xfs_inode_log_item_li_buf: u32,
    /// `btrfs_inode.vfs_inode` where `btrfs_inode_new` passes a `btrfs_inode`, else 0.
    pub btrfs_inode_new_vfs_inode: u32,
    /// The number of fsync(2).
    pub sys_fsync: u32,
    /// The number of fdatasync(2).
    pub sys_fdatasync: u32,
    /// The number of sync(2).
    pub sys_sync: u32,
    /// The number of syncfs(2).
    pub sys_syncfs: u32,
    /// The number of umount2(2).
    pub sys_umount2: u32,

    /// `file.f_inode`.
    pub file_f_inode: u32,
    /// `super_block.s_fs_info`.
    pub sb_s_fs_info: u32,
    /// `ext4_sb_info.s_journal`; 0 where the types of ext4 are not known.
    pub ext4_sb_journal: u32,
    /// `ext4_inode_info.vfs_inode`.
    pub ext4_vfs_inode: u32,
    /// `ext4_inode_info.i_sync_tid`.
    pub ext4_sync_tid: u32,
    /// `ext4_inode_info.i_datasync_tid`.
    pub ext4_datasync_tid: u32,
    /// `journal_s.j_commit_sequence`.
    pub journal_commit_sequence: u32,
    /// `journal_s.j_running_transaction`.
    pub journal_running: u32,
    /// `journal_s.j_committing_transaction`.
    pub journal_committing: u32,
    /// `journal_s.j_free`.
    pub journal_free: u32,
    /// `journal_s.j_max_transaction_buffers`.
    pub journal_max_buffers: u32,
    /// `transaction_s.t_requested`; 0 where the types of jbd2 are not known.
    pub transaction_requested: u32,
    /// `transaction_s.t_expires`.
    pub transaction_expires: u32,
    /// `transaction_s.t_outstanding_credits`.
    pub transaction_credits: u32,
    /// `xfs_mount.m_log`.
    pub xfs_mount_m_log: u32,
    /// `xlog.l_mp`, the first field on every kernel so far.
    pub xlog_l_mp: u32,
    /// `xlog.l_work`, the periodic work.
    pub xlog_l_work: u32,
    /// `task_struct.worker_private`; 0 where it is not known how to find a kworker's work.
    pub task_worker_private: u32,
    /// `kthread.data`.
    pub kthread_data: u32,
    /// `worker.current_work`.
    pub worker_current_work: u32,
    /// `btrfs_fs_info.sb`; 0 where the types of btrfs are not known.
    pub btrfs_fs_info_sb: u32,
    /// `btrfs_trans_handle.fs_info` where `btrfs_transaction_commit` passes a handle (7.x),
    /// else 0.
    pub btrfs_trans_fs_info: u32,
    /// `btrfs_trans_handle.transaction`.
    pub btrfs_trans_transaction: u32,
    /// `btrfs_transaction.state`.
    pub btrfs_transaction_state: u32,
    /// `TRANS_STATE_COMPLETED`.
    pub btrfs_state_completed: u32,

    /// `cgroup.root`; 0 without cgroups.
    pub cgroup_root: u32,
    /// `cgroup_root.hierarchy_id`; 0 in the version 2 hierarchy.
    pub root_hierarchy_id: u32,
    /// `task_struct.group_leader`.
    pub task_group_leader: u32,
    /// `task_struct.mm`.
    pub task_mm: u32,
    /// `mm_struct.arg_start`.
    pub mm_arg_start: u32,
    /// `mm_struct.arg_end`.
    pub mm_arg_end: u32,
}
