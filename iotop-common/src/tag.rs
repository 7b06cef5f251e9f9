//! What is remembered about one page: who dirtied it, when, and whether it has
//! been submitted since. Four bytes a page, 0.1 % of memory.

/// An owner slot number: an index into the `OWNERS` array.
pub type Slot = u32;

/// No owner: the page was never seen becoming dirty.
pub const SLOT_NONE: Slot = 0;
/// The page became dirty while no owner slot was free.
pub const SLOT_OVERFLOW: Slot = 1;
/// The page holds file-system metadata that no single task owns.
pub const SLOT_METADATA: Slot = 2;
/// The first slot that stands for a task.
pub const SLOT_FIRST: Slot = 3;
/// How many slots there are: what 15 bits can tell apart.
pub const SLOTS: u32 = 1 << 15;

/// `log2` of the tag clock's unit: 2^24 ns, 16.8 ms. Sixteen bits of it wrap
/// after 18 minutes, far beyond the 30 s after which the kernel writes a dirty
/// page by default (`vm.dirty_expire_centisecs`).
pub const TICK_SHIFT: u32 = 24;

/// Tags are kept in chunks of this many, one array element each, because the
/// kernel rounds every array element up to eight bytes.
pub const TAGS_PER_CHUNK: u32 = 1 << CHUNK_SHIFT;
/// `log2` of [`TAGS_PER_CHUNK`].
pub const CHUNK_SHIFT: u32 = 10;

/// One element of the `TAGS` array.
pub type TagChunk = [u32; TAGS_PER_CHUNK as usize];

/// How long a submitted tag still answers for its page: btrfs submits a page
/// once per mirror, and file systems with blocks smaller than a page once per
/// block. A slot rests at least [`SLOT_REST_NS`] before it is used again, so a
/// tag that still answers never leads to a slot's next tenant.
pub const SUBMITTED_ANSWERS_NS: u64 = 2_000_000_000;
/// How long a slot rests after its last use. See [`SUBMITTED_ANSWERS_NS`].
pub const SLOT_REST_NS: u64 = 4_000_000_000;

/// The tag of one page: slot (bits 0..15), submitted (bit 15), time (16..32).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag(pub u32);

impl Tag {
    /// The tag of a page that nobody has been seen dirtying.
    pub const NONE: Tag = Tag(0);
    const SUBMITTED: u32 = 1 << 15;

    /// A live tag: dirtied by `slot` at `now_ns`, not yet submitted.
    #[inline(always)]
    pub const fn dirtied(slot: Slot, now_ns: u64) -> Tag {
        Tag((slot & (SLOTS - 1)) | (((now_ns >> TICK_SHIFT) as u32) << 16))
    }

    /// The same owner, submitted at `now_ns`.
    #[inline(always)]
    pub const fn submitted(self, now_ns: u64) -> Tag {
        Tag(Tag::dirtied(self.slot(), now_ns).0 | Tag::SUBMITTED)
    }

    /// The owner's slot.
    #[inline(always)]
    pub const fn slot(self) -> Slot {
        self.0 & (SLOTS - 1)
    }

    /// Dirty, and not yet part of any bio.
    #[inline(always)]
    pub const fn is_live(self) -> bool {
        self.slot() != SLOT_NONE && self.0 & Tag::SUBMITTED == 0
    }

    /// Time since the tag was set, in ticks, modulo 2^16.
    #[inline(always)]
    pub const fn age_ticks(self, now_ns: u64) -> u32 {
        ((now_ns >> TICK_SHIFT) as u32).wrapping_sub(self.0 >> 16) & 0xffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_keeps_its_slot_and_its_age() {
        let t = Tag::dirtied(SLOTS - 1, 5 << TICK_SHIFT);
        assert!(t.is_live());
        assert_eq!(t.slot(), SLOTS - 1);
        assert_eq!(t.age_ticks(9 << TICK_SHIFT), 4);
    }

    #[test]
    fn the_clock_may_wrap_between_dirtying_and_submission() {
        let t = Tag::dirtied(7, 0xffff << TICK_SHIFT);
        assert_eq!(t.age_ticks(0x1_0002 << TICK_SHIFT), 3);
    }

    #[test]
    fn a_submitted_tag_names_its_owner_but_is_not_live() {
        let t = Tag::dirtied(7, 0).submitted(3 << TICK_SHIFT);
        assert!(!t.is_live());
        assert_eq!(t.slot(), 7);
        assert_eq!(t.age_ticks(4 << TICK_SHIFT), 1);
        assert!(!Tag::NONE.is_live());
    }
}
