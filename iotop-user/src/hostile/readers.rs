//! The parsers, each with the rules that its result has to keep.

use std::{fs, io::Write as _, path::Path, sync::LazyLock, time::Duration};

use bytes::BytesMut;
use iotop_common::{ExecutedHead, FileHead, FlushRun, TaskRecord};

use crate::{
    cli,
    escape::{escape, is_dangerous},
    host::{
        devices, disks, hidepid,
        identity::{
            Cgroups, Executed, Files, Mounts, Stat, cgroup as cgroups, cmdline, container, kthread,
            priority::Priority, unit,
        },
        kernel::{
            btf::Btf,
            clock,
            counted::Counted,
            frames::Frames,
            hooks,
            layout::{self, Machine},
            reasons::Reasons,
            sysctls, uevents,
        },
        task_io as io_of_task,
        vmstat::Vmstat,
    },
    probe::{flushes, names as records, plain::plain},
    record::{self, Index, Ledger, Restorer},
    sample::Task,
    taskstats::{Taskstats, message},
    tui::state::settings::Settings,
    view::{Sort, fields},
};

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

/// No name may reach a terminal as it is.
fn is_shown_safely(name: &str) {
    let escaped = escape(name);
    assert!(!escaped.chars().any(is_dangerous), "{escaped:?}");
    assert_eq!(escape(&escaped), escaped);
}

pub fn taskstats_message(input: &[u8]) {
    let Ok(message) = message::Message::parse(input) else {
        return;
    };
    match message.content {
        message::Content::Errno(errno) => assert!(errno > i32::MIN),
        message::Content::Reply(reply) => {
            // What lies beyond the length in the header is not a part of the message.
            let length = u32::from_ne_bytes(input[..4].try_into().expect("a header"));
            assert!(length as usize <= input.len());
            let _ = message::record(&reply);
        }
    }
}

pub fn taskstats_record(input: &[u8]) {
    let Ok(stats) = Taskstats::parse(input) else {
        assert!(input.len() < 2);
        return;
    };
    assert!(stats.comm().is_none_or(|comm| comm.len() <= 32));
    stats.counters(Counted::ALL);
}

pub fn btf(input: &[u8]) {
    let Ok(mut types) = Btf::parse(input.to_owned()) else {
        return;
    };
    let machine = Machine {
        page_size: 4096,
        tags: 1 << 20,
        jiffy: Duration::from_millis(4),
        tasks_seen: 1 << 16,
        version: Some((6, 12)),
    };
    let ask = |types: &Btf| {
        let _ = layout::resolve(types, &machine);
        let _ = hooks::choose(types, Some((6, 12)));
        Reasons::of(types)
    };
    let reasons = ask(&types);
    // A module's types go on where the kernel's end.
    match types.add_module(input) {
        Ok(()) => drop(ask(&types)),
        Err(_) => assert_eq!(ask(&types), reasons),
    }
}

pub fn mountinfo(input: &[u8]) {
    let text = text(input);
    let mounts = Mounts::parse(&text);
    for inside in ["/", "/a/b", "/srv/data/x"] {
        for dev in [(8, 1), (8, 2), (0, 41), (u32::MAX, 0)] {
            if let Some((_, path)) = mounts.path(dev, inside) {
                assert!(path.len() <= inside.len() + text.len(), "{path}");
                is_shown_safely(&path);
            }
        }
        mounts.reached(inside);
    }
    for (dev, source) in mounts.of_type("xfs").chain(mounts.external_logs()) {
        is_shown_safely(source);
        assert!(mounts.type_on(dev, "sda").is_some());
    }
    hidepid::options(&text, Path::new("/proc"));
}

pub fn cgroup(input: &[u8]) {
    let text = text(input);
    let Some(path) = cgroups::choose(&text) else {
        return;
    };
    assert!(!path.contains('\n'));
    if let Some(container) = container::of(&path) {
        let (runtime, id) = container.split_once(':').expect("a runtime and an id");
        assert!(!runtime.is_empty() && !id.is_empty(), "{container}");
        is_shown_safely(&container);
    }
    if let Some(unit) = unit::of(&path) {
        assert!(unit.contains('.') && unit.len() <= path.len(), "{unit}");
        is_shown_safely(&unit);
    }
}

pub fn stat(input: &[u8]) {
    let Ok(stat) = Stat::parse(input) else { return };
    assert!(stat.comm.len() <= input.len());
    let lasting = kthread::lasting(&stat.comm);
    assert!(stat.comm.starts_with(lasting));
    // A time that a machine can't have had is wrong, but harmless.
    clock::of_ticks(stat.start_ticks);
    is_shown_safely(&String::from_utf8_lossy(&stat.comm));
}

pub fn status(input: &[u8]) {
    assert!(hidepid::groups(&text(input)).count() <= input.len());
}

pub fn command_line(input: &[u8]) {
    for more in [0, 1] {
        let Some(line) = cmdline::joined(input, more) else {
            continue;
        };
        assert!(!line.is_empty() && !line.contains('\0'));
        assert!(line.ends_with('…') || more == 0);
        is_shown_safely(&line);
    }
}

pub fn task_io(input: &[u8]) {
    io_of_task::parse(&text(input));
}

pub fn vmstat(input: &[u8]) {
    let vmstat = Vmstat::parse(&text(input), 4096);
    let same = vmstat.since(&vmstat);
    assert!(same.pgpgout.is_none_or(|growth| growth == 0));
    assert_eq!(same.dirty, vmstat.dirty);
    vmstat.since(&Vmstat::default());
}

pub fn diskstats(input: &[u8]) {
    for disk in text(input).lines().filter_map(disks::parse) {
        is_shown_safely(&disk.name);
        assert!(disk.was_busy());
    }
}

pub fn zoneinfo(input: &[u8]) {
    if let Ok(frames) = Frames::parse(&text(input), Path::new("zoneinfo"), 4096) {
        assert!(frames.tags.is_power_of_two());
        frames.table_bytes();
    }
}

/// Small files of /proc and /sys: each has one value, or a few.
pub fn sysctl(input: &[u8]) {
    let text = text(input);
    if let Some(mode) = sysctls::chosen(&text) {
        assert!(!mode.contains(']'));
    }
    clock::boottime_shift(&text);
    if let Some((major, minor)) = devices::parse_number(&text) {
        devices::kernel_dev(major, minor);
    }
}

pub fn uevent(input: &[u8]) {
    let found = uevents::is_block(input);
    assert!(!found || input.windows(15).any(|part| part == b"SUBSYSTEM=block"));
}

pub fn config(input: &[u8]) {
    let Ok(settings) = Settings::parse(&text(input)) else {
        return;
    };
    assert!(settings.delay.is_finite() && settings.delay > 0.0);
    let again = toml_edit::ser::to_string(&settings).expect("written");
    assert_eq!(Settings::parse(&again), Ok(settings), "{again}");
}

pub fn record_of_executed(input: &[u8]) {
    let Some(head) = plain::<ExecutedHead>(input) else {
        assert!(input.len() < size_of::<ExecutedHead>());
        return;
    };
    let mut executed = Executed::default();
    executed.add(&head, &input[size_of::<ExecutedHead>()..]);
    let task = Task {
        pid: head.pid,
        tid: head.pid,
        start_boottime: head.start_boottime,
        ..Task::default()
    };
    if let Some(line) = executed.command_line(&task) {
        is_shown_safely(&line);
    }
    // The record of an exit.
    if let Some(record) = plain::<TaskRecord>(input) {
        crate::collect::live::comm(&record.comm);
    }
}

pub fn record_of_cgroup(input: &[u8]) {
    if let Some((id, path)) = records::cgroup(input) {
        assert!(!path.contains(&0));
        Cgroups::new(Path::new("/nonexistent")).made(id, path);
    }
}

/// A proc root whose mounts show the device of the records in the corpus.
static PROC: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("self")).expect("made");
    let mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
    fs::write(root.path().join("self/mountinfo"), mounts).expect("written");
    root
});

pub fn record_of_file(input: &[u8]) {
    let Some(head) = plain::<FileHead>(input) else {
        return;
    };
    let mut files = Files::new(PROC.path(), PROC.path());
    let mut told = files.told();
    for _ in 0..2 {
        told.add(&head, &input[size_of::<FileHead>()..]);
    }
    let key = (devices::major_minor(head.dev), head.ino, head.file);
    for path in files.paths([key]).values() {
        assert!(path.starts_with('/'));
        is_shown_safely(path);
    }
}

pub fn record_of_flush(input: &[u8]) {
    let read = flushes::run(input);
    assert_eq!(read.is_some(), input.len() >= FlushRun::WITHOUT_ASKER);
}

/// What users type.
pub fn words(input: &[u8]) {
    let text = text(input);
    if let Ok(sort) = text.parse::<Sort>() {
        assert_eq!(sort.to_string().parse(), Ok(sort));
    }
    if let Ok(priority) = text.parse::<Priority>() {
        assert_eq!(priority.to_string().parse(), Ok(priority));
    }
    if let Ok(seconds) = cli::seconds(&text) {
        assert!(!seconds.is_zero());
    }
    let _ = fields::find(&text);
}

/// Whatever can be read is written again, and read as the same.
pub fn recorded_lines(input: &[u8]) {
    let mut restorer = Restorer::default();
    let mut samples = Vec::new();
    for line in input.split(|byte| *byte == b'\n') {
        match restorer.line(line) {
            Ok(sample) => samples.extend(sample),
            Err(_) => drop(restorer.finish()),
        }
    }
    samples.extend(restorer.finish());
    for sample in samples {
        let mut text = BytesMut::new();
        let name = |device| restorer.device_name(device);
        record::lines(&sample, name, &mut text).expect("written");
    }
}

/// A day's file: its frames lie within it, one after the other.
pub fn recorded_frame(input: &[u8]) {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(input).expect("written");
    let index = Index::of(&file).expect("read");
    let mut end = 0;
    for frame in &index.frames {
        assert!(frame.at >= end);
        end = frame.at + frame.entry.length;
    }
    assert!(end <= index.end && index.end <= input.len() as u64);
}

/// Whatever can be read adds up, is written again, and read as the same.
pub fn ledger_lines(input: &[u8]) {
    let Ok(mut ledger) = Ledger::parse(input) else {
        return;
    };
    let written: u64 = ledger.rows.values().map(|row| row.written()).sum();
    assert_eq!(written, ledger.totals.write);
    ledger.rows.retain(|_, row| !row.is_nothing());
    let mut text = BytesMut::new();
    ledger.lines(&mut text).expect("written");
    let again = Ledger::parse(&text).expect("what was written can be read");
    assert_eq!(again.rows, ledger.rows);
}

/// A file of daily totals.
pub fn ledger_file(input: &[u8]) {
    if let Ok(ledger) = Ledger::decode(input) {
        let written: u64 = ledger.rows.values().map(|row| row.written()).sum();
        assert_eq!(written, ledger.totals.write);
    }
}
