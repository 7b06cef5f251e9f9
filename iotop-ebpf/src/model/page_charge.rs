//! Charges a page-cache page by its tag.

use iotop_common::{
    Class, Lost, Tag, Tick,
    owner::{MAPPING_BDEV, MAPPING_BTREE, MAPPING_HOME},
    tag::{SLOT_NONE, SUBMITTED_ANSWERS_TICKS},
};

use super::{
    charge::Charge, frame::Frame, inode::Inode, last_dirtier::last_dirtier, mapping::MappingState,
};
use crate::counters::lose;

/// The charge of one page.
pub struct PageCharge {
    pub charge: Charge,
    /// The live tag that was taken: the page waited for this bio. `Tag::NONE` where the
    /// page was submitted before, or has lost its tag.
    pub taken: Tag,
}

/// Takes a page-cache page's tag.
///
/// The tag stays live where the page is dirty again: it describes the data that is
/// written next time. It also stays live, marked in the same way, in a bio of a
/// journal's log (`keep`): logged data still has to be written to its home.
#[inline(always)]
pub fn take_tag(page: u64, mapping: u64, keep: bool, now: Tick) -> Option<PageCharge> {
    let not_taken = |charge| {
        Some(PageCharge {
            charge,
            taken: Tag::NONE,
        })
    };
    let Some(place) = Frame::of(page).tag() else {
        lose(Lost::Tags, 1);
        return not_taken(Charge::to(SLOT_NONE, Class::Overflow));
    };
    // SAFETY: a map value of one aligned word.
    let tag = Tag(unsafe { *place });
    if tag.is_live() {
        let charge = Charge::by_slot(tag.slot());
        if keep {
            let logged = Tag::dirtied_again(tag.slot(), tag.waits_on(now).since());
            // SAFETY: as above.
            unsafe { *place = logged.0 };
            return not_taken(charge);
        }
        if tag.is_dirty_again()
            && !MappingState::of(mapping).is_some_and(|state| state.folios().is_journalled())
        {
            // SAFETY: as above.
            unsafe { *place = tag.waits_on(now).0 };
            return not_taken(charge);
        }
        // SAFETY: as above.
        unsafe { *place = tag.submitted(now).0 };
        return Some(PageCharge { charge, taken: tag });
    }
    if tag != Tag::NONE && tag.age(now) <= SUBMITTED_ANSWERS_TICKS {
        return not_taken(Charge::by_slot(tag.slot()));
    }
    match Charge(without_tag(mapping)) {
        Charge::NONE => None,
        charge => not_taken(charge),
    }
}

/// Whether the page waits for a bio: its tag is live.
#[inline(always)]
pub fn is_waiting(page: u64) -> bool {
    // SAFETY: a map value of one aligned word.
    Frame::of(page)
        .tag()
        .is_some_and(|place| Tag(unsafe { *place }).is_live())
}

/// The charge of a page without a tag: it was dirtied before the trace, or migration
/// moved it. A global function, see the crate documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn without_tag(mapping: u64) -> u32 {
    let inode = Inode::around_known(mapping);
    let charge = match inode.mapping_kind() {
        None => Charge::NONE,
        Some(MAPPING_BDEV | MAPPING_BTREE | MAPPING_HOME) => Charge::METADATA,
        Some(_) => last_dirtier(inode),
    };
    charge.0
}
