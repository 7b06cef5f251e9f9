//! A page enters the page cache: its frame begins anew.

use aya_ebpf::{
    macros::{btf_tracepoint, map},
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use iotop_common::{Tag, tag::Pair};

use crate::{
    kernel::{Typed, layout},
    page::{Frame, LARGE, SINGLE, Visit, nr_cache_pages, visit_tags},
};

/// See [`Typed::number`].
#[map]
static ADDED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// A frame whose page was migrated away keeps that page's tag: no tracepoint
/// tells of it. The page was charged without its tag, or will be, so the tag
/// is cleared and nothing counted.
#[btf_tracepoint(function = "mm_filemap_add_to_page_cache")]
pub fn folio_added(ctx: BtfTracePointContext) -> i32 {
    clear::<LARGE>(Typed::arg(&ctx, 0));
    0
}

/// The same before 5.18.
#[btf_tracepoint(function = "mm_filemap_add_to_page_cache")]
pub fn page_added(ctx: BtfTracePointContext) -> i32 {
    clear::<SINGLE>(Typed::arg(&ctx, 0));
    0
}

#[inline(always)]
fn clear<const FOLIOS: bool>(folio: Typed) -> Option<()> {
    let flags: u64 = folio.field(layout!(page_flags));
    let folio = folio.number(ADDED.get_ptr_mut(0)?);
    let pages = nr_cache_pages::<FOLIOS>(folio, flags);
    visit_tags::<FOLIOS, _>(folio, pages, &mut Clear);
    Some(())
}

struct Clear;

impl Visit for Clear {
    #[inline(always)]
    fn tag(&mut self, place: *mut u32) {
        // SAFETY: a map value; the folio is locked and nobody else has it.
        unsafe {
            if *place != Tag::NONE.0 {
                *place = Tag::NONE.0;
            }
        }
    }

    #[inline(always)]
    fn pair(&mut self, place: *mut u64, _: Frame) {
        // SAFETY: as above.
        unsafe {
            if *place != Pair::NONE.0 {
                *place = Pair::NONE.0;
            }
        }
    }
}
