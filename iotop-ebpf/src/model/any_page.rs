//! From the number of a page frame back to the address of its `struct page`.

use aya_ebpf::{macros::map, maps::Array};

use crate::kernel::{layout::layout, memory::try_read};

/// The address of some page. All `struct page`s lie in one range.
#[map]
static ANY_PAGE: Array<u64> = Array::with_max_entries(1, 0);

/// Records the address of a page, if none is recorded yet.
#[inline(always)]
pub fn record(page: u64) {
    if let Some(any) = ANY_PAGE.get_ptr_mut(0) {
        // SAFETY: a map value of one aligned word; any page will do.
        unsafe {
            if *any == 0 {
                *any = page;
            }
        }
    }
}

/// The address of the page with this frame number.
#[inline(always)]
pub fn page_at(frame: u64) -> Option<u64> {
    let any = ANY_PAGE.get(0).copied()?;
    let span = (u64::from(layout!(tag_mask)) + 1) << layout!(page_struct_shift);
    // The range of `struct page`s may begin anywhere. If there is no page in this span,
    // it is in the neighbouring one.
    let mut page = any & !(span - 1) | frame << layout!(page_struct_shift);
    if try_read::<u64>(page, 0).is_none() {
        page = if page > any { page - span } else { page + span };
    }
    let _ = try_read::<u64>(page, 0)?;
    Some(page)
}
