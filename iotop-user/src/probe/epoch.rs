//! What the kernel half counted between two samples.

use std::{
    mem,
    time::{Duration, Instant},
};

use aya::maps::PerCpuValues;
use iotop_common::{
    BIO_PROGRAMS, CauseKey, EpochPart, Fact, FactKey, Lost, Owner, Totals, fact::FACTS_FILLING,
    tag::Slot,
};

use super::{
    PageDeltas, Probe, ProbeError, batch, programs,
    undelivered::{Counted, add_totals},
    with_map_name,
};

/// How many facts one call takes out of the kernel.
const BATCH: usize = 1024;
/// The same for causes of commits.
const CAUSES_BATCH: usize = 128;

/// While slots may run short, the time between two looks for those that can be given back.
const GIVE_BACK: Duration = Duration::from_millis(500);

/// What the kernel half counted between two samples, in one epoch or several.
#[derive(Debug)]
pub struct Epoch {
    /// All facts. Their slots are those of `owners`.
    pub facts: Vec<(FactKey, Fact)>,
    /// The length of a tick, the unit in which facts count lags.
    pub tick: Duration,
    /// What the facts add up to.
    pub totals: Totals,
    /// Losses, by [`Lost`].
    pub lost: [u64; Lost::COUNT as usize],
    /// Events for which the kernel did not run our program.
    pub missed: u64,
    /// What made journals commit, and how often; without it being wanted, only
    /// [`iotop_common::Cause::Synced`].
    pub causes: Vec<(CauseKey, u64)>,
    /// Every slot in use, with its owner and what the owner did.
    pub owners: Vec<(Slot, Owner, PageDeltas)>,
}

/// An epoch that has ended and waits to be drained.
#[must_use = "an ended epoch keeps its facts until it is drained"]
#[derive(Debug)]
pub struct Turned(u32);

impl Probe {
    /// Ends the current epoch. Events after this call returns belong to the next one.
    ///
    /// # Errors
    ///
    /// A map call failed.
    pub fn turn(&mut self) -> Result<Turned, ProbeError> {
        let ended = self.control_value.epoch & 1;
        self.control_value.epoch = self.control_value.epoch.wrapping_add(1);
        self.control_value.pre_trace = u32::from(Instant::now() < self.old_pages_until);
        with_map_name("CONTROL", self.control.set(0, self.control_value, 0))?;
        Ok(Turned(ended))
    }

    /// What was submitted since the current epoch began: bytes of reads and writes, also of
    /// those that a device turned away.
    ///
    /// # Errors
    ///
    /// A map call failed.
    pub fn submitted_since_turn(&self) -> Result<Totals, ProbeError> {
        let mut totals = Totals::default();
        // Without preemption inside of tracepoints, the first program counts every bio.
        let programs = match self.layout.preemptible {
            0 => 1,
            _ => BIO_PROGRAMS,
        };
        for order in 0..programs {
            let index = EpochPart::index(self.control_value.epoch, order);
            for part in with_map_name("EPOCHS", self.parts.get(&index, 0))?.iter() {
                add_totals(&mut totals, &part.totals);
            }
        }
        Ok(totals)
    }

    /// Takes everything that the ended epoch counted, and leaves it empty: what happened since
    /// the last sample.
    ///
    /// # Errors
    ///
    /// A map call failed.
    pub fn drain(&mut self, turned: Turned, now: Instant) -> Result<Epoch, ProbeError> {
        let counted = self.take_epoch(turned)?;
        let ((facts, causes, totals), without_inode) = self.undelivered.take_with(counted);
        // Before what was recovered: a program that is missed now counts as recovered later.
        let missed_commands = programs::missed_commands(&self.programs);
        let mut lost = self.lost_since()?;
        lost[Lost::FactInodes as usize] += without_inode;
        lost[Lost::Flushes as usize] += mem::take(&mut self.ended_runs.lost);
        let missed = programs::missed(&self.programs);
        let missed_now = missed.saturating_sub(self.missed_before) + lost[Lost::Nested as usize];
        let missed_now = missed_now.saturating_sub(lost[Lost::Recovered as usize]);
        self.missed_before = missed;
        self.recovered_commands += lost[Lost::RecoveredCommands as usize];
        let lost_commands = missed_commands.saturating_sub(self.recovered_commands);
        lost[Lost::Commands as usize] += lost_commands.saturating_sub(self.lost_commands_before);
        self.lost_commands_before = self.lost_commands_before.max(lost_commands);
        let audited = self.audit(&facts, missed_now, now).transpose();
        lost[Lost::Faults as usize] += u64::from(audited.is_err());
        let owners = self.update_owners(&facts, &causes, audited.unwrap_or_default(), now)?;
        self.end_shortage()?;
        self.attach_late(now)?;
        self.journals.make_room(now)?;
        Ok(Epoch {
            facts,
            tick: self.tick,
            totals,
            lost,
            missed: missed_now,
            causes,
            owners,
        })
    }

    /// Makes room in the kernel half before the end of the interval, where it runs short: ends
    /// the epoch and keeps what it counted for the next sample, and gives slots back.
    ///
    /// # Errors
    ///
    /// A map call failed.
    pub fn make_room(&mut self, now: Instant) -> Result<(), ProbeError> {
        while self.wake.next().is_some() {}
        self.take_ended_runs();
        let index = self.control_value.epoch & 1;
        let entered = with_map_name("ENTERED", self.entered.get(&index, 0))?;
        let is_short = self.slots.is_crowded() && now >= self.given_back + GIVE_BACK;
        if entered < FACTS_FILLING && !is_short {
            return Ok(());
        }
        let turned = self.turn()?;
        let counted = self.take_epoch(turned)?;
        self.undelivered.add(counted);
        if is_short {
            self.given_back = now;
            self.give_back_slots(now)?;
        }
        Ok(())
    }

    /// Takes the facts, causes and totals of the epoch that has ended.
    fn take_epoch(&mut self, Turned(ended): Turned) -> Result<Counted, ProbeError> {
        self.grace.wait().map_err(|source| ProbeError::Call {
            call: "BPF_MAP_UPDATE_ELEM",
            map: "of maps",
            source,
        })?;
        let mut facts: Vec<(FactKey, Fact)> = batch::drain(&self.facts[ended as usize], BATCH)
            .map_err(|source| ProbeError::Call {
                call: "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
                map: if ended == 0 {
                    "FACTS_EVEN"
                } else {
                    "FACTS_ODD"
                },
                source,
            })?;
        with_map_name("ENTERED", self.entered.set(ended, 0, 0))?;
        let mut totals = self.take_parts(ended, &mut facts)?;
        self.turned_away.take_out(&mut facts, &mut totals);
        let causes = self.take_causes(ended)?;
        Ok((facts, causes, totals))
    }

    /// Takes the causes of commits that the ended epoch counted.
    fn take_causes(&mut self, ended: u32) -> Result<Vec<(CauseKey, u64)>, ProbeError> {
        batch::drain(&self.causes[ended as usize], CAUSES_BATCH).map_err(|source| {
            ProbeError::Call {
                call: "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
                map: if ended == 0 {
                    "CAUSES_EVEN"
                } else {
                    "CAUSES_ODD"
                },
                source,
            }
        })
    }

    /// Takes the parts of all CPUs. Returns the totals, and adds to `facts` those that have
    /// not been entered in the table yet.
    fn take_parts(
        &mut self,
        ended: u32,
        facts: &mut Vec<(FactKey, Fact)>,
    ) -> Result<Totals, ProbeError> {
        let mut totals = Totals::default();
        for order in 0..BIO_PROGRAMS {
            let index = EpochPart::index(ended, order);
            for part in self.take_part(index)?.iter() {
                add_totals(&mut totals, &part.totals);
                if part.fact.bytes != 0 {
                    facts.push((part.key, part.fact));
                }
            }
        }
        Ok(totals)
    }

    /// Takes the parts of all CPUs at an index, and resets them.
    fn take_part(&mut self, index: u32) -> Result<PerCpuValues<EpochPart>, ProbeError> {
        let map = "EPOCHS";
        let parts = with_map_name(map, self.parts.get(&index, 0))?;
        let empty = PerCpuValues::try_from(vec![EpochPart::default(); parts.len()]);
        let empty = empty.map_err(|source| ProbeError::Call {
            call: "counting CPUs",
            map,
            source,
        })?;
        with_map_name(map, self.parts.set(index, empty, 0))?;
        Ok(parts)
    }

    fn lost_since(&mut self) -> Result<[u64; Lost::COUNT as usize], ProbeError> {
        let mut since = [0; Lost::COUNT as usize];
        for (n, (since, before)) in since.iter_mut().zip(&mut self.lost_before).enumerate() {
            let total = with_map_name("LOST", self.lost.get(&(n as u32), 0))?
                .iter()
                .sum::<u64>();
            *since = total.saturating_sub(*before);
            *before = total;
        }
        Ok(since)
    }
}
