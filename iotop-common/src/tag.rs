//! The tag of a page: who dirtied it, when, and whether it has been submitted since.
//! Four bytes a page, 0.1 % of memory.

/// An owner slot number: an index into the `OWNERS` array.
pub type Slot = u32;

/// No owner: no task was seen dirtying the page.
pub const SLOT_NONE: Slot = 0;
/// The page became dirty while no owner slot was free.
pub const SLOT_OVERFLOW: Slot = 1;
/// The page holds file-system metadata that no single task owns.
pub const SLOT_METADATA: Slot = 2;
/// The first slot that stands for a task.
pub const SLOT_FIRST: Slot = 3;
/// The number of slots: 15 bits.
pub const SLOTS: u32 = 1 << 15;

/// The slots from here on are for a shortage, when no slot below is free. Each crowd (the tasks
/// with one command, user and cgroup) still gets a few slots for single tasks.
pub const SLOT_SPARE: Slot = SLOTS - 6 * 1024;
/// The slots from here on stand for a crowd: all its tasks share one.
pub const SLOT_CROWD: Slot = SLOTS - 2 * 1024;
/// The slots from here on stand for all commands of one user in one cgroup, if there are too
/// many crowds.
pub const SLOT_WIDE: Slot = SLOTS - 256;

/// True if several tasks share the slot.
#[inline(always)]
pub const fn is_crowd(slot: Slot) -> bool {
    slot >= SLOT_CROWD
}

/// Where each range of slots begins. A range has its own list of free slots.
pub const RANGES: [Slot; 4] = [SLOT_FIRST, SLOT_SPARE, SLOT_CROWD, SLOT_WIDE];

/// The index of a slot's range in [`RANGES`].
pub const fn range_of(slot: Slot) -> usize {
    match slot {
        SLOT_WIDE.. => 3,
        SLOT_CROWD.. => 2,
        SLOT_SPARE.. => 1,
        _ => 0,
    }
}

/// The minimum length of a tick of the tags' clock. The kernel half counts in jiffies,
/// shifted right by `Layout::tick_shift`. Sixteen bits of the clock wrap after 18 minutes,
/// far beyond the 30 s after which the kernel writes a dirty page by default
/// (`vm.dirty_expire_centisecs`).
pub const TICK_AT_LEAST_NS: u64 = 13_000_000;

/// Tags are kept in chunks of this many, one array element each, because the
/// kernel rounds every array element up to eight bytes.
pub const TAGS_PER_CHUNK: u32 = 1 << CHUNK_SHIFT;
/// `log2` of [`TAGS_PER_CHUNK`].
pub const CHUNK_SHIFT: u32 = 10;

/// One element of the `TAGS` array.
pub type TagChunk = [u32; TAGS_PER_CHUNK as usize];

/// The number of ticks for which a submitted tag still answers for its page. btrfs
/// submits a page once per mirror, and file systems with blocks smaller than a page
/// submit it once per block. 1.7 to 2.6 s, depending on the kernel's HZ.
pub const SUBMITTED_ANSWERS_TICKS: u32 = 128;
/// How long a slot stays unused after its last use. So a tag that still answers never
/// leads to the slot's next tenant.
pub const SLOT_REST_NS: u64 = 4_000_000_000;

/// The number of ticks for which the tag of a metadata page answers for its page: longer
/// than a dirty page waits by default, 40 to 60 s depending on the kernel's HZ. Such a tag
/// is never live: checkpoints write metadata without making its page clean.
pub const METADATA_ANSWERS_TICKS: u32 = 3000;

/// The number of page frames that the user half's audit asks about in one run of
/// `pages_waiting`. `BPF_PROG_TEST_RUN` passes up to twelve 64-bit numbers.
pub const FRAMES_ASKED: usize = 8;

/// A time on the tags' clock, modulo 2^16.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tick(pub u32);

/// The tag of one page: slot (bits 0..15), submitted (bit 15), time (16..32).
///
/// A tag with the submitted bit keeps 15 bits of time. Its top bit then says that the
/// page is dirty again, although the bio with its older data has not been seen yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag(pub u32);

impl Tag {
    /// The tag of a page that no task was seen dirtying.
    pub const NONE: Tag = Tag(0);
    const SUBMITTED: u32 = 1 << 15;
    const AGAIN: u32 = 1 << 31;

    /// A live tag: dirtied by `slot`, not yet submitted.
    #[inline(always)]
    pub const fn dirtied(slot: Slot, now: Tick) -> Tag {
        Tag((slot & (SLOTS - 1)) | (now.0 << 16))
    }

    /// A live tag that the next bio with this page leaves live: the page became
    /// dirty again while it was under writeback and before its bio was submitted.
    #[inline(always)]
    pub const fn dirtied_again(slot: Slot, now: Tick) -> Tag {
        Tag(Tag::dirtied(slot, now).0 | Tag::SUBMITTED | Tag::AGAIN)
    }

    /// The same owner, submitted now.
    #[inline(always)]
    pub const fn submitted(self, now: Tick) -> Tag {
        Tag((Tag::dirtied(self.slot(), now).0 | Tag::SUBMITTED) & !Tag::AGAIN)
    }

    /// The tag of a page that is dirty again, once the bio with its older data is
    /// submitted. The page waits for the next bio.
    #[inline(always)]
    pub const fn waits_on(self, now: Tick) -> Tag {
        Tag::dirtied(self.slot(), Tick(now.0.wrapping_sub(self.age(now))))
    }

    /// The time when the tag was set. Only for a live tag that is not dirty again.
    #[inline(always)]
    pub const fn since(self) -> Tick {
        Tick(self.0 >> 16)
    }

    /// The owner's slot.
    #[inline(always)]
    pub const fn slot(self) -> Slot {
        self.0 & (SLOTS - 1)
    }

    /// Whether the page is dirty and not yet part of any bio.
    #[inline(always)]
    pub const fn is_live(self) -> bool {
        self.slot() != SLOT_NONE && self.0 & (Tag::SUBMITTED | Tag::AGAIN) != Tag::SUBMITTED
    }

    /// Whether the page is dirty again, see [`Tag::dirtied_again`].
    #[inline(always)]
    pub const fn is_dirty_again(self) -> bool {
        self.0 & (Tag::SUBMITTED | Tag::AGAIN) == Tag::SUBMITTED | Tag::AGAIN
    }

    /// Ticks since the tag was set, modulo 2^16. Modulo 2^15 for a tag with the submitted
    /// bit.
    #[inline(always)]
    pub const fn age(self, now: Tick) -> u32 {
        let bits = if self.0 & Tag::SUBMITTED == 0 {
            0xffff
        } else {
            0x7fff
        };
        now.0.wrapping_sub(self.0 >> 16) & bits
    }
}

/// Two neighbouring tags as one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair(pub u64);

impl Pair {
    /// The tags of two pages that no task was seen dirtying.
    pub const NONE: Pair = Pair(0);

    /// The same tag twice.
    #[inline(always)]
    pub const fn of(tag: Tag) -> Pair {
        Pair((tag.0 as u64) << 32 | tag.0 as u64)
    }

    /// The tags, in no particular order.
    #[inline(always)]
    pub const fn tags(self) -> [Tag; 2] {
        [Tag(self.0 as u32), Tag((self.0 >> 32) as u32)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_keeps_its_slot_and_its_age() {
        let t = Tag::dirtied(SLOTS - 1, Tick(5));
        assert!(t.is_live());
        assert_eq!(t.slot(), SLOTS - 1);
        assert_eq!(t.age(Tick(9)), 4);
    }

    #[test]
    fn the_clock_may_wrap_between_dirtying_and_submission() {
        assert_eq!(Tag::dirtied(7, Tick(0xffff)).age(Tick(0x1_0002)), 3);
        assert_eq!(Tag::dirtied(7, Tick(0x1_ffff)).age(Tick(2)), 3);
    }

    #[test]
    fn a_submitted_tag_names_its_owner_but_is_not_live() {
        let t = Tag::dirtied(7, Tick(0)).submitted(Tick(3));
        assert!(!t.is_live());
        assert_eq!(t.slot(), 7);
        assert_eq!(t.age(Tick(4)), 1);
        assert!(!Tag::NONE.is_live());
    }

    #[test]
    fn a_page_that_is_dirty_again_waits_on_after_the_bio_of_its_older_data() {
        for dirtied in [3, 0x7fff, 0x8000, 0xffff] {
            let again = Tag::dirtied_again(7, Tick(dirtied));
            assert!(again.is_live() && again.is_dirty_again());
            assert_eq!((again.slot(), again.age(Tick(dirtied + 2))), (7, 2));
            let waits = again.waits_on(Tick(dirtied + 2));
            assert_eq!(waits, Tag::dirtied(7, Tick(dirtied)));
            assert!(!waits.is_dirty_again());
            assert!(!again.submitted(Tick(dirtied)).is_live());
        }
    }

    #[test]
    fn a_live_tag_is_live_whenever_it_was_set() {
        for now in [0, 0x7fff, 0x8000, 0xffff] {
            let tag = Tag::dirtied(7, Tick(now));
            assert!(tag.is_live() && !tag.is_dirty_again());
            assert!(!tag.submitted(Tick(now)).is_live());
            assert_eq!(tag.submitted(Tick(now)).age(Tick(now + 3)), 3);
        }
    }

    #[test]
    fn a_pair_is_two_tags() {
        let t = Tag::dirtied(7, Tick(3));
        assert_eq!(Pair::of(t).tags(), [t, t]);
        assert_eq!(Pair::NONE.tags(), [Tag::NONE, Tag::NONE]);
    }
}
