//! One row in detail: where its bytes went in the last minute, and which tasks
//! submitted them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use iotop_common::Class;

use super::{
    recent::{Movement, Person, Recent},
    rows::RowKey,
};
use crate::{
    cli::GroupBy,
    escape::task_name,
    output::{reached::Reached, units},
    sample::{FlushLag, Metadata, Reason, kind_of_estimate, sum},
};

/// Content of the detail page.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// The time that the figures cover.
    pub span: Duration,
    /// Bytes written because of the row: those known exactly, those estimated, and on a
    /// device or in a file those without an owner.
    pub written: u64,
    /// The parts of `written` that have an owner.
    pub reached: Reached,
    /// The bytes of its write calls and their number; `None` if they are not known.
    pub calls: Option<(u64, u64)>,
    /// Bytes read.
    pub read: u64,
    /// Bytes it submitted for others.
    pub for_others: u64,
    /// How long its bytes had been dirty.
    pub lag: Option<FlushLag>,
    /// Its files.
    pub files: Vec<Part>,
    /// Its devices.
    pub devices: Vec<Part>,
    /// The tasks that submitted its writes.
    pub submitters: Vec<Part>,
    /// The owners: of a group's, device's or file's bytes, and of what a row submitted
    /// for others.
    pub owners: Vec<Part>,
}

/// A part of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The file, device or task.
    pub name: Arc<str>,
    /// Bytes written.
    pub written: u64,
    /// Bytes read.
    pub read: u64,
}

/// Decides which movements belong to a row.
pub struct Target<'a> {
    /// The row.
    pub key: &'a RowKey,
    /// What the rows are grouped by.
    pub by: GroupBy,
}

impl Target<'_> {
    fn is(&self, person: &Person) -> bool {
        match (self.key, self.by) {
            // A process row has its leader's key, but the person may be any of its
            // threads.
            (RowKey::Task(key), GroupBy::Process) => person.pid == key.tid,
            (key, by) => RowKey::of_person(person, by).as_ref() == Some(key),
        }
    }

    /// Whether the bytes are the row's own: by their owner, or by where they went if
    /// rows are devices or files.
    fn owns(&self, movement: &Movement) -> bool {
        match (RowKey::of_place(movement, self.by), &movement.owner) {
            (Some(place), _) => place == *self.key,
            (None, Some(owner)) => self.is(owner),
            (None, None) => false,
        }
    }
}

impl Detail {
    /// Adds a movement to the part that it belongs to.
    fn add(&mut self, movement: &Movement) {
        let part = match (movement.class, &movement.owner) {
            (Class::Exact | Class::Direct, Some(_)) => &mut self.reached.exact,
            (class, Some(_)) if kind_of_estimate(class).is_some() => &mut self.reached.shared,
            _ => return,
        };
        *part += movement.bytes;
        let metadata = Metadata::of(movement.class, movement.bytes);
        self.reached.metadata = self.reached.metadata + metadata;
    }
}

/// Builds the detail of a row.
pub fn detail(recent: &Recent, target: &Target<'_>) -> Detail {
    let mut detail = Detail::default();
    let several: Arc<str> = match recent.told_apart() {
        Some(span) => format!("files older than {}", units::duration(span)).into(),
        None => "several files".into(),
    };
    let mut files = Parts::default();
    let mut devices = Parts::default();
    let mut submitters = Parts::default();
    let mut owners = Parts::default();
    let intervals = || recent.intervals_by(target.by);
    detail.span = intervals().map(|interval| interval.length).sum();
    let movements = intervals().flat_map(|interval| &interval.movements);
    for movement in movements.filter(|m| m.class != Class::Stacked) {
        let submitted = movement.submitter.as_deref().is_some_and(|s| target.is(s));
        if target.owns(movement) {
            let file = movement.file.as_ref().unwrap_or(&several);
            files.add(with_kind(file.clone(), movement), movement);
            devices.add(movement.device_name.clone(), movement);
            if movement.class == Class::Read {
                detail.read += movement.bytes;
            } else {
                detail.written += movement.bytes;
                submitters.add(name(movement.submitter.as_deref()), movement);
            }
            detail.add(movement);
            detail.lag = sum(detail.lag, movement.lag.as_ref().map(FlushLag::from));
            // A task row is the only owner of its own bytes.
            if matches!(target.key, RowKey::Group(_)) {
                owners.add(owner(movement), movement);
            }
        } else if submitted && movement.class != Class::Read {
            if movement.owner.is_some() {
                detail.for_others += movement.bytes;
            }
            owners.add(owner(movement), movement);
        }
    }
    let counted = intervals().flat_map(|interval| &interval.counted);
    let its = counted.filter(|counted| target.is(&counted.task));
    for (bytes, calls) in its.filter_map(|counted| counted.calls) {
        let (all, number) = detail.calls.unwrap_or_default();
        detail.calls = Some((all + bytes, number + calls));
    }
    detail.files = files.sorted();
    detail.devices = devices.sorted();
    detail.submitters = submitters.sorted();
    detail.owners = owners.sorted();
    detail
}

fn owner(movement: &Movement) -> Arc<str> {
    match (&movement.owner, movement.class) {
        (Some(owner), _) => with_kind(name(Some(owner)), movement),
        (None, Class::Read) => name(movement.submitter.as_deref()),
        (None, class) => {
            let reason = Reason::of(class).unwrap_or(Reason::Unknown);
            format!("no owner: {}", reason.sentence()).into()
        }
    }
}

fn name(person: Option<&Person>) -> Arc<str> {
    match person {
        None => "unknown task".into(),
        Some(person) if person.kthread => task_name(&person.comm, true).into(),
        Some(person) => {
            let place = person.container.as_ref().or(person.unit.as_ref());
            let place = place.map_or(String::new(), |place| format!(" in {place}"));
            let name = task_name(&person.comm, false);
            format!("{name} ({}){place}", person.key.tid).into()
        }
    }
}

/// Appends the kind of the bytes if they are estimated, so that they are never added up with
/// exact ones.
fn with_kind(name: Arc<str>, movement: &Movement) -> Arc<str> {
    match kind_of_estimate(movement.class) {
        Some(kind) if movement.owner.is_some() => format!("{name}, ~{kind}").into(),
        _ => name,
    }
}

#[derive(Default)]
struct Parts(HashMap<Arc<str>, (u64, u64)>);

impl Parts {
    fn add(&mut self, name: Arc<str>, movement: &Movement) {
        let (written, read) = self.0.entry(name).or_default();
        match movement.class {
            Class::Read => *read += movement.bytes,
            _ => *written += movement.bytes,
        }
    }

    fn sorted(self) -> Vec<Part> {
        let part = |(name, (written, read))| Part {
            name,
            written,
            read,
        };
        let mut parts: Vec<Part> = self.0.into_iter().map(part).collect();
        parts.sort_by(|a, b| {
            let most = |part: &Part| part.written.saturating_add(part.read);
            most(b).cmp(&most(a)).then_with(|| a.name.cmp(&b.name))
        });
        parts
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        golden,
        host::devices::DeviceNames,
        sample::{BlockFact, Sample},
    };

    const MIB: u64 = 1 << 20;

    fn of(key: RowKey, by: GroupBy) -> Detail {
        twice(&golden::sample(), key, by)
    }

    fn twice(sample: &Sample, key: RowKey, by: GroupBy) -> Detail {
        let mut devices = DeviceNames::new(Path::new("/nonexistent"));
        let mut recent = Recent::default();
        recent.add(sample, &mut devices, false);
        recent.add(sample, &mut devices, false);
        detail(&recent, &Target { key: &key, by })
    }

    fn parts(parts: &[Part]) -> Vec<(&str, u64)> {
        parts
            .iter()
            .map(|part| (&*part.name, part.written))
            .collect()
    }

    #[test]
    fn an_exited_writer_has_its_file_its_device_and_its_flusher() {
        let tasks = golden::sample().tasks;
        let dd = of(RowKey::Task(tasks[0].key()), GroupBy::Thread);
        assert_eq!((dd.written, dd.read), (512 * MIB, 0));
        assert_eq!(parts(&dd.files), [("/srv/x", 512 * MIB)]);
        assert_eq!(parts(&dd.devices), [("8:1", 512 * MIB)]);
        assert_eq!(parts(&dd.submitters), [("[kworker/u8:2]", 512 * MIB)]);
        assert!(dd.owners.is_empty() && dd.lag.is_some());
    }

    #[test]
    fn a_flusher_has_the_owners_of_what_it_submitted() {
        let tasks = golden::sample().tasks;
        let kworker = of(RowKey::Task(tasks[1].key()), GroupBy::Thread);
        assert_eq!((kworker.written, kworker.for_others), (0, 512 * MIB));
        assert_eq!(parts(&kworker.owners), [("dd (1200)", 512 * MIB)]);
        let jbd2 = of(RowKey::Task(tasks[2].key()), GroupBy::Thread);
        assert_eq!(
            parts(&jbd2.owners),
            [("no owner: metadata or journal", 81920)]
        );
    }

    #[test]
    fn estimated_bytes_are_apart_from_exact_ones_and_named_by_kind() {
        let sample = golden::journaled();
        const KIB: u64 = 1024;
        let key = |task: usize| RowKey::Task(sample.tasks[task].key());
        let db = twice(&sample, key(3), GroupBy::Thread);
        assert_eq!(db.calls, Some((2 * (234 << 10), 1600)));
        assert_eq!(db.reached.exact, 6 * MIB);
        assert_eq!(db.reached.shared, 2 * (12_300 + 80 + 4 + 32) * KIB);
        let kinds = db.reached.metadata.parts().map(|(_, bytes)| bytes);
        assert_eq!(kinds, [12_300, 80, 32].map(|kib| 2 * kib * KIB));
        assert_eq!(db.written, db.reached.exact + db.reached.shared);
        let jbd2 = twice(&sample, key(2), GroupBy::Thread);
        assert_eq!(
            parts(&jbd2.owners),
            [
                ("postgres (900), ~journal", 24_600 * KIB),
                ("walwriter (901), ~journal", 800 * KIB),
                ("no owner: metadata or journal", 81920),
            ]
        );
        assert_eq!(jbd2.for_others, 25_400 * KIB);
        // Its two threads, one of which made no call.
        let process = twice(&sample, key(3), GroupBy::Process);
        assert_eq!(process.calls, db.calls);
        assert_eq!(process.reached.metadata.journal, 25_400 * KIB);
        let device = RowKey::Group(Some("8:1".into()));
        let device = twice(&sample, device, GroupBy::Device);
        assert_eq!(device.calls, None);
        let owned = device.reached.exact + device.reached.shared;
        assert_eq!(device.written, owned + 81920);
    }

    #[test]
    fn a_process_has_its_threads_bytes_and_a_group_its_tasks() {
        let tasks = golden::sample().tasks;
        let db = of(RowKey::Task(tasks[3].key()), GroupBy::Process);
        assert_eq!((db.written, db.for_others), (6 * MIB, 0));
        let user = of(RowKey::Group(Some("postgres".into())), GroupBy::User);
        assert_eq!(user.written, 6 * MIB);
        let owners: u64 = user.owners.iter().map(|part| part.written).sum();
        assert_eq!(owners, 6 * MIB, "which of its tasks it was");
    }

    #[test]
    fn older_files_of_a_task_with_thousands_are_one_part_and_no_byte_is_lost() {
        const FILES: u64 = 5000;
        let mut devices = DeviceNames::new(Path::new("/nonexistent"));
        let mut recent = Recent::default();
        let mut sample = golden::sample();
        let one = sample.facts[0];
        let fact = |ino| BlockFact { ino, ..one };
        sample.facts = (1..=FILES).map(|ino| fact(ino << 32)).collect();
        for _ in 0..3 {
            recent.add(&sample, &mut devices, false);
        }
        let of = |key: RowKey, by| detail(&recent, &Target { key: &key, by });
        let dd = of(RowKey::Task(sample.tasks[0].key()), GroupBy::Thread);
        assert_eq!(dd.span, 3 * sample.interval);
        assert_eq!(dd.written, 3 * FILES * one.bytes);
        let (older, newest) = dd.files.split_first().expect("files");
        assert_eq!(&*older.name, "files older than 2.0s");
        assert_eq!(older.written, 2 * FILES * one.bytes);
        assert_eq!(newest.len() as u64, FILES);
        // A file's own bytes are known as far back as files are kept apart.
        let file = of(RowKey::Group(Some(newest[0].name.clone())), GroupBy::File);
        assert_eq!((file.span, file.written), (sample.interval, one.bytes));
    }

    #[test]
    fn every_byte_on_a_device_or_file_has_an_owner_or_a_reason() {
        for (name, by, written) in [
            ("8:1", GroupBy::Device, 259 * MIB + 40960),
            ("/srv/x", GroupBy::File, 259 * MIB),
            ("metadata of 8:1", GroupBy::File, 40960),
        ] {
            let detail = of(RowKey::Group(Some(name.into())), by);
            let owned: u64 = detail.owners.iter().map(|part| part.written).sum();
            assert_eq!(detail.written, 2 * written);
            assert_eq!(owned, detail.written);
        }
    }
}
