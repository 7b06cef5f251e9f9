//! Keeps `bio_of_pages_submitted` from running twice at once on one CPU. Before 6.1 the
//! kernel itself does not: an interrupt may submit a bio while another one is being
//! submitted, and would find the program's per-CPU memory in use.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use iotop_common::Lost;

use crate::{counters::lose, kernel::layout::layout};

/// 1 while `bio_of_pages_submitted` runs.
#[map]
static RUNS_NOW: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

/// Whether the program may go on. If so, it must call [`leave`] at the end.
#[inline(always)]
pub fn enter() -> bool {
    if layout!(runs_once) != 0 {
        return true;
    }
    let Some(runs) = RUNS_NOW.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: a map value of this CPU; an interrupt restores it before it returns.
    unsafe {
        if *runs != 0 {
            lose(Lost::Nested, 1);
            return false;
        }
        *runs = 1;
    }
    true
}

/// Marks the end of the program.
#[inline(always)]
pub fn leave() {
    if layout!(runs_once) == 0
        && let Some(runs) = RUNS_NOW.get_ptr_mut(0)
    {
        // SAFETY: as above.
        unsafe { *runs = 0 };
    }
}
