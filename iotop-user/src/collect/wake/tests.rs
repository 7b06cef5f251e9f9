//! Silence, who ends it, and how regularly, in made-up samples.

use iotop_common::{Class, FlushId};

use super::*;
use crate::{
    collect::{
        flush::flushes,
        recorded::{ReplayedWakes, leave_out_idle_disks},
    },
    golden,
    sample::{BlockFact, Lag, Lags, Rhythm, SharedTask, Suspect},
};

const SDA: Number = (8, 0);
const SDA1: Number = (8, 1);
const SDB: Number = (8, 16);
const DM: Number = (253, 0);

/// Indices of the golden sample's tasks.
const DD: usize = 0;
const KWORKER: usize = 1;
const DB: usize = 3;

fn disk(number: Number, name: &str) -> Disk {
    Disk {
        number,
        name: name.into(),
        busy: Duration::ZERO,
        read: 0,
        write: 0,
        in_flight: 0,
        partitions: Vec::new(),
        lower: Vec::new(),
    }
}

fn fact(owner: usize, submitter: usize, class: Class, device: Number, bytes: u64) -> BlockFact {
    BlockFact {
        owner: Some(owner),
        submitter: Some(submitter),
        device,
        ino: 12,
        class,
        file: 0,
        flush: FlushId::NONE,
        bytes,
        bios: 1,
        lag: None,
        lags: Lags::default(),
    }
}

fn read(task: usize, device: Number, bytes: u64) -> BlockFact {
    fact(task, task, Class::Read, device, bytes)
}

/// Samples of intervals of one second, on disks that are idle unless a fact says otherwise.
struct Watch {
    wakes: Wakes,
    disks: Vec<Disk>,
    seq: u64,
}

impl Watch {
    fn new(idle: f64) -> Watch {
        let mut sda = disk(SDA, "sda");
        sda.partitions.push(SDA1);
        Watch {
            wakes: Wakes::new(WakeRule {
                idle: Duration::from_secs_f64(idle),
                upper: false,
            }),
            disks: vec![sda, disk(SDB, "sdb")],
            seq: 0,
        }
    }

    fn sample(&mut self, facts: &[BlockFact]) -> Sample {
        self.seq += 1;
        let mut sample = golden::sample();
        sample.seq = self.seq;
        sample.interval = Duration::from_secs(1);
        sample.disks.clone_from(&self.disks);
        sample.facts = facts.to_vec();
        for fact in facts {
            let of_fact = |disk: &&mut Disk| disk.numbers().any(|n| n == fact.device);
            if let Some(disk) = sample.disks.iter_mut().find(of_fact) {
                disk.write += fact.bytes;
            }
        }
        sample.flushes = flushes(facts, &sample.tasks, &mut golden::Named::default());
        sample
    }

    fn interval(&mut self, facts: &[BlockFact]) -> Vec<Wake> {
        let sample = self.sample(facts);
        self.wakes.look(&sample, false, |_| ())
    }

    fn silent(&mut self, intervals: usize) {
        for n in 0..intervals {
            let wakes = self.interval(&[]);
            assert!(wakes.is_empty(), "{n}: {wakes:?}");
        }
    }
}

fn names(wake: &Wake) -> Vec<&str> {
    let comm = |task: &Task| match &*task.comm {
        "dd" => "dd",
        "postgres" => "postgres",
        "kworker/u8:2" => "kworker",
        "jbd2/sda1-8" => "jbd2",
        _ => "another",
    };
    let suspects = wake.suspects.iter();
    suspects
        .map(|suspect| suspect.task.as_ref().map_or("nobody", comm))
        .collect()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_first_request_after_silence_has_its_task_file_and_bytes() {
    let mut watch = Watch::new(3.0);
    assert!(
        watch.interval(&[read(DB, SDA1, 8192)]).is_empty(),
        "at the start"
    );
    watch.silent(3);
    let wakes = watch.interval(&[read(DB, SDA1, 4096)]);
    let [wake] = &wakes[..] else {
        panic!("{wakes:?}")
    };
    assert_eq!(
        (wake.disk, &*wake.disk_name),
        (SDA, "sda"),
        "the whole disk"
    );
    let silence = Silence {
        at_least: seconds(3),
        at_most: Some(seconds(5)),
    };
    assert_eq!(wake.silence, silence);
    let suspect = wake.culprit().expect("only one");
    assert_eq!(names(wake), ["postgres"]);
    assert_eq!((suspect.bytes(), suspect.read()), (4096, 4096));
    let file = &suspect.requests[0].files[0];
    assert_eq!(file.path.as_deref(), Some("/srv/x"));
}

#[test]
fn a_busy_disk_is_not_silent() {
    let mut watch = Watch::new(1.0);
    for _ in 0..20 {
        assert!(watch.interval(&[read(DB, SDA, 4096)]).is_empty());
    }
    // Nor is one with requests of which nothing but the time is counted.
    watch.disks[0].busy = Duration::from_millis(5);
    watch.silent(5);
    watch.disks[0].busy = Duration::ZERO;
    // Nor while a disk that spins up has a request in flight.
    watch.disks[0].in_flight = 1;
    watch.silent(5);
    watch.disks[0].in_flight = 0;
    assert!(watch.interval(&[read(DB, SDA, 4096)]).is_empty());
}

#[test]
fn silence_is_counted_across_intervals_and_by_its_middle() {
    let mut watch = Watch::new(3.0);
    watch.interval(&[read(DB, SDA, 1)]);
    watch.silent(1);
    assert!(watch.interval(&[read(DB, SDA, 1)]).is_empty(), "1 s to 3 s");
    watch.silent(2);
    assert_eq!(watch.interval(&[read(DB, SDA, 1)]).len(), 1, "2 s to 4 s");
}

#[test]
fn silence_that_began_before_the_trace_is_at_least_so_long() {
    let mut watch = Watch::new(3.0);
    watch.silent(4);
    let wakes = watch.interval(&[read(DB, SDA, 1)]);
    let silence = Silence {
        at_least: seconds(4),
        at_most: None,
    };
    assert_eq!(wakes[0].silence, silence);
}

#[test]
fn after_missing_intervals_nothing_is_known_of_the_silence_before() {
    let mut watch = Watch::new(2.0);
    watch.interval(&[read(DB, SDA, 1)]);
    watch.seq += 100;
    watch.silent(3);
    let wakes = watch.interval(&[read(DB, SDA, 1)]);
    assert_eq!(wakes[0].silence.at_most, None);
    assert_eq!(wakes[0].silence.at_least, seconds(3));
}

#[test]
fn a_postponed_write_is_its_owners_and_names_its_submitter() {
    let mut watch = Watch::new(3.0);
    watch.silent(5);
    let mut write = fact(DD, KWORKER, Class::Exact, SDA1, 4096);
    write.flush = FlushId::NONE.next(0);
    write.lag = Some(Lag {
        sum: Duration::from_millis(5100),
        max: Duration::from_millis(5100),
        pages: 1,
    });
    let wakes = watch.interval(&[write]);
    assert_eq!(names(&wakes[0]), ["dd"]);
    let request = &wakes[0].suspects[0].requests[0];
    let submitter = request.submitter.as_ref().expect("the flusher");
    assert_eq!(&*submitter.comm, "kworker/u8:2");
    let reason = request.flush.as_ref().map(|flush| flush.reason.name());
    assert_eq!(reason, Some("background"));
    let lag = request.lag.expect("known").lag.max;
    assert_eq!(lag, Duration::from_millis(5100));
    assert!(!request.read && wakes[0].suspects[0].read() == 0);
}

#[test]
fn of_several_tasks_none_is_named_alone_and_all_have_their_bytes() {
    let mut watch = Watch::new(3.0);
    watch.silent(5);
    let wakes = watch.interval(&[
        read(DB, SDA, 4096),
        read(DD, SDA1, 16384),
        fact(DB, DB, Class::Direct, SDA, 512),
    ]);
    assert_eq!(names(&wakes[0]), ["dd", "postgres"], "most bytes first");
    assert!(wakes[0].culprit().is_none());
    let bytes = wakes[0].suspects.iter().map(Suspect::bytes);
    assert_eq!(bytes.collect::<Vec<_>>(), [16384, 4608]);
    assert_eq!(wakes[0].suspects[1].requests.len(), 2);
    assert_eq!(wakes[0].suspects[0].rhythm.alone, 0);
}

#[test]
fn many_suspects_are_counted_and_the_largest_are_named() {
    let mut watch = Watch::new(3.0);
    watch.silent(5);
    let mut sample = watch.sample(&[]);
    let first = sample.tasks.len();
    for n in 0..15 {
        let task = Task {
            tid: 5000 + n,
            pid: 5000 + n,
            comm: format!("w{n}").into(),
            ..Task::default()
        };
        sample.tasks.push(SharedTask::from(task));
        let index = first + n as usize;
        sample.facts.push(read(index, SDA, 1000 + u64::from(n)));
    }
    let wakes = watch.wakes.look(&sample, false, |_| ());
    assert_eq!(wakes[0].suspects.len(), SUSPECTS);
    assert_eq!(wakes[0].suspects[0].bytes(), 1014);
    assert_eq!(wakes[0].more, (5, 1000 + 1001 + 1002 + 1003 + 1004));
    let all: u64 = (1000..1015).sum();
    assert_eq!(wakes[0].bytes(), all);
}

#[test]
fn files_are_summed_and_the_largest_are_named() {
    let mut watch = Watch::new(3.0);
    watch.silent(5);
    let of_file = |ino, bytes| BlockFact {
        ino,
        ..read(DB, SDA, bytes)
    };
    let facts: Vec<BlockFact> = (1..=8).map(|n| of_file(n, 1000 * n)).collect();
    let wakes = watch.interval(&[&facts[..], &[of_file(1, 100_000)]].concat());
    let request = &wakes[0].suspects[0].requests[0];
    let files: Vec<(u64, u64)> = request.files.iter().map(|f| (f.ino, f.bytes)).collect();
    let wanted = [(1, 101_000), (8, 8000), (7, 7000), (6, 6000), (5, 5000)];
    assert_eq!((&files[..], request.more_files), (&wanted[..], 3));
}

#[test]
fn tasks_of_one_name_and_place_are_one_suspect() {
    let mut watch = Watch::new(3.0);
    watch.silent(5);
    let mut sample = watch.sample(&[read(DD, SDA, 1000), read(DB, SDA, 3000)]);
    sample.tasks[DD].comm = "postgres".into();
    let user = sample.tasks[DB].uid;
    sample.tasks[DD].uid = user;
    let wakes = watch.wakes.look(&sample, false, |_| ());
    let suspect = wakes[0].culprit().expect("one");
    assert_eq!((suspect.tasks, suspect.bytes()), (2, 4000));
    assert_eq!(suspect.task.as_ref().map(|task| task.tid), Some(900));
    // In another unit it is somebody else. Names are looked up for those who read.
    let mut watch = Watch::new(3.0);
    watch.silent(5);
    sample.seq = 6;
    let wakes = watch.wakes.look(&sample, false, |task| {
        task.unit = Some(format!("{}.service", task.tid).into());
    });
    assert_eq!(wakes[0].suspects.len(), 2);
}

#[test]
fn a_regular_culprit_has_its_period_also_in_new_processes() {
    let mut watch = Watch::new(3.0);
    let mut rhythm = Rhythm::default();
    for n in 0..6 {
        watch.silent(9);
        let mut sample = watch.sample(&[read(DB, SDA, 4096)]);
        sample.tasks[DB].tid += n;
        let wakes = watch.wakes.look(&sample, false, |_| ());
        rhythm = wakes[0].suspects[0].rhythm;
        let wanted = (n >= 3).then(|| seconds(10));
        assert_eq!(rhythm.period, wanted, "{n}");
    }
    assert_eq!((rhythm.times, rhythm.alone, rhythm.recent), (6, 6, 6));
    for silence in [4, 31, 8, 15, 25, 70] {
        watch.silent(silence);
        rhythm = watch.interval(&[read(DB, SDA, 1)])[0].suspects[0].rhythm;
    }
    assert_eq!((rhythm.period, rhythm.times), (None, 12), "irregular");
}

#[test]
fn two_disks_sleep_and_wake_for_themselves() {
    let mut watch = Watch::new(3.0);
    watch.interval(&[read(DB, SDA, 1), read(DB, SDB, 1)]);
    for _ in 0..4 {
        assert!(watch.interval(&[read(DB, SDA, 1)]).is_empty());
    }
    let wakes = watch.interval(&[read(DD, SDB, 1), read(DB, SDA, 1)]);
    let disks: Vec<Number> = wakes.iter().map(|wake| wake.disk).collect();
    assert_eq!(disks, [SDB]);
    assert_eq!(names(&wakes[0]), ["dd"]);
}

/// dm-0 on sda1 and sdb.
fn stacked() -> Watch {
    let mut watch = Watch::new(3.0);
    let mut dm = disk(DM, "dm-0");
    dm.lower = vec![SDA1, SDB];
    watch.disks.push(dm);
    watch
}

#[test]
fn a_lower_disk_wakes_by_what_was_asked_of_the_device_on_top() {
    let mut watch = stacked();
    watch.silent(5);
    let copy = BlockFact {
        owner: None,
        ..fact(DD, KWORKER, Class::Stacked, SDA1, 4096)
    };
    let wakes = watch.interval(&[fact(DB, KWORKER, Class::Exact, DM, 4096), copy]);
    let [wake] = &wakes[..] else {
        panic!("sdb sleeps, and dm-0 is no disk: {wakes:?}")
    };
    assert_eq!((wake.disk, names(wake)), (SDA, vec!["postgres"]));
    assert_eq!(wake.through, ["dm-0".into()]);
    // A read has no copy that is counted, only the disk's own counters.
    watch.silent(5);
    watch.disks[1].read = 4096;
    let wakes = watch.interval(&[read(DD, DM, 4096)]);
    assert_eq!((wakes[0].disk, names(&wakes[0])), (SDB, vec!["dd"]));
    // The upper device itself is reported if it is wanted.
    let mut watch = stacked();
    watch.wakes.rule.upper = true;
    watch.silent(5);
    let wakes = watch.interval(&[read(DD, DM, 4096)]);
    assert_eq!(wakes[0].disk, DM);
}

#[test]
fn a_request_that_reaches_the_lower_disk_in_the_next_interval_keeps_its_owner() {
    let mut watch = stacked();
    watch.silent(5);
    assert!(
        watch
            .interval(&[fact(DB, DB, Class::Direct, DM, 4096)])
            .is_empty()
    );
    let copy = BlockFact {
        owner: None,
        ..fact(DD, KWORKER, Class::Stacked, SDA1, 4096)
    };
    let wakes = watch.interval(&[copy]);
    assert_eq!(names(&wakes[0]), ["postgres"]);
    // What nobody on top asked for is the submitter's own.
    watch.silent(5);
    let wakes = watch.interval(&[copy]);
    assert_eq!(names(&wakes[0]), ["kworker"]);
    assert_eq!(
        wakes[0].suspects[0].unowned,
        Some(crate::sample::Reason::Stacked)
    );
}

#[test]
fn counters_that_move_before_the_bio_is_seen_wait_for_it() {
    let mut watch = Watch::new(3.0);
    watch.silent(5);
    watch.disks[0].read = 4096;
    watch.silent(1);
    watch.disks[0].read = 0;
    let wakes = watch.interval(&[read(DB, SDA, 4096)]);
    assert_eq!(names(&wakes[0]), ["postgres"]);
    assert_eq!(wakes[0].silence.at_least, seconds(5), "not one more");
    // If nothing is seen then either, nobody is named.
    watch.silent(5);
    watch.disks[0].read = 4096;
    watch.silent(1);
    let wakes = watch.interval(&[]);
    assert!(
        wakes.len() == 1 && wakes[0].suspects.is_empty(),
        "{wakes:?}"
    );
}

#[test]
fn the_last_interval_waits_for_nothing_and_neither_does_one_without_ebpf() {
    for ebpf in [false, true] {
        let mut watch = Watch::new(3.0);
        watch.silent(5);
        watch.disks[0].read = 4096;
        let mut sample = watch.sample(&[]);
        if !ebpf {
            sample.system.block = None;
        }
        let wakes = watch.wakes.look(&sample, ebpf, |_| ());
        assert!(
            wakes.len() == 1 && wakes[0].suspects.is_empty(),
            "{wakes:?}"
        );
    }
}

/// Regression: recordings leave out idle disks, also those that a device on top of them wakes.
#[test]
fn a_recording_has_the_wake_ups_that_were_seen_live() {
    let mut watch = Watch::new(2.0);
    let mut dm = disk(DM, "dm-0");
    dm.lower.push(SDB);
    watch.disks.push(dm);
    let mut replayed = ReplayedWakes::new(watch.wakes.rule);
    let mut random: u32 = 1;
    let mut draw = |of: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) % of
    };
    let (mut found, mut in_frame) = (0, 0);
    for n in 0..2000 {
        let device = [SDA1, SDB, DM][draw(3) as usize];
        let facts = match draw(12) {
            0 => vec![read(DB, device, 4096)],
            1 => vec![fact(DD, KWORKER, Class::Exact, device, 8192)],
            2 => vec![read(DB, SDA1, 512), read(DD, DM, 512)],
            _ => Vec::new(),
        };
        let mut sample = watch.sample(&facts);
        // The counters move before or after the bio, or a request takes long.
        match draw(20) {
            0 => sample.disks[draw(3) as usize].read += 4096,
            1 => sample.disks[draw(3) as usize].in_flight = 1,
            2 => sample.disks.iter_mut().for_each(|disk| disk.write = 0),
            _ => {}
        }
        // A damaged frame, now and then.
        if draw(300) == 0 {
            watch.seq += 60;
            in_frame = 0;
            continue;
        }
        let live = watch.wakes.look(&sample, false, |_| ());
        // A frame has six samples.
        if in_frame % 6 != 0 {
            leave_out_idle_disks(&mut sample);
        }
        in_frame += 1;
        let recorded = sample.clone();
        assert_eq!(replayed.look(&mut sample, false), live, "interval {n}");
        assert_eq!(sample, recorded, "it is only looked at");
        found += live.len();
    }
    assert!(found > 100, "{found} wake-ups");
}
