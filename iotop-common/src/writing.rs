//! The range of a file that a task is writing.

use crate::Tick;

/// The pages of a file that a task is writing. If a large folio becomes dirty during the
/// write, these are the pages that the task dirties.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Writing {
    /// The address of the `address_space`; 0: none.
    pub mapping: u64,
    /// The first page's index, modulo 2^32.
    pub first: u32,
    /// The number of pages.
    pub pages: u32,
    /// When the write began, on the tags' clock. May have the bit [`Writing::WHOLE_CALL`].
    pub since: u32,
    /// The number of these pages that were given their tag when the call began.
    pub early: u32,
}

impl Writing {
    /// The pages are all that a system call is about to write, not only those of one folio
    /// that it has just copied data into.
    pub const WHOLE_CALL: u32 = 1 << 31;
    /// The maximum number of pages: more than a system call writes.
    pub const MAX_PAGES: u32 = 1 << 30;
    /// The number of ticks for which data that was copied into a folio counts as what made
    /// the folio dirty. If the folio was clean, the dirty event follows at once.
    const FOLLOWS_TICKS: u32 = 128;

    /// Whether this write may be why a folio becomes dirty now.
    #[inline(always)]
    pub const fn is_current(&self, now: Tick) -> bool {
        self.since & Writing::WHOLE_CALL != 0
            || now.0.wrapping_sub(self.since) & 0xffff <= Writing::FOLLOWS_TICKS
    }

    /// The part of the range that lies in a folio of `pages` pages, which begins at
    /// `index`: its first page and the first page behind it, counted from the folio's
    /// begin. `None` where they do not overlap.
    #[inline(always)]
    pub const fn within(&self, index: u32, pages: u32) -> Option<(u32, u32)> {
        let begin = self.first.wrapping_sub(index).cast_signed();
        let end = begin.wrapping_add(self.pages.cast_signed());
        let from = if begin > 0 { begin.cast_unsigned() } else { 0 };
        let to = if end < 0 {
            0
        } else if end.cast_unsigned() < pages {
            end.cast_unsigned()
        } else {
            pages
        };
        if from < to { Some((from, to)) } else { None }
    }
}

/// The progress of a call when `iomap_iter` fires during it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The position of the next byte.
    pub pos: u64,
    /// The call has ended. If there was no progress and no error, the extent was stale
    /// (`IOMAP_F_STALE`), and the call goes on.
    pub ended: bool,
}

impl Progress {
    /// From `iomap_iter.pos`, `.len` and `.status`. The first two have already moved on.
    #[inline(always)]
    pub const fn since_6_15(pos: u64, len: u64, status: i32) -> Progress {
        Progress {
            pos,
            ended: len == 0 || status < 0,
        }
    }

    /// From `iomap_iter.pos`, `.len` and `.processed`, which is the number of bytes done or
    /// an error.
    #[inline(always)]
    pub const fn before_6_15(pos: u64, len: u64, processed: i64) -> Progress {
        let done = if processed > 0 {
            processed.cast_unsigned()
        } else {
            0
        };
        let left = len.saturating_sub(done);
        Progress {
            pos: pos + done,
            ended: left == 0 || processed < 0,
        }
    }
}

const _: () = assert!(size_of::<Writing>() == 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn writing(first: u32, pages: u32) -> Writing {
        Writing {
            first,
            pages,
            ..Writing::default()
        }
    }

    #[test]
    fn what_is_written_of_a_folio_is_where_both_overlap() {
        assert_eq!(writing(10, 4).within(8, 16), Some((2, 6)));
        assert_eq!(writing(0, 100).within(8, 16), Some((0, 16)));
        assert_eq!(writing(20, 100).within(8, 16), Some((12, 16)));
        assert_eq!(writing(0, 8).within(8, 16), None);
        assert_eq!(writing(24, 8).within(8, 16), None);
        assert_eq!(writing(0, 9).within(8, 1), Some((0, 1)));
    }

    #[test]
    fn page_numbers_may_wrap() {
        assert_eq!(writing(u32::MAX, 3).within(0, 16), Some((0, 2)));
        assert_eq!(writing(1, 3).within(u32::MAX - 15, 16), None);
        assert_eq!(writing(1 << 31, 4).within(0, 16), None);
    }

    #[test]
    fn a_write_that_was_told_of_long_ago_is_not_what_makes_a_folio_dirty_now() {
        let copied = Writing {
            since: 0xfff0,
            ..Writing::default()
        };
        assert!(copied.is_current(Tick(0x1_0010)));
        assert!(!copied.is_current(Tick(0x1_0100)));
        let call = Writing {
            since: 0xfff0 | Writing::WHOLE_CALL,
            ..Writing::default()
        };
        assert!(call.is_current(Tick(0x1_0100)));
    }

    /// A regression: a stale extent was taken for the end, and the rest of the write was
    /// not known.
    #[test]
    fn an_extent_that_was_stale_is_no_end_of_the_call() {
        let stale = Progress::since_6_15(4096, 8192, 0);
        assert_eq!(stale, Progress::before_6_15(4096, 8192, 0));
        assert!(!stale.ended);
        assert_eq!(stale.pos, 4096);
    }

    #[test]
    fn a_call_ends_when_nothing_is_left_or_with_an_error() {
        assert!(Progress::since_6_15(12288, 0, 0).ended);
        assert!(Progress::before_6_15(4096, 8192, 8192).ended);
        let half = Progress::before_6_15(4096, 8192, 4096);
        assert_eq!((half.pos, half.ended), (8192, false));
        let enospc = -28;
        assert!(Progress::since_6_15(8192, 4096, enospc).ended);
        let failed = Progress::before_6_15(8192, 4096, enospc.into());
        assert_eq!((failed.pos, failed.ended), (8192, true));
    }
}
