//! Keeps a program from running twice at once on one CPU, where the kernel does
//! not (before 6.1): an interrupt that submits a bio amid the submission of
//! another one would find its per-CPU memory in use.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use iotop_common::Lost;

use crate::{count::lose, kernel::layout};

/// Whether `bio_of_pages_submitted` runs.
#[map]
static RUNS_NOW: PerCpuArray<u32> = PerCpuArray::with_max_entries(1, 0);

/// Whether the program may go on; then it has to [`leave`].
#[inline(always)]
pub fn enter() -> bool {
    if layout!(runs_once) != 0 {
        return true;
    }
    let Some(runs) = RUNS_NOW.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: a map value of this CPU; an interrupt leaves it as it was.
    unsafe {
        if *runs != 0 {
            lose(Lost::Nested, 1);
            return false;
        }
        *runs = 1;
    }
    true
}

/// The program has ended.
#[inline(always)]
pub fn leave() {
    if layout!(runs_once) == 0
        && let Some(runs) = RUNS_NOW.get_ptr_mut(0)
    {
        // SAFETY: as above.
        unsafe { *runs = 0 };
    }
}
