//! What this kernel can't report although all programs run.

use iotop_common::Layout;

/// The limits as text, for `doctor`. `functions` is true if there was any function to hook,
/// and `whole_folios` are bits of [`Control::whole_folios`].
///
/// [`Control::whole_folios`]: iotop_common::Control
pub fn of(layout: &Layout, functions: bool, whole_folios: u32) -> Vec<&'static str> {
    [
        (
            !functions,
            "a bio that a cgroup's io.max holds back counts as submitted by a kworker, and as \
             unknown if it is direct I/O: this kernel has no function that reports the task \
             (CONFIG_BLK_DEV_THROTTLING)",
        ),
        (
            layout.i_dirty_pages == 0 && layout.xa_dirty_marks == 0,
            "it is unknown whether a file had dirty pages before the trace: a page that lost its \
             tag by migration counts as pre-trace, never as Shared",
        ),
        (
            whole_folios != 0,
            "large folios of a file system count as Shared if its module is not loaded, or if its \
             program was refused: it is unknown which of their pages a task writes. Load the btrfs \
             module before you start iotop-trace",
        ),
        (
            layout.preemptible != 0,
            "a task may be preempted inside a tracepoint, and other tasks' events on that CPU are \
             then missed: missed_events counts them. Other programs handle the missed bios and \
             exits, but may not know which task dirtied the pages of such a bio",
        ),
        (
            layout.regs_syscall == 0,
            "it is unknown which system call a task is in, and therefore why it writes",
        ),
        (
            layout.wb_memcg_css == 0,
            "it is unknown which cgroup a flush is charged to",
        ),
    ]
    .into_iter()
    .filter_map(|(applies, text)| applies.then_some(text))
    .collect()
}
