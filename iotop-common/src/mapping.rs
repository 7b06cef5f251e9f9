//! What the kernel half knows about the folios of a mapping.

/// Large folios may be dirty.
const LARGE: u32 = 1 << 0;
/// No large folio is dirty.
const SMALL: u32 = 1 << 1;
/// The pages are journalled (ext4's data=journal): the journal's bios carry them too.
const JOURNALLED: u32 = 1 << 2;
/// No event tells which pages of a large folio a task writes. All its pages are charged
/// to the task that wrote first.
const WHOLE_FOLIOS: u32 = 1 << 3;

/// What is known, as bits. No bit is set while nothing is known.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folios(pub u32);

impl Folios {
    /// A folio of `pages` pages becomes dirty. `live`: some page waits to be written.
    /// `pre_trace`: pages that became dirty before the trace may still be dirty.
    #[inline(always)]
    pub const fn dirtied(self, pages: u32, live: bool, pre_trace: bool) -> Folios {
        let mut known = self.0;
        if !live {
            // The bit may be another mapping's, or from an earlier use of this one.
            known &= !JOURNALLED;
        }
        if pages > 1 {
            known = known & !SMALL | LARGE;
        } else if known & LARGE != 0 && !live && !pre_trace {
            known = known & !LARGE | SMALL;
        }
        Folios(known)
    }

    /// A task was seen writing before any page became dirty. `was_dirty`: pages may have
    /// been dirty before the trace.
    #[inline(always)]
    pub const fn seen(self, was_dirty: bool) -> Folios {
        Folios(self.0 | if was_dirty { LARGE } else { SMALL })
    }

    /// Whether nothing is known about the size of dirty folios.
    #[inline(always)]
    pub const fn is_new(self) -> bool {
        self.0 & (LARGE | SMALL) == 0
    }

    /// Whether large folios may be dirty.
    #[inline(always)]
    pub const fn may_be_large(self) -> bool {
        self.0 & LARGE != 0
    }

    /// Whether the pages go through a journal.
    #[inline(always)]
    pub const fn is_journalled(self) -> bool {
        self.0 & JOURNALLED != 0
    }

    /// The same, with pages that go through a journal.
    #[inline(always)]
    pub const fn journalled(self) -> Folios {
        Folios(self.0 | JOURNALLED)
    }

    /// Whether only the first dirtier of a large folio is known, and not which pages it
    /// dirtied.
    #[inline(always)]
    pub const fn knows_whole_only(self) -> bool {
        self.0 & WHOLE_FOLIOS != 0
    }

    /// The same, where only the first dirtier of a large folio is known.
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
