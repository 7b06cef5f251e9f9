//! Gives the pages of a folio their tag.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use iotop_common::{
    Lost, Tag,
    retag::{CLEAR_OTHERS, retagged},
    tag::{Pair, Slot},
};

use crate::{
    count::{add, lose},
    maps::OWNERS,
    page::Frame,
};

/// Pages of a large folio that are given a tag.
#[repr(C)]
pub struct Retag {
    /// The frame of the folio's first page.
    pub folio: Frame,
    /// Which pages: from this one
    pub from: u32,
    /// to before this one.
    pub to: u32,
    /// The tag.
    pub tag: Tag,
    /// What is done with tags that are there, see [`iotop_common::retag`].
    pub rules: u32,
    /// How it went.
    pub done: Done,
    /// The page at which the loop begins, an even one, and the one where it ends.
    at: u32,
    end: u32,
}

/// How many pages took the tag, and the change in the number of live tags. It may be
/// counted too high, never too low: then live tags would not be looked for.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Done {
    pub tagged: u32,
    pub live: u32,
}

impl Done {
    #[inline(always)]
    fn count(&mut self, tagged: u32, live: u32) {
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
            done: Done::default(),
            at: 0,
            end: 0,
        }
    }

    /// Goes over the folio, of so many pages: a power of two.
    #[inline(always)]
    pub fn run(&mut self, pages: u32) -> Done {
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
        self.done
    }
}

extern "C" fn step(n: u32, retag: *mut Retag) -> i64 {
    // SAFETY: bpf_loop passes the context that `run` gave it.
    let retag = unsafe { &mut *retag };
    let page = retag.at + n * 2 * PAIRS;
    let range = retag.from << 16 | retag.to;
    let rules = retag.rules | retag.end << 16;
    let done = retag_pages(retag.folio.0, page, range, retag.tag.0, rules);
    retag.done.count(done & 0xff, done >> 8);
    i64::from(page + 2 * PAIRS >= retag.end)
}

/// The pages of a folio from `page` on, as many as one step has: those within `range`
/// (from, in the upper half, to) are given the tag. The upper half of `rules` is where
/// the folio ends, or what is to be looked at of it. Returns how many took it, and in
/// the bits above the lowest eight, how many live tags there are more. A global
/// function is verified once, on its own.
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
        // By signs, not by branches: the verifier would follow every combination.
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
            let done = retag_pair(frame.0, tag, which, rules);
            tagged += done & 3;
            live += done >> 2;
        }
    }
    tagged | live << 8
}

/// Two pages of which one is not given the tag, or has one already: `which` are the
/// bits of those that are. Returns how many took it, and in the bits above the lowest
/// two, how many live tags there are more. A global function is verified once,
/// on its own.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn retag_pair(frame: u32, tag: u32, which: u32, rules: u32) -> u32 {
    let first = retag_one(frame, tag, which & 1, rules);
    let second = retag_one(frame.wrapping_add(1), tag, which >> 1, rules);
    (first & 1) + (second & 1) | ((first >> 2) + (second >> 2)) << 2
}

/// One of them: whether it took the tag, and how many live tags there are more.
#[inline(always)]
fn retag_one(frame: u32, tag: u32, inside: u32, rules: u32) -> u32 {
    let Some(place) = Frame(frame).tag() else {
        return 0;
    };
    if inside != 0 {
        let (took, more) = retag_page(place, Tag(tag), rules);
        return took | more << 2;
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

/// Gives a page its tag; returns whether it took it, and how many live tags there
/// are more.
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

/// The page was cleaned and made dirty again before its bio was submitted, or a
/// reused frame kept its tag: either way the old owner waits for it no longer.
#[inline(always)]
fn replaced(slot: Slot) {
    if let Some(old) = OWNERS.get_ptr_mut(slot) {
        // SAFETY: a map value; only the field's address is taken.
        add(unsafe { &raw mut (*old).cleaned_pages }, 1);
    }
}
