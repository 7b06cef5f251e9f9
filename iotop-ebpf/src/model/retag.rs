//! Gives pages of a folio a task's tag.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use iotop_common::{
    Lost, Tag,
    retag::{CLEAR_OTHERS, retagged},
    tag::{Pair, Slot},
};

use super::frame::Frame;
use crate::{
    counters::{add, lose},
    maps::OWNERS,
};

/// Pages of a large folio that are given a tag.
#[repr(C)]
pub struct Retag {
    /// The frame of the folio's first page.
    folio: Frame,
    /// The first page that is given the tag.
    from: u32,
    /// The end of the range: the first page behind it.
    to: u32,
    /// The tag.
    tag: Tag,
    /// What happens to tags that are already there, see [`iotop_common::retag`].
    rules: u32,
    /// The pages counted so far.
    counts: RetagCounts,
    /// The page at which the loop begins, an even one, and the page at which it ends.
    at: u32,
    end: u32,
}

/// The number of pages that took the tag, and the change in the number of live tags.
/// The latter may be too high, never too low: live tags would be overlooked.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RetagCounts {
    pub tagged: u32,
    pub live: u32,
}

impl RetagCounts {
    #[inline(always)]
    fn add(&mut self, tagged: u32, live: u32) {
        self.tagged += tagged;
        self.live += live;
    }
}

/// Pairs of pages in one step of the loop.
const PAIRS: u32 = 8;

impl Retag {
    #[inline(always)]
    pub fn new(folio: Frame, from: u32, to: u32, tag: Tag, rules: u32) -> Retag {
        Retag {
            folio,
            from,
            to,
            tag,
            rules,
            counts: RetagCounts::default(),
            at: 0,
            end: 0,
        }
    }

    /// Visits the folio, which has `pages` pages: a power of two.
    #[inline(always)]
    pub fn run(&mut self, pages: u32) -> RetagCounts {
        (self.at, self.end) = match self.rules & CLEAR_OTHERS {
            0 => (self.from & !1, self.to),
            _ => (0, pages),
        };
        let pairs = (self.end - self.at).div_ceil(2);
        // SAFETY: the callback takes the context it is given here, and the kernel
        // calls it only until bpf_loop returns.
        unsafe {
            bpf_loop(
                pairs.div_ceil(PAIRS),
                step as *mut c_void,
                (&raw mut *self).cast(),
                0,
            );
        }
        self.counts
    }
}

extern "C" fn step(n: u32, retag: *mut Retag) -> i64 {
    // SAFETY: bpf_loop passes the context that `run` gave it.
    let retag = unsafe { &mut *retag };
    let page = retag.at + n * 2 * PAIRS;
    let range = retag.from << 16 | retag.to;
    let rules = retag.rules | retag.end << 16;
    let counts = retag_pages(retag.folio.0, page, range, retag.tag.0, rules);
    retag.counts.add(counts & 0xff, counts >> 8);
    i64::from(page + 2 * PAIRS >= retag.end)
}

/// Visits the pages of one step, from `page` on, and gives the tag to those within
/// `range`: the range's begin is in the upper half, its end in the lower one. The upper
/// half of `rules` is the page where the visit ends.
///
/// Returns the number of pages that took the tag in the lowest eight bits, and the
/// change in the number of live tags in the bits above. A global function, see the
/// crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn retag_pages(folio: u32, page: u32, range: u32, tag: u32, rules: u32) -> u32 {
    let from = (range >> 16).wrapping_sub(page);
    let to = (range & 0xffff).wrapping_sub(page);
    let end = (rules >> 16).wrapping_sub(page);
    let (mut tagged, mut live) = (0, 0);
    for n in 0..PAIRS {
        if 2 * n >= end {
            break;
        }
        let frame = Frame(folio.wrapping_add(page).wrapping_add(2 * n));
        let Some(place) = frame.pair() else {
            lose(Lost::Tags, 2);
            break;
        };
        // By sign bits, without branches: the verifier would follow every combination.
        let inside = |page: u32| (page.wrapping_sub(from) >> 31 ^ 1) & page.wrapping_sub(to) >> 31;
        let which = inside(2 * n) | inside(2 * n + 1) << 1;
        // SAFETY: a map value of one aligned word.
        let none = unsafe { *place } == Pair::NONE.0;
        if none && which == 3 {
            // SAFETY: as above.
            unsafe { *place = Pair::of(Tag(tag)).0 };
            tagged += 2;
            live += 2;
        } else if which != 0 || !none && rules & CLEAR_OTHERS != 0 {
            let counts = retag_pair(frame.0, tag, which, rules);
            tagged += counts & 3;
            live += counts >> 2;
        }
    }
    tagged | live << 8
}

/// Visits two pages, if one of them is not given the tag or already has one. The bits
/// of `which` say which page is given the tag.
///
/// Returns the number of pages that took the tag in the lowest two bits, and the change
/// in the number of live tags in the bits above. A global function, see the crate
/// documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn retag_pair(frame: u32, tag: u32, which: u32, rules: u32) -> u32 {
    let first = retag_one(frame, tag, which & 1, rules);
    let second = retag_one(frame.wrapping_add(1), tag, which >> 1, rules);
    (first & 1) + (second & 1) | ((first >> 2) + (second >> 2)) << 2
}

/// Visits one of the two pages. Returns whether it took the tag in the lowest bit, and
/// the change in the number of live tags from the third bit on.
#[inline(always)]
fn retag_one(frame: u32, tag: u32, inside: u32, rules: u32) -> u32 {
    let Some(place) = Frame(frame).tag() else {
        return 0;
    };
    if inside != 0 {
        let (took, live) = retag_page(place, Tag(tag), rules);
        return took | live << 2;
    }
    if rules & CLEAR_OTHERS == 0 {
        return 0;
    }
    // SAFETY: a map value of one aligned word.
    let old = Tag(unsafe { *place });
    // SAFETY: as above.
    unsafe { *place = Tag::NONE.0 };
    if old.is_live() {
        replaced(old.slot());
    }
    0
}

/// Gives a page its tag. Returns whether it took the tag, and the change in the number
/// of live tags.
#[inline(always)]
pub fn retag_page(place: *mut u32, tag: Tag, rules: u32) -> (u32, u32) {
    // SAFETY: a map value of one aligned word.
    let old = Tag(unsafe { *place });
    let new = retagged(old, tag, rules);
    if new.tag != old {
        // SAFETY: as above.
        unsafe { *place = new.tag.0 };
    }
    if new.replaced {
        replaced(old.slot());
    }
    (new.took, new.live)
}

/// Counts that a page no longer waits for its old owner. Either the page was cleaned
/// and dirtied again before its bio was submitted, or a reused frame kept its tag.
#[inline(always)]
fn replaced(slot: Slot) {
    if let Some(old) = OWNERS.get_ptr_mut(slot) {
        // SAFETY: a map value; only the field's address is taken.
        add(unsafe { &raw mut (*old).cleaned_pages }, 1);
    }
}
