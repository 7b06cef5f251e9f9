//! The rules for a page's tag when a task dirties the page.

use crate::{Tag, Tick, tag::Slot};

/// Keep live tags: the block is already dirty and stays its first dirtier's.
pub const KEEP: u32 = 1 << 0;
/// The folio is under writeback: a bio with older data may still follow.
pub const UNDER_WRITEBACK: u32 = 1 << 1;
/// Clear the tags of the folio's other pages: these pages are clean, and their tags are
/// left over.
pub const CLEAR_OTHERS: u32 = 1 << 2;
/// The task gave pages their tag when its write began. The bits above have the time.
const EARLY: u32 = 1 << 3;
const EARLY_SHIFT: u32 = 4;
/// The bits of the tags' clock that are kept: about a minute.
const EARLY_MASK: u32 = 0xfff;

/// The rule for a task that gave pages their tag early, at this time.
#[inline(always)]
pub const fn early(since: u32) -> u32 {
    EARLY | (since & EARLY_MASK) << EARLY_SHIFT
}

/// Whether a tag was given early.
#[inline(always)]
const fn is_early(old: Tag, slot: Slot, rules: u32) -> bool {
    rules & EARLY != 0
        && old.slot() == slot
        && !old.is_dirty_again()
        && (old.0 >> 16 ^ rules >> EARLY_SHIFT) & EARLY_MASK == 0
}

/// The page's new tag, and what changes in the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retagged {
    /// The tag. The old one, if that stays.
    pub tag: Tag,
    /// 1: the page was given to the task.
    pub took: u32,
    /// 1: the file has one more live tag. The count may be too high, never too low: live
    /// tags would be overlooked.
    pub live: u32,
    /// The page no longer waits for its old owner.
    pub replaced: bool,
}

/// The task of `tag` dirties a page with the tag `old`.
#[inline(always)]
pub const fn retagged(old: Tag, tag: Tag, rules: u32) -> Retagged {
    let stays = Retagged {
        tag: old,
        took: 0,
        live: 0,
        replaced: false,
    };
    let under_writeback = rules & UNDER_WRITEBACK != 0;
    if !old.is_live() {
        Retagged {
            tag,
            took: 1,
            live: 1,
            ..stays
        }
    } else if rules & KEEP != 0 {
        stays
    } else if is_early(old, tag.slot(), rules) || old.slot() == tag.slot() && !under_writeback {
        // The task's write was already recorded for this page.
        Retagged { tag, ..stays }
    } else if under_writeback {
        Retagged {
            tag: Tag::dirtied_again(tag.slot(), Tick(tag.0 >> 16)),
            took: 1,
            live: 0,
            replaced: true,
        }
    } else {
        // The tag is left over. The file that it was counted for is not known.
        Retagged {
            tag,
            took: 1,
            live: 1,
            replaced: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DB: Slot = 7;
    const LOG: Slot = 8;
    const NOW: Tick = Tick(1000);

    fn tag(slot: Slot) -> Tag {
        Tag::dirtied(slot, NOW)
    }

    fn outcome(tag: Tag, took: u32, live: u32, replaced: bool) -> Retagged {
        Retagged {
            tag,
            took,
            live,
            replaced,
        }
    }

    #[test]
    fn a_clean_page_is_its_writers() {
        let done = outcome(tag(DB), 1, 1, false);
        assert_eq!(retagged(Tag::NONE, tag(DB), 0), done);
        assert_eq!(retagged(tag(LOG).submitted(NOW), tag(DB), KEEP), done);
    }

    #[test]
    fn a_dirty_page_stays_its_first_dirtiers() {
        let old = tag(LOG);
        assert_eq!(retagged(old, tag(DB), KEEP), outcome(old, 0, 0, false));
    }

    #[test]
    fn a_page_that_is_dirty_again_before_its_bio_waits_for_two() {
        let again = Tag::dirtied_again(DB, NOW);
        for old in [tag(DB), tag(LOG)] {
            let done = retagged(old, tag(DB), UNDER_WRITEBACK);
            assert_eq!(done, outcome(again, 1, 0, true));
        }
    }

    /// A regression: the tag was marked as dirty again, and its only bio left it pending.
    #[test]
    fn a_page_that_was_given_its_tag_when_the_write_began_waits_for_one() {
        let since = 0x1234;
        let old = Tag::dirtied(DB, Tick(since));
        let rules = UNDER_WRITEBACK | early(since);
        assert_eq!(retagged(old, tag(DB), rules), outcome(tag(DB), 0, 0, false));
        let other_time = UNDER_WRITEBACK | early(since + 1);
        assert!(retagged(old, tag(DB), other_time).tag.is_dirty_again());
    }

    /// A regression: the count fell below the truth, and live tags were overlooked.
    #[test]
    fn a_tag_that_was_left_behind_counts_as_a_new_one_when_it_is_replaced() {
        let done = retagged(tag(LOG), tag(DB), 0);
        assert_eq!(done, outcome(tag(DB), 1, 1, true));
    }
}
