//! The life of an owner slot: handed out by the kernel half, retired here when
//! nothing refers to it any more, rested, and put back on the free list.

use std::time::{Duration, Instant};

use iotop_common::{
    Fact, FactKey, Owner,
    owner::OWNER_EXITED,
    tag::{SLOT_FIRST, SLOT_REST_NS, SLOTS, Slot},
};

/// How long a live task may be idle before its slot is taken back. It gets
/// another when it does I/O again.
const IDLE: Duration = Duration::from_secs(60);

/// Pages that stay pending this long without a move are held against the tags.
pub const STUCK: Duration = Duration::from_secs(10);

/// What an owner did since the last look, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageDeltas {
    /// Made dirty.
    pub dirtied: u64,
    /// Dropped before they were written.
    pub cancelled: u64,
    /// Dirty now, not yet submitted.
    pub pending: u64,
    /// Fewer than at the last look, whatever else happened: an audit may have found that
    /// pages wait no longer.
    pub fewer_pending: bool,
    /// Jiffies it had to sleep because too much was dirty.
    pub throttled: u64,
    /// How many times.
    pub throttles: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// On the free list, or never handed out.
    Free,
    InUse,
    /// Removed from `SLOT_OF`; nobody finds it any more.
    Resting,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    state: State,
    generation: u32,
    tagged: u64,
    cleaned: u64,
    /// Pages that the facts say were submitted.
    submitted: u64,
    cancelled: u64,
    /// At the last look.
    pending: u64,
    throttled: u32,
    throttles: u32,
    /// Live tags that were found to exist no longer (page migration).
    lost_tags: u64,
    /// The same, by a count that is newer than the last look.
    found_lost: Option<u64>,
    since: Instant,
}

/// What an epoch's facts say of a slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Some fact names it.
    pub named: bool,
    /// Its pages that were submitted.
    pub submitted: u64,
}

/// What an epoch's facts say of each slot.
#[derive(Debug)]
pub struct Reports {
    of_slot: Vec<Report>,
    /// The highest slot that some fact names.
    pub last_named: Slot,
}

impl Reports {
    /// Gathers them.
    pub fn of(facts: &[(FactKey, Fact)]) -> Reports {
        let named = facts.iter().flat_map(|(key, _)| [key.owner, key.submitter]);
        let last_named = named.filter(|slot| *slot < SLOTS).max().unwrap_or(0);
        let mut of_slot = vec![Report::default(); last_named as usize + 1];
        for (key, fact) in facts {
            for slot in [key.owner, key.submitter] {
                if let Some(report) = of_slot.get_mut(slot as usize) {
                    report.named = true;
                }
            }
            if let Some(report) = of_slot.get_mut(key.owner as usize) {
                report.submitted += u64::from(fact.pages);
            }
        }
        Reports {
            of_slot,
            last_named,
        }
    }

    /// Of one slot.
    pub fn of_slot(&self, slot: Slot) -> Report {
        self.of_slot.get(slot as usize).copied().unwrap_or_default()
    }
}

/// The slots that have or had a tenant. They are handed out from the lowest up, but by
/// several tasks at once: one whose tenant is only just moving in has no generation
/// yet, while tasks above it write already. `last` is the highest that is known of.
pub fn handed_out(
    owner: impl Fn(Slot) -> Option<Owner>,
    last: Slot,
) -> impl Iterator<Item = (Slot, Owner)> {
    (SLOT_FIRST..SLOTS)
        .map_while(move |slot| Some((slot, owner(slot)?)))
        .take_while(move |(slot, owner)| owner.generation != 0 || *slot <= last)
        .filter(|(_, owner)| owner.generation != 0)
}

/// What to do with a slot after a look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// Remove the task from `SLOT_OF`.
    Retire,
    /// Push the slot on the free list.
    Free,
}

/// Every slot's record.
#[derive(Debug)]
pub struct Slots {
    /// Up to the highest slot that ever had a tenant.
    records: Vec<Record>,
    /// The highest slot that was ever seen with a tenant.
    pub last: Slot,
}

impl Slots {
    /// All slots free.
    pub fn new() -> Slots {
        Slots {
            records: Vec::new(),
            last: 0,
        }
    }

    /// Compares an owner with what was last seen in its slot, and with what the
    /// epoch's facts say of it. Returns `None` for a free slot.
    pub fn look(
        &mut self,
        slot: Slot,
        owner: &Owner,
        report: Report,
        now: Instant,
    ) -> Option<(PageDeltas, Step)> {
        if self.records.len() <= slot as usize {
            let free = Record::new(State::Free, 0, now);
            self.records.resize(slot as usize + 1, free);
        }
        let record = &mut self.records[slot as usize];
        self.last = self.last.max(slot);
        if record.generation != owner.generation {
            *record = Record::new(State::InUse, owner.generation, now);
        } else if matches!(record.state, State::Free) {
            return None;
        }
        let changed = report.named
            || record.tagged != owner.tagged_pages
            || record.cleaned != owner.cleaned_pages;
        record.submitted += report.submitted;
        let dirtied = owner.tagged_pages.saturating_sub(record.tagged);
        record.tagged = owner.tagged_pages;
        record.cleaned = owner.cleaned_pages;
        // What was submitted before the count is among the facts by now.
        if let (Some(lost), false) = (record.found_lost.take(), changed) {
            record.lost_tags = lost;
        }
        let pending = record.waiting().saturating_sub(record.lost_tags);
        let deltas = PageDeltas {
            dirtied,
            cancelled: owner.cancelled_pages.saturating_sub(record.cancelled),
            pending,
            fewer_pending: pending < record.pending,
            throttled: grown(owner.throttled, record.throttled),
            throttles: grown(owner.throttles, record.throttles),
        };
        record.cancelled = owner.cancelled_pages;
        record.pending = pending;
        record.throttled = owner.throttled;
        record.throttles = owner.throttles;
        if changed {
            record.since = now;
        }
        Some((deltas, record.step(owner, changed || pending != 0, now)))
    }

    /// Whether pages wait: worth a look at the tags.
    pub fn any_waits(&self) -> bool {
        let mut records = self.records.iter().skip(SLOT_FIRST as usize);
        records.any(|record| record.waiting() > record.lost_tags)
    }

    /// Takes a count of live tags by slot: what the counters of one that is stuck hold
    /// beyond it was lost to page migration, unless the next look tells where it went.
    pub fn correct(&mut self, live_tags: &[u32], now: Instant) {
        for (record, live) in self.records.iter_mut().zip(live_tags) {
            if record.is_stuck(now) {
                record.found_lost = Some(record.waiting().saturating_sub(u64::from(*live)));
            }
        }
    }
}

/// How much a counter has grown that may begin anew at 0. One that has fallen
/// was read while its slot had a new tenant.
fn grown(now: u32, before: u32) -> u64 {
    match now.wrapping_sub(before) {
        grown @ 0..=0x7fff_ffff => grown.into(),
        _ => 0,
    }
}

impl Record {
    fn new(state: State, generation: u32, now: Instant) -> Record {
        Record {
            state,
            generation,
            tagged: 0,
            cleaned: 0,
            submitted: 0,
            cancelled: 0,
            pending: 0,
            throttled: 0,
            throttles: 0,
            lost_tags: 0,
            found_lost: None,
            since: now,
        }
    }

    /// Tagged pages of which nothing was heard since.
    fn waiting(&self) -> u64 {
        self.tagged
            .saturating_sub(self.cleaned)
            .saturating_sub(self.submitted)
    }

    fn is_stuck(&self, now: Instant) -> bool {
        matches!(self.state, State::InUse) && now.duration_since(self.since) > STUCK
    }

    fn step(&mut self, owner: &Owner, busy: bool, now: Instant) -> Step {
        let quiet = now.duration_since(self.since);
        match self.state {
            State::InUse if !busy && (owner.flags & OWNER_EXITED != 0 || quiet > IDLE) => {
                self.state = State::Resting;
                self.since = now;
                Step::Retire
            }
            State::Resting if !busy && quiet > Duration::from_nanos(SLOT_REST_NS) => {
                self.state = State::Free;
                Step::Free
            }
            _ => Step::Keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = SLOT_FIRST;

    /// It was not: all that the interval wrote had no name.
    #[test]
    fn an_owner_that_wrote_is_seen_above_a_slot_that_is_being_handed_out() {
        let owner = |slot| {
            let generation = u32::from([SLOT_FIRST, SLOT_FIRST + 2].contains(&slot));
            Some(Owner {
                tid: slot,
                generation,
                ..Owner::default()
            })
        };
        let wrote = FactKey {
            owner: SLOT_FIRST + 2,
            ..FactKey::default()
        };
        let reports = Reports::of(&[(wrote, Fact::default())]);
        let tids: Vec<u32> = handed_out(owner, reports.last_named)
            .map(|(_, owner)| owner.tid)
            .collect();
        assert_eq!(tids, [SLOT_FIRST, SLOT_FIRST + 2]);
    }

    const NAMED: Report = Report {
        named: true,
        submitted: 0,
    };
    const QUIET: Report = Report {
        named: false,
        submitted: 0,
    };

    fn dead_writer(generation: u32) -> Owner {
        Owner {
            generation,
            flags: OWNER_EXITED,
            tagged_pages: 10,
            ..Owner::default()
        }
    }

    #[test]
    fn a_slot_is_kept_while_its_dead_task_has_dirty_pages() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = dead_writer(1);
        let later = start + Duration::from_secs(600);
        slots.look(SLOT, &owner, NAMED, start);
        let (deltas, step) = slots.look(SLOT, &owner, QUIET, later).expect("in use");
        assert_eq!((deltas.pending, step), (10, Step::Keep));
    }

    /// Its last line said 240 KiB for ever.
    #[test]
    fn that_pages_of_a_dead_task_wait_no_longer_is_worth_a_line() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let mut owner = dead_writer(1);
        slots.look(SLOT, &owner, NAMED, start);
        owner.cleaned_pages = 10;
        let (deltas, _) = slots.look(SLOT, &owner, QUIET, start).expect("in use");
        assert!(deltas.pending == 0 && deltas != PageDeltas::default());
        let (deltas, _) = slots.look(SLOT, &owner, QUIET, start).expect("in use");
        assert_eq!(deltas, PageDeltas::default());
    }

    #[test]
    fn a_slot_rests_before_it_is_free_again() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let mut owner = dead_writer(1);
        slots.look(SLOT, &owner, NAMED, start);
        owner.cleaned_pages = 10;
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(
            slots.look(SLOT, &owner, QUIET, at(1000)).map(|l| l.1),
            Some(Step::Keep)
        );
        assert_eq!(
            slots.look(SLOT, &owner, QUIET, at(2000)).map(|l| l.1),
            Some(Step::Retire)
        );
        assert_eq!(
            slots.look(SLOT, &owner, QUIET, at(5000)).map(|l| l.1),
            Some(Step::Keep)
        );
        assert_eq!(
            slots.look(SLOT, &owner, QUIET, at(6100)).map(|l| l.1),
            Some(Step::Free)
        );
        assert_eq!(slots.look(SLOT, &owner, QUIET, at(7000)), None);
    }

    #[test]
    fn a_slots_next_tenant_starts_from_zero() {
        let start = Instant::now();
        let mut slots = Slots::new();
        slots.look(SLOT, &dead_writer(1), NAMED, start);
        let next = Owner {
            generation: 2,
            tagged_pages: 3,
            ..Owner::default()
        };
        let (deltas, _) = slots.look(SLOT, &next, NAMED, start).expect("in use");
        assert_eq!(deltas.dirtied, 3);
    }

    #[test]
    fn tags_lost_to_migration_do_not_hold_a_slot_for_ever() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = dead_writer(1);
        slots.look(SLOT, &owner, NAMED, start);
        let late = start + Duration::from_secs(100);
        assert!(slots.any_waits());
        slots.correct(&[0; SLOTS as usize], late);
        assert_eq!(
            slots.look(SLOT, &owner, QUIET, late).map(|l| l.1),
            Some(Step::Retire)
        );
        assert!(!slots.any_waits());
    }

    #[test]
    fn tags_that_were_submitted_while_they_were_counted_are_not_lost() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = dead_writer(1);
        slots.look(SLOT, &owner, NAMED, start);
        let late = start + Duration::from_secs(100);
        slots.look(SLOT, &owner, QUIET, late);
        // Six of the ten: their facts are the next epoch's.
        slots.correct(&[4; SLOTS as usize], late);
        let submitted = Report {
            named: true,
            submitted: 6,
        };
        let pending = |look: Option<(PageDeltas, Step)>| look.map(|(deltas, _)| deltas.pending);
        let next = late + Duration::from_secs(1);
        assert_eq!(pending(slots.look(SLOT, &owner, submitted, next)), Some(4));
        assert_eq!(pending(slots.look(SLOT, &owner, QUIET, next)), Some(4));
    }

    #[test]
    fn a_slot_that_moves_is_not_corrected() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = dead_writer(1);
        slots.look(SLOT, &owner, NAMED, start);
        slots.correct(&[0; SLOTS as usize], start);
        let look = slots.look(SLOT, &owner, QUIET, start);
        assert_eq!(look.map(|(deltas, _)| deltas.pending), Some(10));
    }
}
