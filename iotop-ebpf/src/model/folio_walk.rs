//! Sets and takes back the tags of a range of a file, folio by folio.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use iotop_common::{Tag, Writing, retag::KEEP};

use super::{
    folio::nr_folio_pages, frame::Frame, mapping::MappingState, page_cache::CachedFolio,
    retag::Retag,
};

/// A walk over the folios of a range.
#[repr(C)]
pub struct FolioWalk {
    pub mapping: u64,
    /// The next page's index.
    pub at: u64,
    /// The last page's index.
    pub last: u64,
    pub tag: Tag,
    /// The number of pages that were given the tag, or lost it.
    pub pages: u32,
}

/// The pages below one bottom node of the xarray.
const LEAF: u64 = 64;

impl FolioWalk {
    /// Gives the tag to the pages of the dirty large folios that have no live tag.
    #[inline(always)]
    pub fn tag_dirty_folios(&mut self) {
        self.run(tag_step as *mut c_void);
    }

    /// Removes the tag from the pages that still have it.
    #[inline(always)]
    pub fn untag(&mut self) {
        self.run(untag_step as *mut c_void);
    }

    #[inline(always)]
    fn run(&mut self, step: *mut c_void) {
        if self.at > self.last {
            return;
        }
        let most = (self.last - self.at + 1).min(u64::from(Writing::MAX_PAGES));
        // SAFETY: the callback takes the context it is given here, and the kernel
        // calls it only until bpf_loop returns.
        unsafe {
            bpf_loop(most.min(1 << 20) as u32, step, (&raw mut *self).cast(), 0);
        }
    }

    /// The folio at the next page, the number of its pages, and the page's index. `None`
    /// where there is no folio; the walk then continues at the next bottom node.
    #[inline(always)]
    fn next(&mut self) -> Option<(CachedFolio, u32, u32)> {
        let at = self.at as u32;
        let Some(folio) = CachedFolio::at(self.mapping, self.at) else {
            self.at = (self.at | (LEAF - 1)) + 1;
            return None;
        };
        let pages = nr_folio_pages(folio.head, folio.flags);
        let passed = at.wrapping_sub(folio.index);
        self.at += u64::from(pages.saturating_sub(passed).max(1));
        Some((folio, pages, at))
    }
}

/// Gives the tag to the pages of a dirty folio from `first` to `last` that have no live
/// tag. Returns how many took it.
#[inline(always)]
pub fn tag_dirty(
    folio: &CachedFolio,
    pages: u32,
    first: u32,
    last: u32,
    tag: Tag,
    mapping: u64,
) -> u32 {
    let range = Writing {
        first,
        pages: last.wrapping_sub(first).wrapping_add(1),
        ..Writing::default()
    };
    let Some((from, to)) = range.within(folio.index, pages) else {
        return 0;
    };
    let counts = Retag::new(Frame::of(folio.head), from, to, tag, KEEP).run(pages);
    if let Some(state) = MappingState::of(mapping) {
        state.add(counts.live);
    }
    counts.tagged
}

extern "C" fn tag_step(_: u32, walk: *mut FolioWalk) -> i64 {
    // SAFETY: bpf_loop passes the context that `run` gave it.
    let walk = unsafe { &mut *walk };
    if walk.at > walk.last {
        return 1;
    }
    if let Some((folio, pages, at)) = walk.next()
        && pages > 1
        && folio.is_dirty()
    {
        let last = walk.last as u32;
        walk.pages += tag_dirty(&folio, pages, at, last, walk.tag, walk.mapping);
    }
    0
}

extern "C" fn untag_step(_: u32, walk: *mut FolioWalk) -> i64 {
    // SAFETY: as above.
    let walk = unsafe { &mut *walk };
    if walk.at > walk.last {
        return 1;
    }
    let Some(folio) = CachedFolio::at(walk.mapping, walk.at) else {
        walk.at = (walk.at | (LEAF - 1)) + 1;
        return 0;
    };
    let page = Frame::of(folio.head)
        .0
        .wrapping_add((walk.at as u32).wrapping_sub(folio.index));
    walk.at += 1;
    if let Some(place) = Frame(page).tag() {
        // SAFETY: a map value of one aligned word.
        unsafe {
            if *place == walk.tag.0 {
                *place = Tag::NONE.0;
                walk.pages += 1;
            }
        }
    }
    0
}
