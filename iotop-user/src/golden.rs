//! The sample behind the outputs' golden files, and the comparison with them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use iotop_common::{Class, FlushId, LAGS};
use jiff::{Timestamp, tz::TimeZone};

use serde_json::Value;

use crate::{
    collect::{
        flush::{self, flushes},
        processes::processes,
        spike::Spikes,
        wake,
    },
    host::{devices::DeviceNames, kernel::reasons::Reasons},
    output::{Csv, Explain, Table, Text, Wakes, ndjson},
    sample::{
        Asker, BlockFact, BlockTotals, Commits, Demand, Disk, FlushReason, ForOthers, Lag, Lags,
        Loss, Lost, Metadata, Number, Parent, Reason, Run, Sample, SharedTask, SpikeRule, System,
        Task, TaskBlock, TaskCounters, TaskKey, Unattributed, WakeRule, by_device, sum,
    },
    view::{Accumulator, By, Kept, fields, group, on_device, sort},
};

const MIB: u64 = 1 << 20;

fn time(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 250_000_000).expect("in range")
}

fn task(pid: u32, tid: u32, comm: &str) -> Task {
    Task {
        pid,
        tid,
        ppid: Some(1),
        start_time: Some(time(-60)),
        comm: comm.into(),
        user: Some("root".into()),
        uid: Some(0),
        cgroup: Some("/user.slice".into()),
        prio: Some("be/4".into()),
        stats: TaskCounters::zero(),
        block: Some(TaskBlock::zero()),
        ..Task::default()
    }
}

fn lag(pages: u64, avg: u64, max: u64) -> Option<Lag> {
    Some(Lag {
        sum: Duration::from_millis(avg * pages),
        max: Duration::from_millis(max),
        pages,
    })
}

/// A distribution with all pages in the class of their mean.
fn spread(lag: Lag) -> Lags {
    let tick = Duration::from_millis(16);
    let ticks = lag.avg().as_millis() / tick.as_millis();
    let mut pages = [0; LAGS];
    pages[iotop_common::lag_class(ticks as u32)] = lag.pages;
    Lags { tick, pages }
}

/// A [`flush::LookUp`] for tests: every run with the reason "sync" was asked for by `sync`.
pub struct Named {
    /// Some of the kernel's reasons.
    pub reasons: Reasons,
    /// The run that began before the trace, for every flusher.
    pub begun_before: Option<FlushId>,
}

impl Default for Named {
    fn default() -> Named {
        Named {
            reasons: Reasons::from_iter([
                (0, "background".into()),
                (1, "periodic".into()),
                (2, "sync".into()),
            ]),
            begun_before: None,
        }
    }
}

impl flush::LookUp for Named {
    fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    fn device(&mut self, device: Number) -> Arc<str> {
        match device {
            (8, 1) => "sda1".into(),
            (major, minor) => format!("{major}:{minor}").into(),
        }
    }

    fn run(&mut self, key: (TaskKey, FlushId)) -> Option<Run> {
        let mut asker = task(1300, 1300, "sync");
        asker.unit = Some("backup.service".into());
        (key.1.reason() == Some(2)).then(|| Run {
            key,
            start: Some(time(-1)),
            end: Some(time(0)),
            duration: Some(Duration::from_secs(1)),
            requested_pages: None,
            written_pages: Some(65536),
            cgroup_id: 5,
            cgroup: Some("/system.slice/other.service".into()),
            asker: Some(Asker {
                task: asker,
                inferred: false,
            }),
        })
    }

    fn begun_before(&self, _: TaskKey) -> Option<FlushId> {
        self.begun_before
    }
}

/// An exited dd whose 256 MiB a kworker flushed, a database with two threads, jbd2, and a task
/// with a hostile name.
pub fn sample() -> Sample {
    let mut dd = task(1200, 1200, "dd");
    dd.exited = true;
    dd.prio = None;
    dd.cmdline = Some("dd if=/dev/zero of=/srv/x bs=1M count=256".into());
    let parent = |(pid, comm): (u32, &str)| Parent {
        pid,
        comm: comm.into(),
    };
    dd.parents = Some([(1100, "backup.sh"), (400, "cron")].map(parent).into());
    dd.stats = TaskCounters::default();
    dd.block = Some(TaskBlock {
        write_flushed: 256 * MIB,
        lag: lag(65536, 4812, 5117),
        ..TaskBlock::zero()
    });
    let mut kworker = task(77, 77, "kworker/u8:2");
    kworker.kthread = true;
    kworker.block = Some(TaskBlock {
        submitted_for_others: 256 * MIB,
        ..TaskBlock::zero()
    });
    let mut jbd2 = task(80, 80, "jbd2/sda1-8");
    jbd2.kthread = true;
    let mut db = task(900, 900, "postgres");
    db.user = Some("postgres".into());
    db.cmdline = Some("postgres -D /var/lib".into());
    db.stats.write_bytes = Some(3 * MIB);
    db.stats.blkio_delay_ns = Some(120_000_000);
    db.block = Some(TaskBlock {
        dirtied: Some(3 * MIB),
        write_self: 2 * MIB,
        write_flushed: MIB,
        dirty_pending: Some(64 << 10),
        lag: lag(768, 17, 34),
        ..TaskBlock::zero()
    });
    let mut writer = task(900, 901, "walwriter");
    writer.user = Some("postgres".into());
    writer.cmdline = Some("postgres -D /var/lib".into());
    writer.block = Some(TaskBlock {
        submitted_for_others: MIB,
        ..TaskBlock::zero()
    });
    let mut hostile = task(666, 666, "a\u{1b}[2J\nb");
    hostile.cmdline = Some("x \u{202e}\u{1b}]0;evil\u{7} y".into());
    hostile.stats.read_bytes = Some(1234);
    let fact = |owner, submitter, class, bytes, lag| BlockFact {
        owner,
        submitter: Some(submitter),
        device: (8, 1),
        ino: 12,
        class,
        file: 0,
        flush: FlushId::NONE,
        bytes,
        bios: 1,
        lag,
        lags: lag.map_or(Lags::default(), spread),
    };
    let facts = vec![
        fact(Some(0), 1, Class::Exact, 256 * MIB, lag(65536, 4812, 5117)),
        fact(None, 2, Class::Metadata, 40960, None),
        fact(Some(3), 3, Class::Exact, 2 * MIB, lag(512, 17, 34)),
        fact(Some(3), 4, Class::Exact, MIB, lag(256, 17, 30)),
        fact(None, 2, Class::Read, 2048, None),
    ];
    let mut sample = Sample {
        seq: 1,
        time: time(0),
        interval: Duration::from_secs(2),
        system: System {
            pgpgin_bytes: Some(2048),
            pgpgout_bytes: Some(259 * MIB + 40960),
            dirty_before_bytes: Some(600 * MIB),
            dirty_bytes: Some(65536),
            background_threshold_bytes: Some(512 * MIB),
            dirty_threshold_bytes: Some(1024 * MIB),
            writeback_bytes: Some(0),
            dirtied_bytes: Some(3 * MIB),
            written_bytes: Some(259 * MIB),
            block: Some(BlockTotals {
                read: 2048,
                write: 259 * MIB + 40960,
                attributed: 259 * MIB,
                shared: 0,
                metadata: Metadata::default(),
                unattributed: Unattributed::from([(Reason::Metadata, 40960)]),
            }),
            lost: watched(),
            counted: TaskCounters::zero(),
            tasks_total: Some(5),
            tasks_running_io: Some(5),
            tasks_exited: Some(1),
            self_cpu_ns: Some(1_500_000),
        },
        tasks: [dd, kworker, jbd2, db, writer, hostile]
            .map(SharedTask::from)
            .into(),
        devices: by_device(&facts),
        for_others: ForOthers::default(),
        exited: Vec::new(),
        ended: Vec::new(),
        unanswered: Vec::new(),
        facts,
        paths: HashMap::from([(((8, 1), 12, 0), "/srv/x".into())]),
        disks: vec![Disk {
            number: (8, 0),
            name: "sda".into(),
            busy: Duration::from_millis(1740),
            read: 2048,
            write: 259 * MIB + 40960,
            in_flight: 0,
            partitions: vec![(8, 1)],
            lower: Vec::new(),
        }],
        flushes: Vec::new(),
        spikes: Vec::new(),
        wakes: Vec::new(),
        groups: None,
    };
    sample.for_others = for_others(&sample, false);
    sample
}

/// What tasks submitted for others. Devices have their numbers as names.
fn for_others(sample: &Sample, processes: bool) -> ForOthers {
    ForOthers::new(&sample.facts, &sample.tasks, processes, |(major, minor)| {
        format!("{major}:{minor}").into()
    })
}

/// The same machine without the kernel half and without delay accounting.
pub fn without_ebpf() -> Sample {
    let mut sample = sample();
    sample.system.block = None;
    sample.system.lost = Lost::default();
    sample.system.tasks_exited = None;
    sample.facts.clear();
    sample.for_others = ForOthers::default();
    sample.tasks.retain(|task| !task.exited);
    for task in &mut sample.tasks {
        task.block = None;
        task.stats.blkio_count = None;
        task.stats.blkio_delay_ns = None;
        task.stats.swapin_count = None;
        task.stats.swapin_delay_ns = None;
    }
    sample
}

/// The sample with groups. Devices have their numbers as names.
pub fn grouped(mut sample: Sample, by: By) -> Sample {
    let mut names = DeviceNames::new(Path::new("/nonexistent"));
    group(&mut sample, by, &mut names, true);
    sample
}

/// The sample's NDJSON lines.
pub fn lines(sample: &Sample) -> Vec<Value> {
    let text = json(sample, Some(By::User));
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The NDJSON lines of the sample's tasks.
pub fn task_lines(sample: &Sample) -> Vec<Value> {
    let mut lines = lines(sample);
    lines.retain(|line| line["type"] == "task");
    lines
}

/// The sample's NDJSON as text.
pub fn json(sample: &Sample, by: Option<By>) -> String {
    let mut buffer = BytesMut::new();
    ndjson(sample, &sort::rows(sample), by, &mut buffer).expect("written");
    String::from_utf8(buffer.to_vec()).expect("UTF-8")
}

/// No losses; exit records are not watched.
fn watched() -> Lost {
    let mut lost = Lost::from(Loss::ALL.map(|loss| (loss, 0)));
    lost[Loss::ExitRecords] = None;
    lost
}

/// Compares with a file of `golden/`.
fn check(name: &str, text: &str) {
    compare(&format!("src/golden/{name}"), text);
}

/// Compares with a file of this package; `UPDATE_GOLDEN=1` writes it instead.
pub fn compare(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).expect("written");
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        wanted,
        "{} differs; UPDATE_GOLDEN=1 rewrites it",
        path.display()
    );
}

fn table(text: Text, sample: &Sample) -> String {
    block(&mut Table::new(text, TimeZone::UTC, Vec::new()), sample)
}

fn block(table: &mut Table, sample: &Sample) -> String {
    let mut rows = sort::rows(sample);
    sort::by_weight(&mut rows);
    table.format(sample, &rows, None)
}

fn columns(names: &[&str]) -> Text {
    Text {
        columns: names
            .iter()
            .map(|name| fields::find(name).expect("a field"))
            .collect(),
        ..Text::default()
    }
}

#[test]
fn text_plain() {
    check("plain.txt", &table(Text::default(), &sample()));
}

#[test]
fn text_with_time_and_kilobytes() {
    let text = Text {
        time: true,
        kilobytes: true,
        ..Text::default()
    };
    check("time_kilobytes.txt", &table(text, &sample()));
}

#[test]
fn text_of_processes_counts_a_sibling_thread_as_the_process_itself() {
    let mut sample = sample();
    sample.for_others = for_others(&sample, true);
    processes(&mut sample, |_| None);
    let text = Text {
        columns: fields::columns(true, None),
        ..Text::default()
    };
    check("processes.txt", &table(text, &sample));
}

#[test]
fn text_accumulated_keeps_exited_tasks() {
    let mut accumulator = Accumulator::new(Kept::None);
    let mut first = sample();
    accumulator.add(&mut first);
    let mut second = sample();
    second.tasks.remove(0);
    accumulator.add(&mut second);
    let text = Text {
        accumulated: true,
        ..Text::default()
    };
    check("accumulated.txt", &table(text, &second));
}

#[test]
fn a_notice_is_printed_once() {
    let mut table = Table::new(Text::default(), TimeZone::UTC, vec!["no eBPF".to_owned()]);
    let mut has_notice = || block(&mut table, &without_ebpf()).contains("! no eBPF");
    assert!(has_notice());
    assert!(!has_notice());
}

/// The table of a sample on which nothing was submitted for others, and then of one where
/// something was.
fn without_and_with_others(quiet: u8) -> [String; 2] {
    let text = Text {
        quiet,
        ..Text::default()
    };
    let mut table = Table::new(text, TimeZone::UTC, Vec::new());
    let mut own = sample();
    own.for_others = ForOthers::default();
    own.tasks.retain(|task| &*task.comm == "postgres");
    [own, sample()].map(|sample| block(&mut table, &sample))
}

#[test]
fn for_others_is_a_column_once_something_was_submitted_for_others() {
    let [own, others] = without_and_with_others(0);
    assert!(!own.contains("FOR_OTHERS"), "{own}");
    assert!(others.contains("VIA_KERNEL  FOR_OTHERS"), "{others}");
    // The names of the columns are printed again, even if only once otherwise.
    let [own, others] = without_and_with_others(1);
    assert!(own.contains("VIA_KERNEL") && others.contains("FOR_OTHERS"));
    // Without names nobody could tell that a column was added.
    let words = |text: String| {
        let row = text.lines().find(|line| line.contains("   900 "));
        row.map(|line| line.split_whitespace().count())
    };
    let [own, others] = without_and_with_others(2).map(words);
    assert!(own.is_some() && own == others);
    let mut table = Table::new(Text::default(), TimeZone::UTC, Vec::new());
    let _ = block(&mut table, &sample());
    let later = block(&mut table, &without_ebpf());
    assert!(later.contains("FOR_OTHERS"), "it stays: {later}");
    let chosen = table_of_columns(&["tid", "caused", "command"]);
    assert!(!chosen.contains("FOR_OTHERS"), "{chosen}");
}

fn table_of_columns(names: &[&str]) -> String {
    let text = Text {
        usual: false,
        ..columns(names)
    };
    table(text, &sample())
}

#[test]
fn a_row_says_whose_data_its_task_submits() {
    let row = |text: &str, of: &str| {
        let line = text.lines().find(|line| line.contains(of));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let piped = table(Text::default(), &journaled());
    let kworker = row(&piped, "[kworker");
    let whose = "[kworker/u8:2] flush 8:1 128.04M/s -> dd 100%; 8:2 16.00K/s -> postgres ~100%";
    assert!(kworker.ends_with(whose), "{kworker}");
    let jbd2 = row(&piped, "[jbd2");
    let whose = "[jbd2/sda1-8] flush 8:1 6.20M/s -> postgres ~97%, walwriter ~3%";
    assert!(jbd2.ends_with(whose), "{jbd2}");
    let walwriter = row(&piped, "    901 ");
    let whose = "postgres -D /var/lib (writes 8:1 512.00K/s -> postgres 100%)";
    assert!(walwriter.ends_with(whose), "{walwriter}");
    // The owners need not be among the rows.
    let mut alone = journaled();
    alone.keep_tasks(|task| task.tid == 80);
    let jbd2 = row(&table(Text::default(), &alone), "[jbd2");
    assert!(jbd2.ends_with("-> postgres ~97%, walwriter ~3%"), "{jbd2}");
    let comm = table_of_columns(&["tid", "comm"]);
    assert!(!comm.contains("->"), "{comm}");
}

#[test]
fn totals_say_whose_data_was_submitted_since_the_start() {
    let mut accumulator = Accumulator::new(Kept::None);
    let mut sample = journaled();
    accumulator.add(&mut journaled());
    accumulator.add(&mut sample);
    let text = Text {
        accumulated: true,
        ..Text::default()
    };
    let text = table(text, &sample);
    let jbd2 = "[jbd2/sda1-8] flush 8:1 24.80M -> postgres ~97%, walwriter ~3%";
    assert!(text.contains(jbd2), "{text}");
}

#[test]
fn text_without_ebpf_says_so_and_shows_no_zeros_for_the_unknown() {
    let notices = vec!["no eBPF: switched off with --no-ebpf".to_owned()];
    let mut table = Table::new(Text::default(), TimeZone::UTC, notices);
    check("no_ebpf.txt", &block(&mut table, &without_ebpf()));
}

#[test]
fn text_of_a_lossy_interval_says_what_was_lost() {
    let mut sample = sample();
    sample.system.lost[Loss::Facts] = Some(3);
    sample.tasks.clear();
    check("lossy.txt", &table(Text::default(), &sample));
}

#[test]
fn quiet_leaves_out_headers_step_by_step() {
    let quiet = |quiet| Text {
        quiet,
        ..Text::default()
    };
    let mut once = Table::new(quiet(1), TimeZone::UTC, Vec::new());
    assert!(block(&mut once, &sample()).contains("COMMAND"));
    assert!(!block(&mut once, &sample()).contains("COMMAND"));
    assert!(!table(quiet(2), &sample()).contains("COMMAND"));
    assert!(table(quiet(2), &sample()).contains("Actual"));
    check("quiet.txt", &table(quiet(3), &sample()));
}

#[test]
fn every_row_has_as_many_words_before_the_command() {
    for sample in [sample(), without_ebpf()] {
        let text = Text {
            quiet: 3,
            ..Text::default()
        };
        for line in table(text, &sample).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(matches!(words[13], "-" | "exit"), "{line}");
        }
    }
}

/// The golden sample with its flushes: dd's pages, the journal's metadata, the database's own
/// fsync, and what walwriter submitted for its process.
pub fn flushed() -> Sample {
    let mut sample = sample();
    sample.facts[0].flush = FlushId::NONE.next(2);
    let fsync = u32::try_from(libc::SYS_fsync).expect("a number");
    sample.facts[2].flush = FlushId::syscall(fsync.into());
    let throttled = &mut sample.tasks[3].block.as_mut().expect("traced");
    throttled.throttled_ns = Some(1_200_000_000);
    throttled.throttles = Some(14);
    sample.flushes = flushes(&sample.facts, &sample.tasks, &mut Named::default());
    let journal = sample
        .flushes
        .iter_mut()
        .find(|flush| flush.reason == FlushReason::Journal);
    journal.expect("jbd2's").commits = Some(commits(&sample.tasks));
    sample
}

/// Commits for which two threads and a `sync` asked.
fn commits(tasks: &[SharedTask]) -> Commits {
    let demand = |task, call, count| Demand {
        task: Some(task),
        call: Some(call),
        count,
    };
    Commits {
        commits: Some(412),
        timer: 3,
        full: 0,
        asked: vec![
            demand(Task::clone(&tasks[3]), "fsync", 500),
            demand(Task::clone(&tasks[4]), "fsync", 300),
            demand(task(1300, 1300, "sync"), "sync", 1),
        ],
        waited: Vec::new(),
    }
}

/// The flushed sample with journals and metadata of the database: jbd2 writes its log, a
/// flusher the homes of ext4 and the trees of a btrfs on another device.
pub fn journaled() -> Sample {
    let mut sample = flushed();
    let db = &mut sample.tasks[3].stats;
    db.write_char = Some(234 << 10);
    db.write_syscalls = Some(800);
    let like = BlockFact {
        ino: 0,
        flush: FlushId::NONE,
        lag: None,
        lags: Lags::default(),
        ..sample.facts[0]
    };
    for (owner, submitter, class, kib, device) in [
        (3, 2, Class::Journal, 12_300, (8, 1)),
        (4, 2, Class::Journal, 400, (8, 1)),
        (3, 1, Class::Home, 80, (8, 1)),
        (3, 1, Class::Shared, 4, (8, 1)),
        (3, 1, Class::Tree, 32, (8, 2)),
    ] {
        let fact = BlockFact {
            owner: Some(owner),
            submitter: Some(submitter),
            class,
            bytes: kib << 10,
            device,
            ..like
        };
        for (task, part) in fact.charges() {
            let block = &mut sample.tasks[task].block;
            *block = sum(*block, Some(part));
        }
        sample.facts.push(fact);
    }
    let totals = BlockTotals::of(&sample.facts);
    sample.system.block = Some(totals);
    sample.system.pgpgout_bytes = Some(totals.write);
    sample.disks[0].write = totals.write;
    sample.devices = by_device(&sample.facts);
    sample.for_others = for_others(&sample, false);
    sample.flushes = flushes(&sample.facts, &sample.tasks, &mut Named::default());
    sample
}

#[test]
fn journals_and_metadata_appear_in_every_format() {
    check("journal.txt", &table(Text::default(), &journaled()));
    let kinds = columns(&[
        "tid",
        "caused",
        "block_write",
        "shared",
        "metadata",
        "journal",
        "home",
        "tree",
        "amplif",
        "comm",
    ]);
    check("journal_kinds.txt", &table(kinds, &journaled()));
    for (by, file) in [
        (By::User, "journal_users.txt"),
        (By::Device, "journal_devices.txt"),
    ] {
        let text = Text {
            columns: fields::columns(false, Some(by)),
            ..Text::default()
        };
        check(file, &table(text, &grouped(journaled(), by)));
    }
    check("journal.ndjson", &json(&journaled(), None));
    let mut explain = Explain::new(TimeZone::UTC, Vec::new());
    check("journal_explain.txt", &explain.format(&journaled(), false));
}

#[test]
fn explain_names_submitter_reason_and_owners() {
    let notices = vec!["something is missing".to_owned()];
    let mut explain = Explain::new(TimeZone::UTC, notices);
    check("explain.txt", &explain.format(&flushed(), false));
    assert!(!explain.format(&flushed(), false).contains("missing"));
}

/// The golden sample with a spike that goes on (`open`) or has ended.
pub fn spiked(open: bool) -> Sample {
    let mut sample = flushed();
    let mut spikes = Spikes::new(SpikeRule {
        history: Duration::ZERO,
        ..SpikeRule::default()
    });
    let length = sample.interval;
    sample.spikes = spikes.look(sample.time, length, &sample.devices, &sample.flushes);
    sample.spikes[0].open = open;
    sample
}

/// The golden sample after a minute of silence, in which only the tasks with these indices caused
/// I/O: nginx, whose line a flusher writes, and a database that reads.
pub fn woken(owners: &[usize]) -> Sample {
    woken_at(owners, 1).pop().expect("an interval")
}

/// The same, `times` times.
fn woken_at(owners: &[usize], times: u64) -> Vec<Sample> {
    let all = silent_and_woken(owners, times).into_iter();
    all.skip(29).step_by(30).collect()
}

/// The same with the intervals of silence: 29 before each.
pub fn silent_and_woken(owners: &[usize], times: u64) -> Vec<Sample> {
    let mut wakes = wake::Wakes::new(WakeRule::default());
    let mut seq = 0;
    let mut interval = |is_woken: bool| {
        seq += 1;
        let mut sample = sample();
        sample.seq = seq;
        sample.time = time(2 * i64::try_from(seq).expect("few"));
        let nginx = &mut sample.tasks[0];
        nginx.comm = "nginx".into();
        nginx.unit = Some("nginx.service".into());
        nginx.cmdline = Some("nginx: worker process".into());
        let line = &mut sample.facts[0];
        line.flush = FlushId::NONE.next(1);
        (line.bytes, line.lag) = (4096, lag(1, 5100, 5100));
        line.lags = line.lag.map_or(Lags::default(), spread);
        let db = &mut sample.facts[4];
        (db.owner, db.submitter, db.bytes) = (Some(3), Some(3), 16 << 10);
        let is_awake = |fact: &BlockFact| {
            let owner = fact.owner.is_some_and(|owner| owners.contains(&owner));
            let is_asked = fact.bytes == 4096 || fact.class == Class::Read;
            is_woken && owner && is_asked
        };
        sample.facts.retain(is_awake);
        sample.devices = by_device(&sample.facts);
        let disk = &mut sample.disks[0];
        (disk.read, disk.write) = (u64::from(is_woken) << 10, 0);
        disk.busy = Duration::ZERO;
        sample.flushes = flushes(&sample.facts, &sample.tasks, &mut Named::default());
        for flush in &mut sample.flushes {
            let owners = flush.written.owners.iter_mut();
            for file in owners.flat_map(|owner| &mut owner.files) {
                file.path = Some("/var/log/nginx/access.log".into());
            }
        }
        sample.wakes = wakes.look(&sample, is_woken, |_| ());
        sample
    };
    let all = (1..=30 * times).map(|n| interval(n % 30 == 0));
    all.collect()
}

#[test]
fn a_wake_up_names_the_dirtier_the_flusher_and_the_file() {
    let text = |owners: &[usize], times| {
        let mut explain = Explain::new(TimeZone::UTC, Vec::new());
        explain.wakes = Some(Wakes::new(TimeZone::UTC));
        explain.only_wakes = true;
        let woken = woken_at(owners, times);
        let last = woken.len() - 1;
        let texts = woken.iter().enumerate();
        let texts: Vec<String> = texts
            .map(|(at, sample)| explain.format(sample, at == last))
            .collect();
        texts.concat()
    };
    check("wake.txt", &text(&[0], 5));
    check("wake_several.txt", &text(&[0, 3], 2));
    check("wake_unknown.txt", &text(&[], 1));
}

#[test]
fn ndjson_of_wake_ups() {
    for (owners, file) in [(&[0][..], "wake.ndjson"), (&[0, 3], "wake_several.ndjson")] {
        let text = json(&woken(owners), None);
        check(file, text.lines().last().expect("a line"));
    }
}

#[test]
fn a_spike_is_printed_once_it_is_over_or_the_trace_ends() {
    let mut explain = Explain::new(TimeZone::UTC, Vec::new());
    explain.only_spikes = true;
    assert_eq!(explain.format(&spiked(true), false), "");
    check("spike.txt", &explain.format(&spiked(false), false));
    assert!(explain.format(&spiked(true), true).contains("(ongoing)"));
}

#[test]
fn ndjson_of_a_spike() {
    let mut buffer = BytesMut::new();
    ndjson(&spiked(false), &[], None, &mut buffer).expect("written");
    let lines = String::from_utf8_lossy(&buffer).into_owned();
    check("spike.ndjson", lines.lines().last().expect("a line"));
}

#[test]
fn ndjson_of_flushes() {
    let mut buffer = BytesMut::new();
    let sample = flushed();
    ndjson(&sample, &[], None, &mut buffer).expect("written");
    check("flushes.ndjson", &String::from_utf8_lossy(&buffer));
}

#[test]
fn ndjson_lines() {
    check("sample.ndjson", &json(&sample(), None));
}

#[test]
fn text_has_one_word_for_a_name_that_is_not_in_the_last_column() {
    let text = columns(&[
        "command",
        "buffer_read",
        "WRITE_SYSCALLS",
        "blkio_cnt",
        "shared",
        "LAG_MAX",
        "kthread",
        "user",
        "start",
        "for_others",
    ]);
    check("fields.txt", &table(text, &sample()));
}

#[test]
fn text_of_a_device_names_it() {
    let mut sample = sample();
    sample.facts[2].device = (8, 16);
    sample.devices = by_device(&sample.facts);
    on_device(&mut sample, &[(8, 16)]);
    let text = Text {
        device: Some("sdb".to_owned()),
        ..Text::default()
    };
    check("device.txt", &table(text, &sample));
}

#[test]
fn text_of_groups_counts_their_tasks() {
    for (by, file) in [
        (By::User, "users.txt"),
        (By::Container, "containers.txt"),
        (By::Parents, "parents.txt"),
        (By::Device, "devices.txt"),
        (By::File, "files.txt"),
    ] {
        let text = Text {
            columns: fields::columns(false, Some(by)),
            ..Text::default()
        };
        check(file, &table(text, &grouped(sample(), by)));
    }
}

#[test]
fn text_on_a_terminal_ends_at_its_edge() {
    let sample = sample();
    let mut table = Table::new(Text::default(), TimeZone::UTC, Vec::new());
    let mut columns = |width| {
        let text = table.format(&sample, &sort::rows(&sample), width);
        let head = text.lines().nth(3).expect("a header").to_owned();
        ["METADATA", "AMPLIF", "EXIT"].map(|header| head.contains(header))
    };
    assert_eq!(columns(None), [true; 3], "a file has room");
    assert_eq!(columns(Some(144)), [true; 3]);
    assert_eq!(columns(Some(132)), [false, true, true]);
    assert_eq!(columns(Some(120)), [false, false, true]);
    let mut table = Table::new(Text::default(), TimeZone::UTC, Vec::new());
    let text = table.format(&sample, &sort::rows(&sample), Some(132));
    let rows = text.lines().skip(3);
    assert!(rows.clone().all(|line| line.chars().count() <= 132));
    assert!(rows.clone().any(|line| line.chars().count() == 132));
    check("terminal.txt", &text);
}

#[test]
fn ndjson_lines_of_groups() {
    check(
        "units.ndjson",
        &json(&grouped(sample(), By::Unit), Some(By::Unit)),
    );
    check(
        "devices.ndjson",
        &json(&grouped(sample(), By::Device), Some(By::Device)),
    );
}

#[test]
fn csv_of_tasks_and_groups() {
    for (by, file) in [(None, "sample.csv"), (Some(By::User), "users.csv")] {
        let sample = match by {
            Some(by) => grouped(sample(), by),
            None => sample(),
        };
        let mut csv = Csv::new(fields::all(by));
        let text = csv.format(&sample, &sort::rows(&sample)).expect("written");
        check(file, &String::from_utf8_lossy(&text));
    }
}
