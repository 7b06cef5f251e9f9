//! The registry of fields: each field's name in options and exports, its column header and
//! width, how it is printed, and how to get its value from a row.

use std::{borrow::Cow, fmt, fmt::Write as _, time::Duration};

use super::{By, Row, Value};
use crate::{
    escape::{of_user, task_name},
    sample::{Lag, Reason, Task, TaskBlock, Unattributed, nanoseconds, rfc3339},
};

/// How a value is printed in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number as it is.
    Id,
    /// Text.
    Word,
    /// The header in lower case if true, else nothing.
    Flag,
    /// Bytes counted in the interval: printed per second, or as a total with `-a`.
    Bytes,
    /// Bytes at the end of the interval (a level).
    Level,
    /// Events counted in the interval: printed per second, or as a total with `-a`.
    Count,
    /// Nanoseconds, printed as a share of the interval.
    Share,
    /// Nanoseconds, printed as a duration.
    Span,
    /// How many times as much: `57.8x`.
    Ratio,
}

/// Which rows have the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Tasks,
    Groups,
    Both,
}

/// How NDJSON contains a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ndjson {
    /// Every row's line has it under its name, as a number or null.
    Counter,
    /// NDJSON has its own form for it, or does not contain it.
    Other,
}

/// One field.
pub struct Field {
    /// Name in `--fields`, `--sort` and CSV, and in NDJSON if that contains the field.
    pub name: &'static str,
    /// Column header in tables; `--fields` and `--sort` accept it too.
    pub header: &'static str,
    /// Minimum width of the column; a longer header makes it wider.
    pub width: usize,
    /// How it is printed.
    pub kind: Kind,
    /// What it means, for `--help` and the live view's help.
    pub about: &'static str,
    /// How NDJSON contains it.
    pub ndjson: Ndjson,
    of: Of,
    value: for<'a> fn(Row<'a>) -> Value<'a>,
}

impl Field {
    /// The field's value in a row.
    pub fn value<'a>(&self, row: Row<'a>) -> Value<'a> {
        (self.value)(row)
    }

    /// True if rows of this grouping have the field.
    pub fn is_of(&self, by: Option<By>) -> bool {
        match self.of {
            Of::Both => true,
            Of::Tasks => by.is_none(),
            Of::Groups => by.is_some(),
        }
    }

    /// True if [`crate::collect::Rows::Disk`] ignores the field: a task for which only this
    /// counter is above 0 has no row there.
    pub fn is_beyond_disk(&self) -> bool {
        BEYOND_DISK.contains(&self.name)
    }

    /// True if its values are text.
    pub fn is_word(&self) -> bool {
        self.kind == Kind::Word
    }

    fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.header.eq_ignore_ascii_case(name)
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Field) -> bool {
        self.name == other.name
    }
}

impl Eq for Field {}

/// Counters of `TaskCounters` that `Task::did_io` ignores.
const BEYOND_DISK: [&str; 6] = [
    "read_char",
    "write_char",
    "read_syscalls",
    "write_syscalls",
    "blkio_count",
    "swapin_count",
];

macro_rules! fields {
    ($($of:ident $kind:ident $ndjson:ident $name:literal $header:literal $width:literal $about:literal $value:expr;)*) => {
        /// Every field, in the order of the exports.
        pub static FIELDS: &[Field] = &[$(Field {
            name: $name,
            header: $header,
            width: $width,
            kind: Kind::$kind,
            about: $about,
            ndjson: Ndjson::$ndjson,
            of: Of::$of,
            value: $value,
        }),*];
    };
}

fields! {
    Tasks Id Other "pid" "PID" 7 "process" |row| single(row).map(|task| task.pid).into();
    Tasks Id Other "tid" "TID" 7 "thread" |row| single(row).map(|task| task.tid).into();
    Tasks Id Other "ppid" "PPID" 7 "parent process" |row| row.task().and_then(|task| task.ppid).into();
    Tasks Word Other "start_time" "START" 27 "start time, UTC" |row| row.task().and_then(|task| Some(Cow::Owned(rfc3339(task.start_time?)))).into();
    Tasks Word Other "prio" "PRIO" 4 "I/O priority" |row| row.task().and_then(|task| task.prio.as_deref()).into();
    Tasks Word Other "user" "USER" 8 "user name" |row| row.task().and_then(|task| task.user.as_deref()).into();
    Tasks Id Other "uid" "UID" 5 "user ID" |row| row.task().and_then(|task| task.uid).into();
    Tasks Word Other "comm" "COMM" 15 "name that the kernel keeps (15 bytes; kernel threads: whole)" |row| row.task().map(|task| &*task.comm).into();
    Tasks Word Other "cmdline" "CMDLINE" 0 "command line" |row| row.task().and_then(|task| task.cmdline.as_deref()).into();
    Tasks Word Other "cgroup" "CGROUP" 20 "cgroup path" |row| row.task().and_then(|task| task.cgroup.as_deref()).into();
    Tasks Word Other "unit" "UNIT" 20 "systemd unit" |row| row.task().and_then(|task| task.unit.as_deref()).into();
    Tasks Word Other "container" "CONTAINER" 14 "container" |row| row.task().and_then(|task| task.container.as_deref()).into();
    Tasks Flag Other "kthread" "KTHREAD" 7 "kernel thread" |row| row.task().map(|task| task.kthread).into();
    Tasks Flag Other "exited" "EXIT" 4 "the task has exited" |row| row.task().map(|task| task.exited).into();
    Both Id Other "tasks" "TASKS" 7 "number of tasks that the row stands for" |row| tasks(row).into();
    Both Bytes Counter "read_bytes" "DISK_READ" 11 "read from storage (task counters)" |row| row.stats().read_bytes.into();
    Both Bytes Counter "write_bytes" "DISK_WRITE" 11 "page cache made dirty, and direct writes (task counters)" |row| row.stats().write_bytes.into();
    Both Bytes Counter "cancelled_write_bytes" "CANCELLED" 11 "dirty page cache that it truncated (task counters)" |row| row.stats().cancelled_write_bytes.into();
    Both Bytes Counter "read_char" "BUFFER_READ" 11 "through read(2) and similar calls (task counters)" |row| row.stats().read_char.into();
    Both Bytes Counter "write_char" "BUFFER_WRITE" 12 "through write(2) and similar calls (task counters)" |row| row.stats().write_char.into();
    Both Count Counter "read_syscalls" "READ_SYSCALLS" 13 "number of read system calls (task counters)" |row| row.stats().read_syscalls.into();
    Both Count Counter "write_syscalls" "WRITE_SYSCALLS" 14 "number of write system calls (task counters)" |row| row.stats().write_syscalls.into();
    Both Count Counter "blkio_count" "BLKIO_CNT" 9 "number of waits for block I/O (task counters)" |row| row.stats().blkio_count.into();
    Both Share Counter "blkio_delay_ns" "IO" 7 "time waiting for block I/O (task counters)" |row| row.stats().blkio_delay_ns.into();
    Both Count Counter "swapin_count" "SWAPIN_CNT" 10 "number of waits for swap-in (task counters)" |row| row.stats().swapin_count.into();
    Both Share Counter "swapin_delay_ns" "SWAPIN" 7 "time waiting for swap-in (task counters)" |row| row.stats().swapin_delay_ns.into();
    Both Bytes Counter "block_read_bytes" "BLOCK_READ" 11 "read from devices by the task itself" |row| block(row, |b| b.read);
    Both Bytes Counter "dirtied_bytes" "DIRTIED" 11 "page cache that it made dirty" |row| row.block().and_then(|b| b.dirtied).into();
    Both Level Counter "dirty_pending_bytes" "PENDING" 9 "page cache that it made dirty, not written yet" |row| row.block().and_then(|b| b.dirty_pending).into();
    Both Bytes Counter "cancelled_dirty_bytes" "DROPPED" 11 "its dirty pages that were dropped, not written" |row| row.block().and_then(|b| b.cancelled).into();
    Both Bytes Counter "caused_bytes" "CAUSED" 11 "written because of it: BLOCK_WRITE + SHARED" |row| block(row, TaskBlock::caused);
    Both Bytes Counter "block_write_bytes" "BLOCK_WRITE" 11 "written because of it, known exactly: SELF + VIA_KERNEL" |row| block(row, TaskBlock::write);
    Both Bytes Counter "block_write_self_bytes" "SELF" 11 "part of BLOCK_WRITE that it submitted itself" |row| block(row, |b| b.write_self);
    Both Bytes Counter "block_write_flushed_bytes" "VIA_KERNEL" 11 "part of BLOCK_WRITE that other tasks submitted" |row| block(row, |b| b.write_flushed);
    Both Bytes Counter "block_write_shared_bytes" "SHARED" 11 "its share of what can only be estimated" |row| block(row, |b| b.write_shared);
    Both Bytes Counter "metadata_bytes" "METADATA" 11 "part of SHARED that is journals and metadata: JOURNAL + HOME + TREE" |row| block(row, |b| b.metadata.total());
    Both Bytes Counter "journal_bytes" "JOURNAL" 11 "its share of what was written to journals" |row| block(row, |b| b.metadata.journal);
    Both Bytes Counter "home_bytes" "HOME" 11 "its share of metadata that was written to its final place" |row| block(row, |b| b.metadata.home);
    Both Bytes Counter "tree_bytes" "TREE" 11 "its share of btrfs's trees" |row| block(row, |b| b.metadata.tree);
    Both Ratio Counter "amplification" "AMPLIF" 6 "CAUSED / BUFFER_WRITE: bytes written for each byte of its write calls" amplification;
    Both Bytes Counter "submitted_for_others_bytes" "FOR_OTHERS" 11 "what it submitted for other owners" |row| block(row, |b| b.submitted_for_others);
    Both Share Counter "throttled_ns" "THROTTLED" 9 "time the kernel made it sleep because too much was dirty" |row| row.block().and_then(|b| b.throttled_ns).into();
    Both Count Counter "throttle_count" "THROTTLES" 9 "number of sleeps that THROTTLED counts" |row| row.block().and_then(|b| b.throttles).into();
    Both Count Counter "sync_count" "SYNCS" 7 "number of times it waited for a file of ext4, xfs or btrfs to be written: fsync, O_SYNC" |row| row.block().and_then(|b| b.syncs).into();
    Groups Bytes Other "unattributed_write_bytes" "UNATTRIBUTED" 12 "written there without an owner (devices, files)" |row| unattributed(row, Unattributed::in_total);
    Groups Bytes Other "stacked_write_bytes" "STACKED" 11 "copies of an upper device's writes (devices, files)" |row| unattributed(row, |part| part[Reason::Stacked]);
    Both Span Other "lag_avg" "LAG" 6 "mean time from dirtying to submission" |row| lag(row, Lag::avg);
    Both Span Other "lag_max" "LAG_MAX" 7 "longest time from dirtying to submission" |row| lag(row, |lag| lag.max);
    Tasks Word Other "command" "COMMAND" 0 "command line, or name; [name] for a kernel thread" |row| row.task().map(command).into();
    Groups Word Other "name" "NAME" 0 "command, command and parents, user, cgroup, unit, container, device or file" |row| row.group().and_then(|group| group.name.as_deref()).into();
}

/// The task, if the row is of one only.
fn single(row: Row<'_>) -> Option<&Task> {
    row.task().filter(|task| task.crowd.is_none())
}

fn tasks(row: Row<'_>) -> Option<u64> {
    let of_group = row.group().map(|group| group.tasks);
    of_group.or_else(|| row.task().map(Task::tasks))
}

fn block<'a>(row: Row<'a>, part: fn(&TaskBlock) -> u64) -> Value<'a> {
    row.block().map(part).into()
}

/// Unknown if the row wrote nothing with system calls. Also unknown if its block I/O is only
/// that of some devices: the kernel does not count system calls for each device.
fn amplification(row: Row<'_>) -> Value<'_> {
    let written = row.stats().write_char.filter(|bytes| *bytes != 0);
    let everywhere = row.block().filter(|block| block.dirtied.is_some());
    match (everywhere, written) {
        (Some(block), Some(written)) => Value::Ratio(block.caused() as f64 / written as f64),
        _ => Value::Unknown,
    }
}

fn lag<'a>(row: Row<'a>, part: fn(&Lag) -> Duration) -> Value<'a> {
    let lag = row.block().and_then(|block| block.lag.as_ref());
    lag.map(part).map(nanoseconds).into()
}

fn unattributed<'a>(row: Row<'a>, part: fn(&Unattributed) -> u64) -> Value<'a> {
    let parts = row.group().and_then(|group| group.unattributed.as_ref());
    parts.map(part).into()
}

/// The command line, or the name if there is none. Kernel threads are shown in brackets, as
/// in ps; see [`task_name`]. Several exited tasks that share a row are marked as such.
pub fn command(task: &Task) -> Cow<'_, str> {
    if let Some(tasks) = task.crowd {
        return format!("{} ({tasks}+ tasks)", task.comm).into();
    }
    shown_command(&task.comm, task.cmdline.as_deref(), task.kthread)
}

/// The same, of the parts that it is made of.
pub fn shown_command<'a>(comm: &'a str, cmdline: Option<&'a str>, kthread: bool) -> Cow<'a, str> {
    match cmdline {
        _ if kthread => task_name(comm, kthread),
        Some(line) if !line.is_empty() => of_user(line),
        _ => of_user(comm),
    }
}

const TASK_COLUMNS: [&str; 15] = [
    "TID",
    "PRIO",
    "USER",
    "DISK_READ",
    "DISK_WRITE",
    "CAUSED",
    "VIA_KERNEL",
    "PENDING",
    "LAG",
    "METADATA",
    "AMPLIF",
    "SWAPIN",
    "IO",
    "EXIT",
    "COMMAND",
];
const GROUP_COLUMNS: [&str; 12] = [
    "TASKS",
    "DISK_READ",
    "DISK_WRITE",
    "CAUSED",
    "VIA_KERNEL",
    "PENDING",
    "LAG",
    "METADATA",
    "AMPLIF",
    "SWAPIN",
    "IO",
    "NAME",
];
/// Groups of facts have no task counters and no pending pages: those are not counted for each
/// device or file.
const DEVICE_COLUMNS: [&str; 9] = [
    "TASKS",
    "BLOCK_READ",
    "CAUSED",
    "VIA_KERNEL",
    "UNATTRIBUTED",
    "STACKED",
    "LAG",
    "METADATA",
    "NAME",
];

/// Journals and metadata have no file.
const FILE_COLUMNS: [&str; 8] = [
    "TASKS",
    "BLOCK_READ",
    "CAUSED",
    "VIA_KERNEL",
    "UNATTRIBUTED",
    "STACKED",
    "LAG",
    "NAME",
];

/// The default columns of the text table.
pub fn columns(processes: bool, by: Option<By>) -> Vec<&'static Field> {
    let headers: &[&'static str] = match by {
        None => &TASK_COLUMNS,
        Some(By::Device) => &DEVICE_COLUMNS,
        Some(By::File) => &FILE_COLUMNS,
        Some(By::Command | By::Parents | By::User | By::Cgroup | By::Unit | By::Container) => {
            &GROUP_COLUMNS
        }
    };
    headers
        .iter()
        .map(|header| match *header {
            "TID" if processes => "PID",
            header => header,
        })
        .filter_map(|header| FIELDS.iter().find(|field| field.header == header))
        .collect()
}

/// The default columns of the live view. It has no `exited` column: it dims exited tasks.
pub fn live_columns(processes: bool, by: Option<By>) -> Vec<&'static Field> {
    let mut columns = columns(processes, by);
    columns.retain(|field| field.name != "exited");
    columns
}

/// Every field that rows of this grouping have.
pub fn all(by: Option<By>) -> Vec<&'static Field> {
    FIELDS.iter().filter(|field| field.is_of(by)).collect()
}

/// The name of a field that does not exist.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no field {0:?}; the fields are {names} (--fields help explains them)", names = names(FIELDS))]
pub struct NoField(String);

/// The field with this name or header. Upper and lower case are equal.
///
/// # Errors
///
/// There is no such field.
pub fn find(name: &str) -> Result<&'static Field, NoField> {
    FIELDS
        .iter()
        .find(|field| field.is_called(name.trim()))
        .ok_or_else(|| NoField(name.to_owned()))
}

/// The fields' names as a list.
pub fn names(fields: impl IntoIterator<Item = &'static Field>) -> String {
    let names: Vec<&str> = fields.into_iter().map(|field| field.name).collect();
    names.join(", ")
}

/// The list of fields in `--help` and of `--fields help`, one per line.
pub fn help() -> String {
    let mut text = String::new();
    for field in FIELDS {
        let prefix = match field.of {
            Of::Groups => "groups: ",
            _ => "",
        };
        let _ = writeln!(
            text,
            "  {:<26} {:<14} {prefix}{}",
            field.name, field.header, field.about
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use serde_json::Value as Json;

    use iotop_common::Class;

    use super::*;
    use crate::{
        collect::processes::processes,
        golden,
        sample::{Group, Loss, Metadata, Sample},
        view::{Accumulator, Kept, on_device, sort},
    };

    #[test]
    fn no_two_fields_have_the_same_name_or_header() {
        let mut seen = HashSet::new();
        for field in FIELDS {
            assert!(seen.insert(field.name.to_lowercase()), "{field:?}");
            let header = field.header.to_lowercase();
            assert!(header == field.name || seen.insert(header), "{field:?}");
            assert!(!field.header.contains(char::is_whitespace), "{field:?}");
        }
    }

    #[test]
    fn every_default_column_is_a_field_of_its_rows() {
        for (by, count) in [
            (None, TASK_COLUMNS.len()),
            (Some(By::User), GROUP_COLUMNS.len()),
            (Some(By::Device), DEVICE_COLUMNS.len()),
            (Some(By::File), FILE_COLUMNS.len()),
        ] {
            let columns = columns(false, by);
            assert_eq!(columns.len(), count);
            assert!(columns.iter().all(|field| field.is_of(by)));
        }
        assert_eq!(columns(true, None)[0].name, "pid");
    }

    #[test]
    fn names_and_values_equal_those_of_the_ndjson_lines() {
        let sample = golden::sample();
        for (task, line) in sample.tasks.iter().zip(golden::task_lines(&sample)) {
            for field in FIELDS {
                let (Some(json), true) = (line.get(field.name), field.is_of(None)) else {
                    continue;
                };
                let value = match field.value(Row::Task(task)) {
                    Value::Unknown => Json::Null,
                    Value::Number(number) => number.into(),
                    Value::Ratio(ratio) => ratio.into(),
                    Value::Flag(flag) => flag.into(),
                    Value::Word(word) => word.into_owned().into(),
                };
                assert_eq!(value, *json, "{field:?}");
            }
        }
    }

    #[test]
    fn ndjson_has_only_a_few_keys_that_are_not_in_the_registry() {
        let line = &golden::task_lines(&golden::sample())[0];
        let not_fields = [
            "v",
            "type",
            "seq",
            "time",
            "interval_s",
            "lag_ns",
            "parents",
        ];
        for name in line.as_object().expect("an object").keys() {
            assert!(
                not_fields.contains(&&**name) || find(name).is_ok(),
                "{name}"
            );
        }
    }

    #[test]
    fn a_field_of_groups_is_unknown_for_tasks_and_vice_versa() {
        let (task, group) = (Task::default(), Group::default());
        for field in FIELDS {
            if !field.is_of(None) {
                assert_eq!(field.value(Row::Task(&task)), Value::Unknown);
            }
            if !field.is_of(Some(By::User)) {
                assert_eq!(field.value(Row::Group(&group)), Value::Unknown);
            }
        }
    }

    fn amplification(row: Row<'_>) -> Option<f64> {
        match find("amplif").expect("a field").value(row) {
            Value::Ratio(ratio) => Some(ratio),
            Value::Unknown => None,
            other => panic!("{other:?}"),
        }
    }

    /// The database's threads wrote 1 KiB and 3 KiB, and caused 3 KiB each.
    fn two_threads() -> Sample {
        let mut sample = golden::sample();
        sample.facts.clear();
        for (task, written) in [(3, 1024), (4, 3072)] {
            let task = &mut sample.tasks[task];
            task.stats.write_char = Some(written);
            task.block = Some(TaskBlock {
                write_self: 1024,
                write_shared: 2048,
                metadata: Metadata::of(Class::Journal, 2048),
                ..TaskBlock::zero()
            });
        }
        sample
    }

    #[test]
    fn the_amplification_of_a_sum_is_the_ratio_of_the_sums() {
        let sample = two_threads();
        let of = |sample: &Sample, task: usize| amplification(Row::Task(&sample.tasks[task]));
        assert_eq!([of(&sample, 3), of(&sample, 4)], [Some(3.0), Some(1.0)]);
        let mut merged = sample.clone();
        processes(&mut merged, |_| None);
        let database = merged.tasks.iter().position(|task| task.pid == 900);
        assert_eq!(of(&merged, database.expect("there")), Some(1.5));
        let grouped = golden::grouped(sample.clone(), By::User);
        let groups = grouped.groups.expect("grouped");
        let user = |group: &&Group| group.name.as_deref() == Some("postgres");
        let group = groups.iter().find(user).expect("there");
        assert_eq!(amplification(Row::Group(group)), Some(1.5));
        let mut accumulator = Accumulator::new(Kept::None);
        accumulator.add(&mut sample.clone());
        let mut later = sample;
        later.tasks[3].stats.write_char = Some(5120);
        accumulator.add(&mut later);
        assert_eq!(of(&later, 3), Some(1.0), "6 KiB of 6 KiB");
    }

    #[test]
    fn amplification_is_unknown_without_write_calls_and_on_some_devices_only() {
        let known = golden::journaled();
        let ratio = amplification(Row::Task(&known.tasks[3])).expect("known");
        let caused = known.tasks[3].block.expect("traced").caused();
        assert_eq!(ratio, caused as f64 / (234.0 * 1024.0));
        assert_eq!(
            amplification(Row::Task(&known.tasks[0])),
            None,
            "no counters"
        );
        assert_eq!(amplification(Row::Task(&known.tasks[4])), None, "no write");
        let mut of_device = known.clone();
        on_device(&mut of_device, &[(8, 1)]);
        for task in &of_device.tasks {
            assert_eq!(amplification(Row::Task(task)), None, "{}", task.comm);
        }
        let groups = golden::grouped(known, By::Device).groups.expect("grouped");
        for group in &groups {
            assert_eq!(amplification(Row::Group(group)), None);
        }
    }

    #[test]
    fn rows_are_sorted_by_amplification_with_the_unknown_ones_last() {
        let sample = two_threads();
        for (key, order) in [("amplif", [900, 901]), ("+amplification", [901, 900])] {
            let mut rows = sort::rows(&sample);
            sort::by_key(&mut rows, &key.parse().expect("a key"));
            let tids = rows.iter().filter_map(|row| Some(row.task()?.tid));
            assert_eq!(tids.take(2).collect::<Vec<_>>(), order);
        }
    }

    #[test]
    fn did_io_ignores_the_counters_beyond_disk() {
        for field in FIELDS.iter().filter(|field| field.is_of(None)) {
            let mut task = golden::sample().tasks.swap_remove(2);
            assert!(!task.did_io());
            task.stats.read_char = Some(1);
            task.stats.write_char = Some(1);
            task.stats.read_syscalls = Some(1);
            task.stats.write_syscalls = Some(1);
            task.stats.blkio_count = Some(1);
            task.stats.swapin_count = Some(1);
            assert!(!task.did_io());
            if field.is_beyond_disk() {
                assert_eq!(field.value(Row::Task(&task)), Value::Number(1));
            }
        }
        for name in BEYOND_DISK {
            assert!(find(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_output_reference_explains_every_field() {
        let reference = include_str!("../../../docs/output.md");
        for field in FIELDS {
            assert!(reference.contains(field.header), "{}", field.header);
            assert!(reference.contains(field.name), "{}", field.name);
        }
        for reason in Reason::ALL {
            assert!(reference.contains(&format!("`{}`", reason.name())));
            assert!(reference.contains(reason.label()), "{reason:?}");
        }
        for loss in Loss::ALL {
            assert!(reference.contains(&format!("`{}`", loss.name())));
        }
    }

    proptest! {
        #[test]
        fn a_name_or_header_is_found_in_any_case(at in 0..FIELDS.len(), upper: Vec<bool>, header: bool) {
            let field = &FIELDS[at];
            let name = if header { field.header } else { field.name };
            let mut upper = upper.into_iter().cycle();
            let name: String = name
                .chars()
                .map(|c| match upper.next() {
                    Some(true) => c.to_ascii_uppercase(),
                    _ => c.to_ascii_lowercase(),
                })
                .collect();
            prop_assert_eq!(find(&name), Ok(field));
        }

        #[test]
        fn an_unknown_name_is_refused_with_a_list_of_fields(name in "\\PC*") {
            if let Err(error) = find(&name) {
                prop_assert!(error.to_string().contains("block_write_bytes"));
            }
        }
    }
}
