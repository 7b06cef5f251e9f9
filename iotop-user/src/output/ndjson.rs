//! NDJSON, version 1: one JSON object per line. The schema that ships with the program
//! is `schema/ndjson-v1.schema.json`.

use std::{borrow::Cow, io, time::Duration};

use bytes::{BufMut as _, BytesMut};
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use super::{
    flush_line::{FlushLine, SpikeLine},
    raw::{SystemRaw, TaskRaw},
    wake_line::WakeLine,
};
use crate::{
    escape::{self, is_dangerous},
    sample::{
        BlockTotals, Group, Loss, Lost, Metadata, Parent, Reason, Sample, System, Task, TaskBlock,
        Unattributed, nanoseconds, rfc3339,
    },
    view::{By, FIELDS, Row, Value, fields},
};

/// The JSON Schema of every line.
pub const SCHEMA: &str = include_str!("../../schema/ndjson-v1.schema.json");

/// The version of the lines.
pub(crate) const VERSION: u32 = 1;

/// The fields that every line starts with, and its own.
#[derive(Serialize)]
struct Whole<'a, T> {
    v: u32,
    r#type: &'static str,
    seq: u64,
    time: &'a str,
    interval_s: f64,
    #[serde(flatten)]
    rest: T,
}

/// What lines of all types start with.
pub(crate) struct Line<'a> {
    /// What the line is about.
    pub r#type: &'static str,
    /// 1 for the first interval, or for the first line of a report.
    pub seq: u64,
    /// The end of the interval or the span.
    pub time: &'a str,
    /// Its length.
    pub interval: Duration,
}

#[derive(Serialize)]
pub(crate) struct SystemLine {
    pgpgin_bytes: Option<u64>,
    pgpgout_bytes: Option<u64>,
    dirty_bytes: Option<u64>,
    writeback_bytes: Option<u64>,
    dirtied_bytes: Option<u64>,
    written_bytes: Option<u64>,
    block_read_bytes: Option<u64>,
    block_write_bytes: Option<u64>,
    attributed_write_bytes: Option<u64>,
    shared_write_bytes: Option<u64>,
    shared: Shared,
    unattributed_write_bytes: Option<u64>,
    unattributed: ByName<{ Reason::ALL.len() }>,
    lost: ByName<{ Loss::ALL.len() }>,
    tasks: TasksPart,
    self_cpu_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) raw: Option<SystemRaw>,
}

/// An object with a number for each name; null if it is unknown.
pub(crate) struct ByName<const N: usize>([(&'static str, Option<u64>); N]);

impl<const N: usize> Serialize for ByName<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

/// Estimated bytes by kind. They add up to the shared bytes.
pub(crate) type Shared = ByName<4>;

impl Shared {
    /// The kinds of these shared bytes, of which a part is metadata.
    pub(crate) fn of(shared: Option<(u64, Metadata)>) -> Shared {
        let data = |(shared, metadata): (u64, Metadata)| shared.saturating_sub(metadata.total());
        let [journal, home, tree] = shared.unwrap_or_default().1.parts();
        let known = |(name, bytes): (&'static str, u64)| (name, shared.map(|_| bytes));
        ByName([
            ("data", shared.map(data)),
            known(journal),
            known(home),
            known(tree),
        ])
    }
}

#[derive(Serialize)]
struct TasksPart {
    total: Option<u64>,
    running_io: Option<u64>,
    exited: Option<u64>,
}

#[derive(Serialize)]
pub(crate) struct TaskLine<'a> {
    pid: u32,
    tid: u32,
    ppid: Option<u32>,
    parents: Option<Vec<ParentPart<'a>>>,
    start_time: Option<String>,
    comm: &'a str,
    cmdline: Option<Cow<'a, str>>,
    command: Cow<'a, str>,
    user: Option<&'a str>,
    uid: Option<u32>,
    prio: Option<&'a str>,
    cgroup: Option<&'a str>,
    unit: Option<&'a str>,
    container: Option<&'a str>,
    kthread: bool,
    exited: bool,
    tasks: u64,
    #[serde(flatten)]
    counters: Counters<'a>,
    lag_ns: LagPart,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<TaskRaw>,
}

/// A process that launched the task, from the nearest one on.
#[derive(Serialize)]
struct ParentPart<'a> {
    pid: u32,
    comm: &'a str,
}

#[derive(Serialize)]
struct GroupLine<'a> {
    by: Option<&'static str>,
    name: Option<&'a str>,
    command: Option<&'a str>,
    prio: Option<&'a str>,
    tasks: u64,
    #[serde(flatten)]
    counters: Counters<'a>,
    lag_ns: LagPart,
    unattributed_write_bytes: Option<u64>,
    unattributed: ByName<{ Reason::ALL.len() }>,
}

/// The counters of a row, as listed in the registry of fields.
pub(super) struct Counters<'a>(pub(super) Row<'a>);

impl Serialize for Counters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counters = FIELDS
            .iter()
            .filter(|field| field.ndjson == fields::Ndjson::Counter);
        serializer.collect_map(counters.map(|field| (field.name, figure(field.value(self.0)))))
    }
}

/// A counter, or a ratio of two.
#[derive(Serialize)]
#[serde(untagged)]
enum Figure {
    Number(u64),
    Ratio(f64),
}

fn figure(value: Value<'_>) -> Option<Figure> {
    match value {
        Value::Number(number) => Some(Figure::Number(number)),
        Value::Ratio(ratio) => Some(Figure::Ratio(ratio)),
        _ => None,
    }
}

#[derive(Serialize)]
pub(super) struct LagPart {
    avg: Option<u64>,
    max: Option<u64>,
}

/// Appends the lines of a sample: the system, the rows, the flushes, the spikes that
/// are over and the wake-ups. `by` is what the rows are grouped by.
///
/// # Errors
///
/// Those of serde_json; none is expected.
pub fn ndjson(
    sample: &Sample,
    rows: &[Row],
    by: Option<By>,
    buffer: &mut BytesMut,
) -> io::Result<()> {
    let time = rfc3339(sample.time);
    line(
        sample,
        &time,
        "system",
        SystemLine::from(&sample.system),
        buffer,
    )?;
    for row in rows {
        match row {
            Row::Task(task) => line(sample, &time, "task", TaskLine::from(*task), buffer)?,
            Row::Group(group) => line(sample, &time, "group", GroupLine::of(group, by), buffer)?,
        }
    }
    for flush in &sample.flushes {
        let flush = FlushLine::of(flush, &sample.system);
        line(sample, &time, "flush", flush, buffer)?;
    }
    for spike in sample.spikes.iter().filter(|spike| !spike.open) {
        line(sample, &time, "spike", SpikeLine::from(spike), buffer)?;
    }
    for wake in &sample.wakes {
        let wake = WakeLine::of(wake, &sample.system);
        line(sample, &time, "wake", wake, buffer)?;
    }
    Ok(())
}

/// Appends one line of this type.
pub(crate) fn line(
    sample: &Sample,
    time: &str,
    r#type: &'static str,
    rest: impl Serialize,
    buffer: &mut BytesMut,
) -> io::Result<()> {
    let line = Line {
        r#type,
        seq: sample.seq,
        time,
        interval: sample.interval,
    };
    write_line(line, rest, buffer)
}

/// Appends a line with the fields of `rest`.
pub(crate) fn write_line(
    line: Line,
    rest: impl Serialize,
    buffer: &mut BytesMut,
) -> io::Result<()> {
    let line = Whole {
        v: VERSION,
        r#type: line.r#type,
        seq: line.seq,
        time: line.time,
        interval_s: seconds(line.interval),
        rest,
    };
    line.serialize(&mut serde_json::Serializer::with_formatter(
        buffer.writer(),
        Plain,
    ))?;
    buffer.put_u8(b'\n');
    Ok(())
}

/// serde_json escapes C0 control characters. This formatter also escapes other
/// characters that could harm a terminal. A JSON parser reads the same string.
pub(super) struct Plain;

impl Formatter for Plain {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_dangerous(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

/// A text whose printed form is not too long.
pub(crate) fn bounded(text: &str) -> Cow<'_, str> {
    escape::cut(text, |c| match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if is_dangerous(c) => 6 * c.len_utf16(),
        c => c.len_utf8(),
    })
}

/// To the microsecond: more digits would only be noise.
pub(crate) fn seconds(interval: Duration) -> f64 {
    interval.as_micros() as f64 / 1e6
}

impl From<&System> for SystemLine {
    fn from(system: &System) -> SystemLine {
        let block = |part: fn(&BlockTotals) -> u64| system.block.as_ref().map(part);
        let unattributed = system.block.as_ref().map(|b| &b.unattributed);
        SystemLine {
            pgpgin_bytes: system.pgpgin_bytes,
            pgpgout_bytes: system.pgpgout_bytes,
            dirty_bytes: system.dirty_bytes,
            writeback_bytes: system.writeback_bytes,
            dirtied_bytes: system.dirtied_bytes,
            written_bytes: system.written_bytes,
            block_read_bytes: block(|b| b.read),
            block_write_bytes: block(|b| b.write),
            attributed_write_bytes: block(|b| b.attributed),
            shared_write_bytes: block(|b| b.shared),
            shared: Shared::of(system.block.map(|b| (b.shared, b.metadata))),
            unattributed_write_bytes: block(|b| b.unattributed.in_total()),
            unattributed: ByName::from(unattributed),
            lost: ByName::from(&system.lost),
            tasks: TasksPart {
                total: system.tasks_total,
                running_io: system.tasks_running_io,
                exited: system.tasks_exited,
            },
            self_cpu_ns: system.self_cpu_ns,
            raw: None,
        }
    }
}

impl From<Option<&Unattributed>> for ByName<{ Reason::ALL.len() }> {
    fn from(parts: Option<&Unattributed>) -> Self {
        ByName(Reason::ALL.map(|reason| (reason.name(), parts.map(|parts| parts[reason]))))
    }
}

impl From<&Lost> for ByName<{ Loss::ALL.len() }> {
    fn from(lost: &Lost) -> Self {
        ByName(Loss::ALL.map(|loss| (loss.name(), lost[loss])))
    }
}

impl<'a> From<&'a Task> for TaskLine<'a> {
    fn from(task: &'a Task) -> TaskLine<'a> {
        TaskLine {
            pid: task.pid,
            tid: task.tid,
            ppid: task.ppid,
            parents: task.parents.as_deref().map(|parents| {
                let part = |parent: &'a Parent| ParentPart {
                    pid: parent.pid,
                    comm: &parent.comm,
                };
                parents.iter().map(part).collect()
            }),
            start_time: task.start_time.map(rfc3339),
            comm: &task.comm,
            cmdline: task.cmdline.as_deref().map(bounded),
            command: match fields::command(task) {
                Cow::Borrowed(command) => bounded(command),
                Cow::Owned(command) => bounded(&command).into_owned().into(),
            },
            user: task.user.as_deref(),
            uid: task.uid,
            prio: task.prio.as_deref(),
            cgroup: task.cgroup.as_deref(),
            unit: task.unit.as_deref(),
            container: task.container.as_deref(),
            kthread: task.kthread,
            exited: task.exited,
            tasks: task.tasks(),
            counters: Counters(Row::Task(task)),
            lag_ns: LagPart::from(task.block.as_ref()),
            raw: None,
        }
    }
}

impl<'a> TaskLine<'a> {
    /// The line of a recording, from which the task can be restored.
    pub(crate) fn recorded(task: &'a Task) -> TaskLine<'a> {
        let line = TaskLine::from(task);
        let is_cut = task.cmdline.as_deref() != line.cmdline.as_deref();
        let whole = task.cmdline.as_ref().filter(|_| is_cut);
        let raw = Some(TaskRaw::of(task, whole));
        TaskLine { raw, ..line }
    }
}

impl GroupLine<'_> {
    fn of(group: &Group, by: Option<By>) -> GroupLine<'_> {
        let unattributed = group.unattributed.as_ref();
        GroupLine {
            by: by.map(By::name),
            name: group.name.as_deref(),
            // Of several tasks there is not one.
            command: None,
            prio: None,
            tasks: group.tasks,
            counters: Counters(Row::Group(group)),
            lag_ns: LagPart::from(group.block.as_ref()),
            unattributed_write_bytes: unattributed.map(Unattributed::in_total),
            unattributed: ByName::from(unattributed),
        }
    }
}

impl From<Option<&TaskBlock>> for LagPart {
    fn from(block: Option<&TaskBlock>) -> LagPart {
        let lag = block.and_then(|block| block.lag);
        LagPart {
            avg: lag.map(|lag| nanoseconds(lag.avg())),
            max: lag.map(|lag| nanoseconds(lag.max)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        escape::LONGEST,
        golden::{self, lines},
    };

    fn samples() -> [Sample; 11] {
        let groups = |by| golden::grouped(golden::sample(), by);
        [
            golden::sample(),
            golden::without_ebpf(),
            golden::flushed(),
            golden::spiked(false),
            golden::woken(&[0, 1, 3]),
            golden::woken(&[]),
            golden::journaled(),
            golden::grouped(golden::journaled(), By::User),
            groups(By::User),
            groups(By::Parents),
            groups(By::Device),
        ]
    }

    #[test]
    fn every_line_fits_the_schema_that_ships_with_the_program() {
        let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        for sample in samples() {
            for line in lines(&sample) {
                let errors: Vec<_> = validator
                    .iter_errors(&line)
                    .map(|e| e.to_string())
                    .collect();
                assert!(errors.is_empty(), "{errors:?} in {line}");
            }
        }
    }

    /// A schema with every counter, reason and loss that there is.
    fn completed(mut schema: Value) -> Value {
        for line in schema["oneOf"].as_array_mut().expect("lines") {
            let r#type = line["properties"]["type"]["const"].clone();
            if r#type == "task" || r#type == "group" {
                for field in FIELDS
                    .iter()
                    .filter(|field| field.ndjson == fields::Ndjson::Counter)
                {
                    let number = match field.kind {
                        fields::Kind::Ratio => "number",
                        _ => "integer",
                    };
                    complete(line, field.name, number, field.about);
                }
            }
            complete_parts(line);
        }
        schema
    }

    /// The same for the objects within a line that have reasons or losses.
    fn complete_parts(object: &mut Value) {
        let Some(object) = object.as_object_mut() else {
            return;
        };
        for (name, value) in object {
            if name == "unattributed" && value["properties"].is_object() {
                for reason in Reason::ALL {
                    complete(value, reason.name(), "integer", reason.sentence());
                }
            }
            if name == "lost" && value["properties"].is_object() {
                for loss in Loss::ALL {
                    complete(value, loss.name(), "integer", "events that were lost");
                }
            }
            complete_parts(value);
        }
    }

    /// An object has this number, or null.
    fn complete(object: &mut Value, name: &str, number: &str, about: &str) {
        let properties = object["properties"].as_object_mut().expect("an object");
        if !properties.contains_key(name) {
            let number = json!({"type": [number, "null"], "minimum": 0, "description": about});
            properties.insert(name.to_owned(), number);
            object["required"]
                .as_array_mut()
                .expect("names")
                .push(name.into());
        }
    }

    #[test]
    fn the_schema_has_every_counter_reason_and_loss() {
        let schema = serde_json::from_str(SCHEMA).expect("JSON");
        let mut text = Vec::new();
        let indent = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut pretty = serde_json::Serializer::with_formatter(&mut text, indent);
        completed(schema).serialize(&mut pretty).expect("written");
        let text = String::from_utf8(text).expect("text") + "\n";
        golden::compare("schema/ndjson-v1.schema.json", &text);
    }

    #[test]
    fn the_schema_refuses_a_line_without_one_of_its_fields() {
        let schema: Value = serde_json::from_str(SCHEMA).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        for line in samples().iter().flat_map(lines) {
            let fields = line.as_object().expect("an object");
            for name in fields.keys() {
                let mut without = fields.clone();
                without.remove(name);
                assert!(!validator.is_valid(&Value::Object(without)), "{name}");
            }
        }
    }

    #[test]
    fn estimated_bytes_are_the_sum_of_their_kinds_and_of_the_tasks() {
        let lines = lines(&golden::journaled());
        let number = |value: &Value| value.as_u64().expect("a number");
        let kinds = ["data", "journal", "home", "tree"];
        let system = &lines[0];
        let of_kinds = kinds.map(|kind| number(&system["shared"][kind]));
        assert_eq!(
            of_kinds.iter().sum::<u64>(),
            number(&system["shared_write_bytes"])
        );
        let sum = |name: &str| -> u64 {
            let tasks = lines.iter().filter(|line| line["type"] == "task");
            tasks.map(|task| number(&task[name])).sum()
        };
        assert_eq!(
            sum("block_write_shared_bytes"),
            of_kinds.iter().sum::<u64>()
        );
        for (name, kind) in [("journal", 1), ("home", 2), ("tree", 3)] {
            assert_ne!(of_kinds[kind], 0, "{name}");
            assert_eq!(sum(&format!("{name}_bytes")), of_kinds[kind], "{name}");
        }
        assert_eq!(sum("metadata_bytes"), of_kinds[1..].iter().sum::<u64>());
        for (at, kind) in kinds.iter().enumerate() {
            let flushes = || lines.iter().filter(|line| line["type"] == "flush");
            let flushed: u64 = flushes().map(|flush| number(&flush["shared"][kind])).sum();
            assert_eq!(flushed, of_kinds[at], "{kind}");
            let owners = flushes().flat_map(|flush| flush["owners"].as_array().expect("owners"));
            let owned: u64 = owners.map(|owner| number(&owner["shared"][kind])).sum();
            assert_eq!(owned, of_kinds[at], "{kind}");
        }
    }

    /// `lag_ns` and `unattributed` are objects.
    #[test]
    fn every_line_has_what_the_screen_shows() {
        let in_objects = ["lag_avg", "lag_max", "stacked_write_bytes"];
        for by in [None, Some(By::User), Some(By::Device), Some(By::File)] {
            let sample = match by {
                Some(by) => golden::grouped(golden::journaled(), by),
                None => golden::journaled(),
            };
            let shown = fields::columns(false, by)
                .into_iter()
                .map(|field| field.name);
            let names: Vec<&str> = shown.chain(["caused_bytes", "prio", "command"]).collect();
            let is_row = |line: &&Value| line["type"] == "task" || line["type"] == "group";
            for line in lines(&sample).iter().filter(is_row) {
                for name in names.iter().filter(|name| !in_objects.contains(name)) {
                    assert!(line.get(name).is_some(), "{name} in {line}");
                }
            }
        }
        let lines = lines(&golden::flushed());
        for flush in lines.iter().filter(|line| line["type"] == "flush") {
            assert_eq!(flush["device_name"], flush["device"]["name"]);
            let why = flush["why"].as_str().expect("a sentence");
            assert!(why.contains(' '), "{why}");
        }
    }

    #[test]
    fn unknown_is_null_and_never_zero() {
        let lines = lines(&golden::without_ebpf());
        assert_eq!(lines[0]["block_write_bytes"], Value::Null);
        assert_eq!(lines[0]["unattributed"]["metadata"], Value::Null);
        assert_eq!(lines[0]["shared"]["journal"], Value::Null);
        assert_eq!(lines[1]["metadata_bytes"], Value::Null);
        assert_eq!(lines[1]["amplification"], Value::Null);
        assert_eq!(lines[1]["lag_ns"]["avg"], Value::Null);
        assert_eq!(lines[1]["blkio_delay_ns"], Value::Null);
    }

    proptest! {
        #[test]
        fn any_name_is_parsed_back_unchanged_and_harms_no_terminal(name in any::<String>()) {
            let mut sample = golden::sample();
            sample.tasks[0].comm = name.as_str().into();
            let text = golden::json(&sample, None);
            prop_assert!(!text.chars().any(|c| c != '\n' && is_dangerous(c)));
            prop_assert_eq!(&lines(&sample)[1]["comm"], &name);
        }
    }

    #[test]
    fn a_hostile_name_stays_within_its_line() {
        let mut sample = golden::sample();
        sample.tasks[0].comm = "a\nb\x1b[2J\u{9b}\u{202e}".into();
        assert_eq!(lines(&sample)[1]["comm"], "a\nb\x1b[2J\u{9b}\u{202e}");
        let text = golden::json(&sample, None);
        assert!(text.contains(r"\u009b\u202e"), "{text}");
    }

    #[test]
    fn a_command_line_of_escapes_is_bounded_as_printed() {
        let mut sample = golden::sample();
        for hostile in ["\x1b", "\"", "\u{200b}", "\u{e0041}"] {
            sample.tasks[0].cmdline = Some(hostile.repeat(LONGEST).into());
            let line = golden::json(&sample, None);
            let line = line.lines().nth(1).expect("a task");
            // The command line, the command and the rest.
            assert!(
                line.len() < 2 * LONGEST + 2048,
                "{hostile:?}: {}",
                line.len()
            );
            let cmdline = &lines(&sample)[1]["cmdline"];
            let text = cmdline.as_str().expect("text");
            let kept = text.strip_suffix('…').expect("an ellipsis");
            assert_eq!(kept.replace(hostile, ""), "");
        }
    }
}
