//! Who made requests to some devices in an interval.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use iotop_common::Class;

use crate::sample::{
    BlockFact, Flush, FlushFile, FlushOwner, Metadata, Number, Reason, Request, Rhythm, Sample,
    Suspect, Task, TaskKey, Written, sum,
};

/// At most this many files of a request are named.
const FILES: usize = 5;

/// What tasks have in common that are one and the same to the user, as the daily processes of
/// one cron job are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Culprit {
    comm: Arc<str>,
    kthread: bool,
    /// The container or the unit.
    place: Option<Arc<str>>,
    uid: Option<u32>,
    /// Why there is no owner.
    unowned: Option<&'static str>,
}

/// A culprit and what it asked for.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub culprit: Culprit,
    pub suspect: Suspect,
}

impl Culprit {
    fn of(task: &Task) -> Culprit {
        // A kworker's name says on which CPU it is.
        let comm = match task.kthread && task.comm.starts_with("kworker/") {
            true => "kworker".into(),
            false => task.comm.clone(),
        };
        Culprit {
            comm,
            kthread: task.kthread,
            place: task.container.clone().or_else(|| task.unit.clone()),
            uid: task.uid,
            unowned: None,
        }
    }

    fn none(reason: Reason) -> Culprit {
        Culprit {
            unowned: Some(reason.name()),
            ..Culprit::default()
        }
    }
}

/// The suspects by culprit, with the tasks of each and their bytes.
#[derive(Default)]
struct Suspects(HashMap<Culprit, (Suspect, HashMap<TaskKey, u64>)>);

impl Suspects {
    fn add(&mut self, task: Option<Task>, unowned: Option<Reason>, request: Request) {
        let culprit = match &task {
            Some(task) => Culprit::of(task),
            None => Culprit::none(unowned.unwrap_or(Reason::Unknown)),
        };
        let (suspect, tasks) = self.0.entry(culprit).or_insert_with(|| {
            let suspect = Suspect {
                task: None,
                unowned,
                tasks: 0,
                requests: Vec::new(),
                rhythm: Rhythm::default(),
            };
            (suspect, HashMap::new())
        });
        if let Some(task) = task {
            let largest = tasks.values().copied().max();
            if !tasks.contains_key(&task.key()) {
                suspect.tasks += task.tasks();
            }
            let bytes = tasks.entry(task.key()).or_default();
            *bytes += request.bytes;
            if Some(*bytes) > largest {
                suspect.task = Some(task);
            }
        }
        let same = |known: &&mut Request| is_alike(known, &request);
        match suspect.requests.iter_mut().find(same) {
            Some(known) => add_request(known, request),
            None => suspect.requests.push(request),
        }
    }

    /// Those with most bytes first.
    fn found(self) -> Vec<Found> {
        let found = self.0.into_iter();
        let mut found: Vec<Found> = found
            .map(|(culprit, (mut suspect, _))| {
                suspect.requests.iter_mut().for_each(sum_files);
                let by_bytes = |request: &Request| std::cmp::Reverse(request.bytes);
                suspect.requests.sort_by_key(by_bytes);
                Found { culprit, suspect }
            })
            .collect();
        found.sort_by(|a, b| {
            let bytes = b.suspect.bytes().cmp(&a.suspect.bytes());
            bytes.then_with(|| a.culprit.comm.cmp(&b.culprit.comm))
        });
        found
    }
}

/// True if both are of one kind, made to one device by one submitter for one reason.
fn is_alike(a: &Request, b: &Request) -> bool {
    let reason = |request: &Request| request.flush.as_ref().map(|flush| flush.reason.clone());
    let comm = |request: &Request| request.submitter.as_ref().map(|task| task.comm.clone());
    a.read == b.read && a.device == b.device && reason(a) == reason(b) && comm(a) == comm(b)
}

fn add_request(known: &mut Request, other: Request) {
    known.bytes += other.bytes;
    known.shared += other.shared;
    known.metadata = known.metadata + other.metadata;
    known.lag = sum(known.lag, other.lag);
    known.files.extend(other.files);
}

/// Each file once, the largest first, and at most [`FILES`] of them.
fn sum_files(request: &mut Request) {
    let mut files: BTreeMap<(u64, u32), FlushFile> = BTreeMap::new();
    for file in request.files.drain(..) {
        let known = files.entry((file.ino, file.file));
        known
            .and_modify(|known| known.bytes += file.bytes)
            .or_insert(file);
    }
    request.files = files.into_values().collect();
    let by_bytes = |file: &FlushFile| std::cmp::Reverse(file.bytes);
    request.files.sort_by_key(by_bytes);
    request.more_files = request.files.len().saturating_sub(FILES) as u64;
    request.files.truncate(FILES);
}

fn request(device: Number, bytes: u64) -> Request {
    Request {
        device,
        read: false,
        bytes,
        shared: 0,
        metadata: Metadata::default(),
        lag: None,
        files: Vec::new(),
        more_files: 0,
        flush: None,
        submitter: None,
    }
}

/// Who read from these devices or caused writes to them.
pub(super) fn requests(
    sample: &Sample,
    devices: &HashSet<Number>,
    mut name: impl FnMut(&mut Task),
) -> Vec<Found> {
    let mut suspects = Suspects::default();
    let flushes = sample.flushes.iter();
    for flush in flushes.filter(|flush| devices.contains(&flush.device)) {
        add_flush(&mut suspects, flush);
    }
    let reads = sample.facts.iter().filter(|fact| {
        fact.class == Class::Read && fact.bytes != 0 && devices.contains(&fact.device)
    });
    for ((reader, device), facts) in by_task(reads, |fact| fact.owner.or(fact.submitter)) {
        let task = reader.map(|reader| {
            let mut task = Task::clone(&sample.tasks[reader]);
            name(&mut task);
            task
        });
        let files = facts.iter().filter(|fact| fact.ino != 0);
        let files = files.map(|fact| FlushFile {
            ino: fact.ino,
            file: fact.file,
            path: sample.paths.get(&fact.file_key()).cloned(),
            bytes: fact.bytes,
        });
        let bytes = facts.iter().map(|fact| fact.bytes).sum();
        let request = Request {
            read: true,
            files: files.collect(),
            ..request(device, bytes)
        };
        suspects.add(task, None, request);
    }
    suspects.found()
}

/// Who submitted copies of writes to devices on top of these.
pub(super) fn copies(
    sample: &Sample,
    devices: &HashSet<Number>,
    mut name: impl FnMut(&mut Task),
) -> Vec<Found> {
    let mut suspects = Suspects::default();
    let copies = sample
        .facts
        .iter()
        .filter(|fact| fact.class == Class::Stacked && devices.contains(&fact.device));
    for ((submitter, device), facts) in by_task(copies, |fact| fact.submitter) {
        let task = submitter.map(|submitter| {
            let mut task = Task::clone(&sample.tasks[submitter]);
            name(&mut task);
            task
        });
        let bytes = facts.iter().map(|fact| fact.bytes).sum();
        suspects.add(task, Some(Reason::Stacked), request(device, bytes));
    }
    suspects.found()
}

/// Facts by task and device, in a fixed order.
fn by_task<'a>(
    facts: impl Iterator<Item = &'a BlockFact>,
    task: impl Fn(&BlockFact) -> Option<usize>,
) -> BTreeMap<(Option<usize>, Number), Vec<&'a BlockFact>> {
    let mut by_task: BTreeMap<_, Vec<&BlockFact>> = BTreeMap::new();
    for fact in facts {
        let key = (task(fact), fact.device);
        by_task.entry(key).or_default().push(fact);
    }
    by_task
}

fn add_flush(suspects: &mut Suspects, flush: &Flush) {
    let written = &flush.written;
    let head = Arc::new(Flush {
        device: flush.device,
        device_name: flush.device_name.clone(),
        reason: flush.reason.clone(),
        submitter: flush.submitter.clone(),
        runs: flush.runs.clone(),
        inodes: flush.inodes,
        written: Written {
            totals: written.totals,
            bios: written.bios,
            lag: written.lag,
            owners: Vec::new(),
        },
        logged: flush.logged,
        commits: None,
    });
    for owner in &written.owners {
        let submitter = flush.submitter.clone();
        let is_other = |submitter: &Task| submitter.key() != owner.task.key();
        let request = of_owner(owner, &head, submitter.filter(is_other));
        suspects.add(Some(owner.task.clone()), None, request);
    }
    let unowned = written.totals.unattributed.parts();
    for (reason, bytes) in unowned.filter(|(reason, n)| reason.is_in_total() && *n != 0) {
        let request = Request {
            flush: Some(head.clone()),
            submitter: flush.submitter.clone(),
            ..request(flush.device, bytes)
        };
        suspects.add(None, Some(reason), request);
    }
}

fn of_owner(owner: &FlushOwner, flush: &Arc<Flush>, submitter: Option<Task>) -> Request {
    let known = owner.files.iter().filter(|file| file.ino != 0);
    Request {
        shared: owner.shared,
        metadata: owner.metadata,
        lag: owner.lag,
        files: known.cloned().collect(),
        flush: Some(flush.clone()),
        submitter,
        ..request(flush.device, owner.bytes)
    }
}
