//! Whose data a task submits, or submitted last.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use iotop_common::Class;
use unicode_width::UnicodeWidthStr as _;

use super::{
    owned::Owned,
    recent::{Interval, Person, Recent},
};
use crate::{
    escape::escape,
    output::units,
    sample::{Task, kind_of_estimate},
    view::OnDevice,
};

/// At most this many owners are named.
const NAMED: usize = 3;

/// For each task, whose data it submitted last.
#[derive(Debug, Default)]
pub struct WhomOf {
    whom: HashMap<(u32, u64), Whom>,
    processes: bool,
}

/// The owners of what one task submitted in one interval.
#[derive(Debug)]
pub struct Whom {
    kthread: bool,
    /// How long ago that was; `None`: in the interval that is shown.
    ago: Option<Duration>,
    interval: Duration,
    devices: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Owned>>,
}

impl WhomOf {
    /// Finds, for each task or process, the last interval in which it submitted bytes
    /// of other owners.
    pub fn new(recent: &Recent, device: Option<&OnDevice>, processes: bool) -> WhomOf {
        let mut of = WhomOf {
            whom: HashMap::new(),
            processes,
        };
        let mut ago = None;
        for interval in recent.intervals().rev() {
            let mut now = HashMap::new();
            for movement in interval.movements.iter().filter(|m| m.is_on(device)) {
                let (Some(submitter), Some(owner)) = (&movement.submitter, &movement.owner) else {
                    continue;
                };
                let key = of.key(
                    submitter.pid,
                    submitter.key.tid,
                    submitter.key.start_boottime,
                );
                let owner_key = of.key(owner.pid, owner.key.tid, owner.key.start_boottime);
                if key == owner_key || movement.class == Class::Read || of.whom.contains_key(&key) {
                    continue;
                }
                let whom = now
                    .entry(key)
                    .or_insert_with(|| Whom::new(submitter, ago, interval));
                let owners = whom
                    .devices
                    .entry(movement.device_name.clone())
                    .or_default();
                let estimated = kind_of_estimate(movement.class).map_or(0, |_| movement.bytes);
                let owned = owners.entry(owner.comm.clone()).or_default();
                *owned = *owned + Owned::new(movement.bytes, estimated);
            }
            of.whom.extend(now);
            ago = Some(ago.unwrap_or_default() + interval.length);
        }
        of
    }

    /// The entry of a task, if it has one.
    pub fn of(&self, task: &Task) -> Option<&Whom> {
        self.whom
            .get(&self.key(task.pid, task.tid, task.start_boottime))
    }

    /// A process is identified by its PID alone: the submitting thread need not be the
    /// leader, and its start time would differ from the leader's.
    fn key(&self, pid: u32, tid: u32, start: u64) -> (u32, u64) {
        match self.processes {
            true => (pid, 0),
            false => (tid, start),
        }
    }
}

impl Whom {
    fn new(submitter: &Person, ago: Option<Duration>, interval: &Interval) -> Whom {
        Whom {
            kthread: submitter.kthread,
            ago,
            interval: interval.length,
            devices: BTreeMap::new(),
        }
    }

    /// Whether it wrote in the interval that is shown.
    pub fn is_now(&self) -> bool {
        self.ago.is_none()
    }

    /// `flush sda1 63.10M/s -> postgres 81%, rsyslog 12%`: the longest text that fits
    /// in `room` columns. The owners are left out last. A share with `~` is partly estimated.
    pub fn text(&self, room: usize, kilobytes: bool) -> String {
        let verb = match (self.kthread, self.ago) {
            (true, None) => "flush",
            (true, Some(_)) => "flushed",
            (false, None) => "writes",
            (false, Some(_)) => "wrote",
        };
        let ago = self
            .ago
            .map(|ago| format!("{:.0}s ago ", ago.as_secs_f64().max(1.0)));
        let ago = ago.unwrap_or_default();
        let all = |rate: bool| {
            let parts = self.devices.iter().map(|(device, owners)| {
                let bytes: u64 = owners.values().map(|owned| owned.bytes).sum();
                let rate = match rate {
                    true => format!("{} ", self.rate(bytes, kilobytes)),
                    false => String::new(),
                };
                format!("{} {rate}{ago}-> {}", escape(device), shares(owners))
            });
            format!("{verb} {}", parts.collect::<Vec<_>>().join("; "))
        };
        let owners = |ago: &str| {
            let mut sums: BTreeMap<Arc<str>, Owned> = BTreeMap::new();
            for (owner, owned) in self.devices.values().flatten() {
                let sum = sums.entry(owner.clone()).or_default();
                *sum = *sum + *owned;
            }
            format!("{ago}-> {}", shares(&sums))
        };
        let fits = |text: &String| text.width() <= room;
        Some(all(self.is_now()))
            .filter(fits)
            .or_else(|| Some(all(false)).filter(fits))
            .or_else(|| Some(owners(&ago)).filter(fits))
            .unwrap_or_else(|| owners(""))
    }

    fn rate(&self, bytes: u64, kilobytes: bool) -> String {
        let seconds = self.interval.as_secs_f64().max(0.001);
        format!("{}/s", units::bytes(bytes as f64 / seconds, kilobytes))
    }
}

fn shares(owners: &BTreeMap<Arc<str>, Owned>) -> String {
    let all: u64 = owners.values().map(|owned| owned.bytes).sum();
    let mut owners: Vec<(&Arc<str>, Owned)> = owners.iter().map(|(name, n)| (name, *n)).collect();
    owners.sort_by_key(|(_, owned)| std::cmp::Reverse(owned.bytes));
    // Leave out owners with at most 0.5 %.
    let least = all / 200;
    owners.retain(|(_, owned)| owned.bytes > least);
    let rest = owners.len().saturating_sub(NAMED);
    let mut parts: Vec<String> = owners
        .into_iter()
        .take(NAMED)
        .map(|(comm, owned)| {
            let percent = 100.0 * owned.bytes as f64 / all.max(1) as f64;
            format!("{} {}{percent:.0}%", escape(comm), owned.mark())
        })
        .collect();
    if rest != 0 {
        parts.push(format!("{rest} more"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{golden, host::devices::DeviceNames, sample::Sample};

    fn said(samples: &[Sample], task: usize, room: usize) -> Option<String> {
        let mut devices = DeviceNames::new(Path::new("/nonexistent"));
        let mut recent = Recent::default();
        for sample in samples {
            recent.add(sample, &mut devices, false);
        }
        let of = WhomOf::new(&recent, None, false);
        let whom = of.of(&golden::sample().tasks[task])?;
        Some(whom.text(room, false))
    }

    #[test]
    fn a_flusher_names_its_owners_and_as_much_else_as_fits() {
        let mut sample = golden::sample();
        sample.facts[3].submitter = Some(1);
        sample.facts[3].bytes = 64 << 20;
        for (room, text) in [
            (50, "flush 8:1 160.00M/s -> dd 80%, postgres 20%"),
            (40, "flush 8:1 -> dd 80%, postgres 20%"),
            (20, "-> dd 80%, postgres 20%"),
        ] {
            let said = said(std::slice::from_ref(&sample), 1, room);
            assert_eq!(said.as_deref(), Some(text));
        }
    }

    #[test]
    fn a_journal_names_whose_changes_it_writes_and_marks_the_estimate() {
        let sample = [golden::journaled()];
        assert_eq!(
            said(&sample, 2, 70).as_deref(),
            Some("flush 8:1 6.20M/s -> postgres ~97%, walwriter ~3%")
        );
        // Nearly all that the flusher wrote on the first device is exact.
        assert_eq!(
            said(&sample, 1, 70).as_deref(),
            Some("flush 8:1 128.04M/s -> dd 100%; 8:2 16.00K/s -> postgres ~100%")
        );
    }

    #[test]
    fn the_last_flush_of_a_flusher_that_stopped_is_still_shown() {
        let mut later = golden::sample();
        later.facts.clear();
        let samples = [golden::sample(), later.clone(), later];
        let said = said(&samples, 1, 60);
        assert_eq!(said.as_deref(), Some("flushed 8:1 4s ago -> dd 100%"));
    }

    #[test]
    fn a_task_that_syncs_others_data_names_them_and_one_that_writes_its_own_does_not() {
        let sample = [golden::sample()];
        let walwriter = said(&sample, 4, 60);
        assert_eq!(
            walwriter.as_deref(),
            Some("writes 8:1 512.00K/s -> postgres 100%")
        );
        assert_eq!(said(&sample, 3, 60), None);
    }
}
