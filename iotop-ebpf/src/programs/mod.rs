//! The entry points. The user half attaches each program by its function's name.
//!
//! | file                       | hooks                                                |
//! |----------------------------|------------------------------------------------------|
//! | [`writeback_dirty_folio`]  | `writeback_dirty_folio`, `writeback_dirty_page`      |
//! | [`ext4_write_end`]         | `ext4_{da_,,journalled_}write_end`                   |
//! | [`iomap_iter`]             | `iomap_iter`                                         |
//! | [`btrfs_set_extent_bit`]   | `btrfs_set_extent_bit`                               |
//! | [`btrfs`]                  | `btrfs_inode_new`, `btrfs_ordered_extent_add`        |
//! | [`block_bio_remap`]        | `block_bio_remap`                                    |
//! | [`blk_throtl_bio`]         | `__blk_throtl_bio`, `blk_throtl_bio`                 |
//! | [`block_bio_queue`]        | `block_bio_queue`                                    |
//! | [`block_bio_complete`]     | `block_bio_complete`                                 |
//! | [`delete_from_page_cache`] | `mm_filemap_delete_from_page_cache`                  |
//! | [`truncate`]               | `ext4_{truncate_enter,punch_hole,zero_range}`,       |
//! |                            | `iomap_invalidate_folio`                             |
//! | [`writeback_work`]         | `writeback_{queue,start,written,pages_written}`      |
//! | [`writeback_single_inode`] | `writeback_single_inode_start`                       |
//! | [`balance_dirty_pages`]    | `balance_dirty_pages`                                |
//! | [`jbd2`]                   | `jbd2_{handle_stats,start_commit,end_commit}`        |
//! | [`xfs`]                  | `xfs_trans_commit`, `xfs_buf_item_{pin,ordered}`, `xfs_inode_pin`, |
//! |                          | `xfs_{setfilesize,unwritten_convert,inode_inactivating}` |
//! | [`xfs_by_number`]        | `xfs_{trans_commit,setfilesize,unwritten_convert}` before 5.11 |
//! | [`sched_process_exit`]     | `sched_process_exit`                                 |
//! | [`sched_process_exec`]     | `sched_process_exec`                                 |
//! | [`cgroup_mkdir`]           | `cgroup_mkdir`                                       |
//! | [`iter_task`]              | a BPF iterator over all tasks                        |
//! | [`commits`]                | what makes ext4, xfs and btrfs commit                |
//! | [`pages_waiting`]          | none: the user half runs it with `BPF_PROG_TEST_RUN` |

mod balance_dirty_pages;
mod blk_throtl_bio;
mod block_bio_complete;
mod block_bio_queue;
mod block_bio_remap;
mod btrfs;
mod btrfs_set_extent_bit;
mod cgroup_mkdir;
mod commits;
mod delete_from_page_cache;
mod ext4_write_end;
mod iomap_iter;
mod iter_task;
mod jbd2;
mod pages_waiting;
mod sched_process_exec;
mod sched_process_exit;
mod truncate;
mod writeback_dirty_folio;
mod writeback_single_inode;
mod writeback_work;
mod xfs;
mod xfs_by_number;
