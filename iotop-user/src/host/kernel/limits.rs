//! What this kernel can't tell us, though everything runs.

use iotop_common::Layout;

/// In words, for `doctor`; `functions` is whether any was there to be hooked, and
/// `whole_folios` are bits of [`Control::whole_folios`].
///
/// [`Control::whole_folios`]: iotop_common::Control
pub fn of(layout: &Layout, functions: bool, whole_folios: u32) -> Vec<&'static str> {
    [
        (
            !functions,
            "what a cgroup's io.max holds back counts as submitted by a worker, direct I/O as \
             unknown: no function of this kernel tells for whom (CONFIG_BLK_DEV_THROTTLING)",
        ),
        (
            layout.i_dirty_pages == 0 && layout.xa_dirty_marks == 0,
            "whether a file had dirty pages before the start is not known: a page that lost its tag \
             by migration is pre-trace, never Shared",
        ),
        (
            whole_folios != 0,
            "of a file system whose module is not loaded, or whose program was refused, large \
             folios are Shared: which of their pages a task writes is not known. Load btrfs \
             before the start",
        ),
        (
            layout.preemptible != 0,
            "a task may be preempted inside of a tracepoint, and then other tasks' events on that \
             CPU are missed: missed_events counts them. Other programs take the bios and exits, \
             but may not know whose page cache a bio writes",
        ),
        (
            layout.regs_syscall == 0,
            "which system call a task is in is not known, so why it writes is not either",
        ),
        (
            layout.wb_memcg_css == 0,
            "which cgroup a flush is charged to is not known",
        ),
    ]
    .into_iter()
    .filter_map(|(is_so, words)| is_so.then_some(words))
    .collect()
}
