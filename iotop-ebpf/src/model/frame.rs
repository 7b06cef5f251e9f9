//! Page frames: where the tag of a page lies.

use iotop_common::tag::{CHUNK_SHIFT, TAGS_PER_CHUNK};

use crate::{kernel::layout::layout, maps::TAGS};

/// The number of a page's tag. All `struct page`s lie in one range of addresses, and
/// `tag_mask` covers every page frame, so no two pages share a tag.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Frame(pub u32);

impl Frame {
    /// The frame of a page, by the address of its `struct page`.
    #[inline(always)]
    pub fn of(page: u64) -> Frame {
        Frame((page >> layout!(page_struct_shift)) as u32)
    }

    /// The tag; `None` where the table has no place for it.
    #[inline(always)]
    pub fn tag(self) -> Option<*mut u32> {
        let frame = self.0 & layout!(tag_mask);
        let chunk = TAGS.get_ptr_mut(frame >> CHUNK_SHIFT)?;
        // SAFETY: the index is below the chunk's length.
        Some(unsafe {
            chunk
                .cast::<u32>()
                .add((frame & (TAGS_PER_CHUNK - 1)) as usize)
        })
    }

    /// The tags of this frame and the next one. Only for a frame with an even number.
    #[inline(always)]
    pub fn pair(self) -> Option<*mut u64> {
        let pair = (self.0 & layout!(tag_mask)) >> 1;
        let chunk = TAGS.get_ptr_mut(pair >> (CHUNK_SHIFT - 1))?;
        // SAFETY: the index is below half the chunk's length, and chunks are
        // aligned to 8 bytes.
        Some(unsafe {
            chunk
                .cast::<u64>()
                .add((pair & (TAGS_PER_CHUNK / 2 - 1)) as usize)
        })
    }
}
