//! The life of an owner slot. The kernel half hands it out. It is retired here when
//! nothing refers to it any more, rests for a while, and goes back to the free list.

use std::time::{Duration, Instant};

use iotop_common::{
    Fact, FactKey, Owner,
    owner::OWNER_EXITED,
    tag::{RANGES, SLOT_FIRST, SLOT_REST_NS, SLOTS, Slot, range_of},
};

/// A live task loses its slot after it was idle for this long, and so does a crowd. It gets
/// another one when it does I/O again.
const IDLE: Duration = Duration::from_secs(60);

/// The same while slots are short.
const IDLE_IN_SHORTAGE: Duration = Duration::from_secs(10);

/// An exited task that changed metadata keeps its slot for this long after the last change:
/// longer than its blocks wait, in the journal and for their homes.
const METADATA_WAITS: Duration = Duration::from_secs(60);

/// Where more slots than this are in use, exited tasks do not keep theirs for their metadata.
/// The data of live tasks comes first.
const CROWDED: usize = SLOTS as usize / 2;

/// How long a slot rests between two tenants.
const REST: Duration = Duration::from_nanos(SLOT_REST_NS);

/// If an owner has pending pages and their number does not change for this long, an audit of
/// the tags may correct its number of pending pages.
pub const STUCK: Duration = Duration::from_secs(10);

/// What an owner did since the last look. The first three figures are pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageDeltas {
    /// Made dirty.
    pub dirtied: u64,
    /// Dropped before they were written.
    pub cancelled: u64,
    /// Dirty now, not yet submitted.
    pub pending: u64,
    /// Fewer pages are pending than at the last look, even if nothing else changed: an
    /// audit may have found that they are not dirty.
    pub fewer_pending: bool,
    /// Jiffies for which `balance_dirty_pages` made it sleep, because too much was dirty.
    pub throttled: u64,
    /// How often that happened.
    pub throttles: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// On the free list, or never handed out.
    Free,
    InUse,
    /// Removed from `SLOT_OF`, so no task finds it; not on the free list yet.
    Resting,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    state: State,
    generation: u32,
    tagged: u64,
    cleaned: u64,
    /// Its pages that were submitted, by the facts.
    submitted: u64,
    cancelled: u64,
    /// At the last look.
    pending: u64,
    throttled: u32,
    throttles: u32,
    /// See [`Owner::joined`].
    joined: u16,
    /// Pages that only seem to be pending: their live tag is gone (page migration).
    lost_tags: u64,
    /// The same figure by an audit after the last look; the next look may adopt it.
    found_lost: Option<u64>,
    /// The task had exited at the look before.
    exited: bool,
    /// When the counters or the state changed last, or a fact named the slot.
    since: Instant,
    /// When the number of its pages changed last. Facts about metadata do not change it: an
    /// exited task's may be written for minutes.
    moved: Instant,
}

/// What an epoch's facts say about a slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// At least one fact names the slot.
    pub named: bool,
    /// How many of its pages were submitted.
    pub submitted: u64,
}

/// The highest slot of each of [`RANGES`] that is known to be in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Highest([Slot; RANGES.len()]);

impl Highest {
    /// Counts a slot in.
    pub fn add(&mut self, slot: Slot) {
        let highest = &mut self.0[range_of(slot)];
        *highest = slot.max(*highest);
    }

    /// The highest of all.
    pub fn slot(&self) -> Slot {
        self.0.into_iter().max().unwrap_or(0)
    }
}

/// What an epoch's facts say about each slot.
#[derive(Debug)]
pub struct Reports {
    of_slot: Vec<Report>,
}

impl Reports {
    /// Gathers the reports from an epoch's facts.
    pub fn of<'a>(
        facts: impl Iterator<Item = (&'a FactKey, &'a Fact)> + Clone,
        highest: &mut Highest,
    ) -> Reports {
        let named = facts
            .clone()
            .flat_map(|(key, _)| [key.owner, key.submitter]);
        named
            .filter(|slot| *slot < SLOTS)
            .for_each(|slot| highest.add(slot));
        let mut of_slot = vec![Report::default(); highest.slot() as usize + 1];
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
        Reports { of_slot }
    }

    /// The report of one slot.
    pub fn of_slot(&self, slot: Slot) -> Report {
        self.of_slot.get(slot as usize).copied().unwrap_or_default()
    }
}

/// The slots that were ever handed out, with their owners. The slots of a range are handed out
/// from the lowest up, but by several CPUs at once: one that is just being filled in has no
/// generation yet, while tasks with higher slots already write. The search therefore goes
/// up to the highest slot at least that is known to be in use.
pub fn handed_out(
    owner: &impl Fn(Slot) -> Option<Owner>,
    highest: Highest,
) -> impl Iterator<Item = (Slot, Owner)> {
    let ends = RANGES.into_iter().skip(1).chain([SLOTS]);
    let ranges = RANGES.into_iter().zip(ends).zip(highest.0);
    ranges.flat_map(move |((first, end), last)| {
        (first..end)
            .map_while(move |slot| Some((slot, owner(slot)?)))
            .take_while(move |(slot, owner)| owner.generation != 0 || *slot <= last)
            .filter(|(_, owner)| owner.generation != 0)
    })
}

/// What the caller has to do with a slot after a look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// Remove the task from `SLOT_OF`.
    Retire,
    /// Push the slot on the free list.
    Free,
}

/// The records of all slots.
#[derive(Debug)]
pub struct Slots {
    /// One for each slot, up to the highest that was ever in use.
    records: Vec<Record>,
    /// The highest slots that were ever seen in use.
    pub highest: Highest,
    /// How many slots are in use.
    taken: usize,
}

impl Slots {
    /// Starts with all slots free.
    pub fn new() -> Slots {
        Slots {
            records: Vec::new(),
            highest: Highest::default(),
            taken: 0,
        }
    }

    /// Compares an owner with its slot's record and with what the epoch's facts say about
    /// it, and updates the record. Returns `None` for a free slot.
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
        self.highest.add(slot);
        if record.generation != owner.generation {
            self.taken += usize::from(!matches!(record.state, State::InUse));
            *record = Record::new(State::InUse, owner.generation, now);
        } else if matches!(record.state, State::Free) {
            return None;
        }
        let moved = report.submitted != 0
            || record.tagged != owner.tagged_pages
            || record.cleaned != owner.cleaned_pages;
        let changed = moved || report.named || record.joined != owner.joined;
        record.submitted += report.submitted;
        let dirtied = owner.tagged_pages.saturating_sub(record.tagged);
        record.tagged = owner.tagged_pages;
        record.cleaned = owner.cleaned_pages;
        record.joined = owner.joined;
        // Pages that were submitted before the audit counted are in the facts by now. If
        // they are, the audit's figure is out of date.
        if let (Some(lost), false) = (record.found_lost.take(), moved) {
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
        if moved {
            record.moved = now;
        }
        let crowded = self.taken > CROWDED;
        let step = record.step(owner, changed || pending != 0, crowded, now);
        record.exited = owner.flags & OWNER_EXITED != 0;
        self.taken -= usize::from(step == Step::Retire);
        Some((deltas, step))
    }

    /// True if slots may run short soon.
    pub fn is_crowded(&self) -> bool {
        self.taken > CROWDED
    }

    /// A look between two samples, to give slots back sooner. `named` says whether a fact that
    /// is not in a sample yet names the slot. It leaves all that the next sample reports.
    pub fn look_between(&mut self, slot: Slot, owner: &Owner, named: bool, now: Instant) -> Step {
        let Some(record) = self.records.get_mut(slot as usize) else {
            return Step::Keep;
        };
        if record.generation != owner.generation {
            return Step::Keep;
        }
        // A task that exits after the facts were read may have more of them.
        let had_exited = std::mem::replace(&mut record.exited, owner.flags & OWNER_EXITED != 0);
        if named || !record.is_reported(owner) || record.waiting() > record.lost_tags {
            return Step::Keep;
        }
        let quiet = now.duration_since(record.since);
        match record.state {
            State::InUse if had_exited && (owner.joined == 0 || self.taken > CROWDED) => {
                record.state = State::Resting;
                record.since = now;
                self.taken -= 1;
                Step::Retire
            }
            State::Resting if quiet > REST => {
                record.state = State::Free;
                Step::Free
            }
            _ => Step::Keep,
        }
    }

    /// True if pages are pending, so that an audit of the tags is worthwhile.
    pub fn any_waits(&self) -> bool {
        let mut records = self.records.iter().skip(SLOT_FIRST as usize);
        records.any(|record| record.waiting() > record.lost_tags)
    }

    /// Takes an audit's count of live tags for each slot. If a stuck owner's counters say
    /// that more pages are pending, the others lost their tag by page migration. The next
    /// look discards this result if the counters have changed by then.
    pub fn correct(&mut self, live_tags: &[u32], now: Instant) {
        for (record, live) in self.records.iter_mut().zip(live_tags) {
            if record.is_stuck(now) {
                record.found_lost = Some(record.waiting().saturating_sub(u64::from(*live)));
            }
        }
    }
}

/// How much a counter has grown. It may have wrapped. A counter that has fallen was read
/// while its slot was handed to another task, and counts as 0.
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
            joined: 0,
            lost_tags: 0,
            found_lost: None,
            exited: false,
            since: now,
            moved: now,
        }
    }

    /// Tagged pages that were neither submitted nor cleaned so far.
    fn waiting(&self) -> u64 {
        self.tagged
            .saturating_sub(self.cleaned)
            .saturating_sub(self.submitted)
    }

    /// True if the last sample had all that the owner did.
    fn is_reported(&self, owner: &Owner) -> bool {
        self.tagged == owner.tagged_pages
            && self.cleaned == owner.cleaned_pages
            && self.cancelled == owner.cancelled_pages
            && self.joined == owner.joined
            && self.throttles == owner.throttles
    }

    fn is_stuck(&self, now: Instant) -> bool {
        matches!(self.state, State::InUse) && now.duration_since(self.moved) > STUCK
    }

    fn step(&mut self, owner: &Owner, busy: bool, crowded: bool, now: Instant) -> Step {
        let quiet = now.duration_since(self.since);
        let waits = match owner.flags & OWNER_EXITED {
            0 if crowded => IDLE_IN_SHORTAGE,
            0 => IDLE,
            _ if owner.joined != 0 && !crowded => METADATA_WAITS,
            _ => Duration::ZERO,
        };
        match self.state {
            State::InUse if !busy && quiet >= waits => {
                self.state = State::Resting;
                self.since = now;
                Step::Retire
            }
            State::Resting if !busy && quiet > REST => {
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

    /// Regression: the search ended at the unfinished slot, so nothing that the interval
    /// wrote had an owner's name.
    #[test]
    fn an_owner_is_found_above_a_slot_that_is_still_being_filled_in() {
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
        let mut highest = Highest::default();
        Reports::of([(&wrote, &Fact::default())].into_iter(), &mut highest);
        let tids: Vec<u32> = handed_out(&owner, highest)
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

    fn exited_writer(generation: u32) -> Owner {
        Owner {
            generation,
            flags: OWNER_EXITED,
            tagged_pages: 10,
            ..Owner::default()
        }
    }

    #[test]
    fn a_slot_is_kept_while_its_exited_task_has_dirty_pages() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = exited_writer(1);
        let later = start + Duration::from_secs(600);
        slots.look(SLOT, &owner, NAMED, start);
        let (deltas, step) = slots.look(SLOT, &owner, QUIET, later).expect("in use");
        assert_eq!((deltas.pending, step), (10, Step::Keep));
    }

    /// The last line of such a task went on saying 240 KiB.
    #[test]
    fn an_exited_task_whose_pages_are_no_longer_pending_has_a_last_line() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let mut owner = exited_writer(1);
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
        let mut owner = exited_writer(1);
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

    /// Looks at a slot three times between two samples. Returns what each look asks for.
    fn looks_between(named: [bool; 3], owner: &Owner) -> [Step; 3] {
        let start = Instant::now();
        let mut slots = Slots::new();
        slots.look(SLOT, &exited_writer(1), NAMED, start);
        let mut at = start;
        named.map(|named| {
            at += REST + Duration::from_millis(1);
            slots.look_between(SLOT, owner, named, at)
        })
    }

    /// With an interval of 10 s, 1,500 tasks a second would need 45,000 slots.
    #[test]
    fn the_slot_of_an_exited_task_is_given_back_between_two_samples() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = Owner {
            tagged_pages: 0,
            ..exited_writer(1)
        };
        slots.look(SLOT, &owner, NAMED, start);
        let step = |slots: &mut Slots, ms| {
            let at = start + Duration::from_millis(ms);
            slots.look_between(SLOT, &owner, false, at)
        };
        assert_eq!(step(&mut slots, 500), Step::Retire);
        assert_eq!(step(&mut slots, 4000), Step::Keep);
        assert_eq!(step(&mut slots, 4600), Step::Free);
        assert_eq!(step(&mut slots, 9000), Step::Keep);
    }

    /// Its number would stand for the next tenant in facts that are not in a sample yet.
    #[test]
    fn a_slot_is_not_given_back_while_anything_refers_to_it() {
        let nothing = [Step::Keep; 3];
        let waits = exited_writer(1);
        assert_eq!(looks_between([false; 3], &waits), nothing);
        let written = Owner {
            cleaned_pages: 10,
            ..exited_writer(1)
        };
        assert_eq!(looks_between([false; 3], &written), nothing, "not reported");
        let another = exited_writer(2);
        assert_eq!(looks_between([false; 3], &another), nothing, "not seen");
    }

    #[test]
    fn a_slot_that_a_fact_names_is_not_given_back() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = Owner {
            tagged_pages: 0,
            ..exited_writer(1)
        };
        slots.look(SLOT, &owner, NAMED, start);
        assert_eq!(slots.look_between(SLOT, &owner, true, start), Step::Keep);
    }

    /// The ranges above the first one have slots in use of their own.
    #[test]
    fn owners_of_each_range_are_found() {
        let used = [SLOT_FIRST, RANGES[1], RANGES[1] + 1, RANGES[2], RANGES[3]];
        let owner = |slot| {
            Some(Owner {
                generation: u32::from(used.contains(&slot)),
                ..Owner::default()
            })
        };
        let found: Vec<Slot> = handed_out(&owner, Highest::default())
            .map(|(slot, _)| slot)
            .collect();
        assert_eq!(found, used);
    }

    /// Its metadata may still wait in the journal, and then for its home.
    #[test]
    fn an_exited_task_that_joined_a_transaction_keeps_its_slot_unless_slots_run_short() {
        let start = Instant::now();
        let owner = Owner {
            generation: 1,
            flags: OWNER_EXITED,
            joined: 1,
            ..Owner::default()
        };
        let step = |slots: &mut Slots, seconds| {
            let at = start + Duration::from_secs(seconds);
            slots.look(SLOT, &owner, QUIET, at).map(|(_, step)| step)
        };
        let mut slots = Slots::new();
        slots.look(SLOT, &owner, NAMED, start);
        assert_eq!(step(&mut slots, 59), Some(Step::Keep));
        assert_eq!(step(&mut slots, 60), Some(Step::Retire));

        let mut slots = Slots::new();
        for other in 0..=CROWDED as u32 {
            slots.look(SLOT + other, &owner, NAMED, start);
        }
        assert_eq!(step(&mut slots, 1), Some(Step::Retire));
        // Now half of the slots are in use, and the others keep theirs.
        let at = start + Duration::from_secs(1);
        let next = slots.look(SLOT + 1, &owner, QUIET, at);
        assert_eq!(next.map(|(_, step)| step), Some(Step::Keep));
    }

    #[test]
    fn the_next_owner_of_a_slot_starts_from_zero() {
        let start = Instant::now();
        let mut slots = Slots::new();
        slots.look(SLOT, &exited_writer(1), NAMED, start);
        let next = Owner {
            generation: 2,
            tagged_pages: 3,
            ..Owner::default()
        };
        let (deltas, _) = slots.look(SLOT, &next, NAMED, start).expect("in use");
        assert_eq!(deltas.dirtied, 3);
    }

    #[test]
    fn tags_lost_to_migration_do_not_keep_a_slot_in_use_for_ever() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = exited_writer(1);
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

    /// Regression: each fact about its metadata put off the correction. An exited task kept its
    /// PENDING for as long as every sync wrote a block of a journal or a directory for it.
    #[test]
    fn lost_tags_of_a_task_whose_metadata_is_still_written_are_corrected() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = Owner {
            joined: 1,
            ..exited_writer(1)
        };
        let pending: Vec<u64> = (0..15)
            .map(|second| {
                let now = start + Duration::from_secs(second);
                let look = slots.look(SLOT, &owner, NAMED, now);
                slots.correct(&[0; SLOTS as usize], now);
                look.expect("in use").0.pending
            })
            .collect();
        assert_eq!(pending[..11], [10; 11]);
        assert_eq!(pending[12..], [0; 3]);
    }

    #[test]
    fn pages_submitted_during_an_audit_do_not_count_as_lost() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = exited_writer(1);
        slots.look(SLOT, &owner, NAMED, start);
        let late = start + Duration::from_secs(100);
        slots.look(SLOT, &owner, QUIET, late);
        // Six of the ten pages were submitted meanwhile: their facts are in the next epoch.
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
    fn a_slot_that_changed_a_moment_ago_is_not_corrected() {
        let start = Instant::now();
        let mut slots = Slots::new();
        let owner = exited_writer(1);
        slots.look(SLOT, &owner, NAMED, start);
        slots.correct(&[0; SLOTS as usize], start);
        let look = slots.look(SLOT, &owner, QUIET, start);
        assert_eq!(look.map(|(deltas, _)| deltas.pending), Some(10));
    }
}
