//! The range of a file that a task is writing.

use crate::Tick;

/// The pages of a file that a task is writing: of a large folio that becomes dirty
/// amid it, these are the pages that the task makes dirty.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Writing {
    /// The address of the `address_space`; 0: none.
    pub mapping: u64,
    /// The first page's index, modulo 2^32.
    pub first: u32,
    /// How many pages.
    pub pages: u32,
    /// Since when, on the tags' clock; [`Writing::WHOLE_CALL`] besides.
    pub since: u32,
    /// How many of them were given their tag when the call began.
    pub early: u32,
}

impl Writing {
    /// They are all that a system call is about to write, not only what it has just
    /// copied into one folio.
    pub const WHOLE_CALL: u32 = 1 << 31;
    /// How many pages are looked at: more than a system call writes.
    pub const MAX_PAGES: u32 = 1 << 30;
    /// For so many ticks what was copied into a folio counts as what made it dirty:
    /// the event follows at once, if the folio was clean.
    const FOLLOWS_TICKS: u32 = 128;

    /// Whether a folio that becomes dirty now may do so because of it.
    #[inline(always)]
    pub const fn is_current(&self, now: Tick) -> bool {
        self.since & Writing::WHOLE_CALL != 0
            || now.0.wrapping_sub(self.since) & 0xffff <= Writing::FOLLOWS_TICKS
    }

    /// Those of them that lie in a folio of `pages` pages that begins at `index`:
    /// from the first one to before the last one, counted from the folio's begin.
    /// Nothing where none does.
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

/// How far a call has come when `iomap_iter` fires in the middle of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Where it goes on, in bytes.
    pub pos: u64,
    /// How many bytes are left.
    pub left: u64,
    /// The call is over. Without progress and without an error the extent was found to
    /// be stale (`IOMAP_F_STALE`), and the call goes on.
    pub ended: bool,
}

impl Progress {
    /// `iomap_iter.pos`, `.len` and `.status`: the first two have moved on already.
    #[inline(always)]
    pub const fn since_6_15(pos: u64, len: u64, status: i32) -> Progress {
        Progress {
            pos,
            left: len,
            ended: len == 0 || status < 0,
        }
    }

    /// `iomap_iter.pos`, `.len` and `.processed`: bytes done or an error.
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
            left,
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

    /// It was taken for the end: what followed belonged to no write that was known.
    #[test]
    fn an_extent_that_was_stale_is_no_end_of_the_call() {
        let stale = Progress::since_6_15(4096, 8192, 0);
        assert_eq!(stale, Progress::before_6_15(4096, 8192, 0));
        assert!(!stale.ended);
        assert_eq!((stale.pos, stale.left), (4096, 8192));
    }

    #[test]
    fn a_call_ends_when_nothing_is_left_or_with_an_error() {
        assert!(Progress::since_6_15(12288, 0, 0).ended);
        assert!(Progress::before_6_15(4096, 8192, 8192).ended);
        let half = Progress::before_6_15(4096, 8192, 4096);
        assert_eq!((half.pos, half.left, half.ended), (8192, 4096, false));
        let enospc = -28;
        assert!(Progress::since_6_15(8192, 4096, enospc).ended);
        let failed = Progress::before_6_15(8192, 4096, enospc.into());
        assert_eq!((failed.pos, failed.left, failed.ended), (8192, 4096, true));
    }
}
