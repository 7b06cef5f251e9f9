//! What the kernel half knows of a mapping: which folios of it may be dirty.

/// Large folios may be dirty.
const LARGE: u32 = 1 << 0;
/// None is.
const SMALL: u32 = 1 << 1;
/// Its pages are journalled (ext4's data=journal): bios of the journal have them too.
const JOURNALLED: u32 = 1 << 2;
/// No event tells which pages of a large folio a task writes: all of one are charged to
/// the first that did.
const WHOLE_FOLIOS: u32 = 1 << 3;

/// Bits; none while nothing is known.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folios(pub u32);

impl Folios {
    /// A folio of so many pages becomes dirty. `live` is whether any page waits, `young`
    /// whether pages may be dirty that became so before the trace.
    #[inline(always)]
    pub const fn dirtied(self, pages: u32, live: bool, young: bool) -> Folios {
        let mut known = self.0;
        if !live {
            // It may be another mapping's, or this one's before.
            known &= !JOURNALLED;
        }
        if pages > 1 {
            known = known & !SMALL | LARGE;
        } else if known & LARGE != 0 && !live && !young {
            known = known & !LARGE | SMALL;
        }
        Folios(known)
    }

    /// What is known when a task has been seen writing before any page became dirty;
    /// `was_dirty` is whether pages were dirty before the trace.
    #[inline(always)]
    pub const fn seen(self, was_dirty: bool) -> Folios {
        Folios(self.0 | if was_dirty { LARGE } else { SMALL })
    }

    /// Nothing is known of its folios.
    #[inline(always)]
    pub const fn is_new(self) -> bool {
        self.0 & (LARGE | SMALL) == 0
    }

    /// Large folios may be dirty.
    #[inline(always)]
    pub const fn may_be_large(self) -> bool {
        self.0 & LARGE != 0
    }

    /// A file whose pages go through a journal.
    #[inline(always)]
    pub const fn is_journalled(self) -> bool {
        self.0 & JOURNALLED != 0
    }

    /// The same, marked so.
    #[inline(always)]
    pub const fn journalled(self) -> Folios {
        Folios(self.0 | JOURNALLED)
    }

    /// Of a large folio it is known who dirtied it first, not which pages.
    #[inline(always)]
    pub const fn knows_whole_only(self) -> bool {
        self.0 & WHOLE_FOLIOS != 0
    }

    /// The same, marked so.
    #[inline(always)]
    pub const fn whole_only(self) -> Folios {
        Folios(self.0 | WHOLE_FOLIOS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Folios = Folios(0);

    #[test]
    fn a_large_folio_is_looked_for_until_nothing_waits() {
        let large = NEW.dirtied(16, false, false);
        assert!(large.may_be_large());
        assert!(large.dirtied(1, true, false).may_be_large());
        let small = large.dirtied(1, false, false);
        assert!(!small.may_be_large() && !small.is_new());
        assert!(small.dirtied(4, true, false).may_be_large());
    }

    #[test]
    fn folios_that_were_dirty_before_the_trace_are_looked_for_while_it_is_young() {
        let seen = NEW.seen(true);
        assert!(seen.dirtied(1, false, true).may_be_large());
        assert!(!seen.dirtied(1, false, false).may_be_large());
        assert!(!NEW.seen(false).may_be_large());
    }

    #[test]
    fn a_mapping_is_journalled_while_its_pages_wait() {
        let journalled = NEW.journalled();
        assert!(journalled.dirtied(1, true, false).is_journalled());
        assert!(!journalled.dirtied(1, false, false).is_journalled());
        let whole = NEW.whole_only();
        assert!(whole.dirtied(1, false, false).knows_whole_only());
    }
}
