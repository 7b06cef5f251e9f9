//! Whose data a task submits, or submitted last.

use std::{collections::HashMap, time::Duration};

use super::recent::Recent;
use crate::{
    output::{cell::Scale, whom::Whose},
    sample::{Submitted, SubmitterKey, Task, is_write},
    view::OnDevice,
};

/// For each task, whose data it submitted last.
#[derive(Debug, Default)]
pub struct WhomOf {
    whom: HashMap<SubmitterKey, Whom>,
    processes: bool,
}

/// The owners of what one task submitted in one interval.
#[derive(Debug)]
pub struct Whom {
    kthread: bool,
    /// How long ago that was; `None`: in the interval that is shown.
    ago: Option<Duration>,
    interval: Duration,
    submitted: Submitted,
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
                let [key, owner_key] = [submitter, owner].map(|person| {
                    let key = person.key;
                    SubmitterKey::new(person.pid, key.tid, key.start_boottime, processes)
                });
                if key == owner_key || !is_write(movement.class) || of.whom.contains_key(&key) {
                    continue;
                }
                let whom = now.entry(key).or_insert_with(|| Whom {
                    kthread: submitter.kthread,
                    ago,
                    interval: interval.length,
                    submitted: Submitted::default(),
                });
                let device = (movement.device_name.clone(), movement.device);
                let submitted = &mut whom.submitted;
                submitted.add(device, &owner.comm, movement.class, movement.bytes);
            }
            of.whom.extend(now);
            ago = Some(ago.unwrap_or_default() + interval.length);
        }
        of
    }

    /// The entry of a task, if it has one.
    pub fn of(&self, task: &Task) -> Option<&Whom> {
        self.whom.get(&SubmitterKey::of(task, self.processes))
    }
}

impl Whom {
    /// Whether it wrote in the interval that is shown.
    pub fn is_now(&self) -> bool {
        self.ago.is_none()
    }

    /// Whose data it was and how much: the longest text that fits in `room` columns.
    pub fn text(&self, room: usize, kilobytes: bool) -> String {
        let whose = Whose {
            kthread: self.kthread,
            ago: self.ago,
            scale: Scale {
                interval: self.interval,
                accumulated: false,
                kilobytes,
            },
        };
        whose.text(&self.submitted, room)
    }
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
            (23, "-> dd 80%, postgres 20%"),
            (22, "-> dd 80%, 1 more"),
            (5, "-> dd 80%"),
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
