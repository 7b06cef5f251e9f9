//! The walk over a bio's pages: one flat loop.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;

use super::walker::Walker;

/// More steps than a bio can have pages: `bi_size` is 32 bits.
const MAX_STEPS: u32 = 1 << 20;
/// Without `bpf_loop`: the steps in a row, and the number of rows. That is 65,536 pages.
/// The verifier accepts 8,192 calls in a row.
const ROW: u32 = 256;

/// Charges every page of the write that was begun.
#[inline(always)]
pub fn all<const ORDER: u32>() -> Option<()> {
    let mut walker = Walker::of_this_cpu(ORDER)?;
    // SAFETY: the callback takes the context it is given here, and the kernel
    // calls it only until bpf_loop returns.
    unsafe {
        bpf_loop(MAX_STEPS, step as *mut c_void, (&raw mut walker).cast(), 0);
    }
    walker.end();
    Some(())
}

/// The same on a kernel without `bpf_loop`. Charges nothing if no walk was begun.
#[inline(always)]
pub fn all_by_calls() -> Option<()> {
    for _ in 0..ROW {
        if walk_row() == 0 {
            break;
        }
    }
    Walker::of_this_cpu(0)?.end();
    Some(())
}

/// Charges the next pages; 0 when none are left. A global function, see the crate
/// documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn walk_row() -> u32 {
    for _ in 0..ROW {
        if walk_page() == 0 {
            return 0;
        }
    }
    1
}

/// Charges the next page; 0 when none is left. A global function, see the crate
/// documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn walk_page() -> u32 {
    let Some(mut walker) = Walker::of_this_cpu(0) else {
        return 0;
    };
    if walker.has_bytes_left() && walker.pages().is_none() {
        walker.give_up();
    }
    u32::from(walker.has_bytes_left())
}

/// One step of the loop: charges some pages of one folio.
extern "C" fn step(_: u32, walker: *mut Walker) -> i64 {
    // SAFETY: bpf_loop passes the context that `all` gave it.
    let walker = unsafe { &mut *walker };
    match walker.pages() {
        Some(()) if walker.has_bytes_left() => 0,
        _ => 1,
    }
}
