//! The columns of the table, in its order. Each has a name, a type, a meaning, and a function that
//! reads its value from a row.

use std::{borrow::Cow, time::Duration};

use jiff::Timestamp;

use crate::{
    export::fact_rows::{FactRow, Where, Who},
    sample::{Reason, nanoseconds},
    view::launched_name,
};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nanoseconds since 1970, UTC.
    Time,
    /// UINT64.
    U64,
    /// UINT32.
    U32,
    /// BOOLEAN.
    Bool,
    /// UTF8, by a dictionary.
    Text,
}

impl Type {
    /// Its name in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Time => "TIMESTAMP(ns, UTC)",
            Type::U64 => "UINT64",
            Type::U32 => "UINT32",
            Type::Bool => "BOOLEAN",
            Type::Text => "UTF8",
        }
    }

    /// The type in Parquet's language of schemas: the physical one, and what it means.
    pub(super) const fn in_schema(self) -> (&'static str, &'static str) {
        match self {
            Type::Time => ("INT64", "(TIMESTAMP(NANOS,true))"),
            Type::U64 => ("INT64", "(INTEGER(64,false))"),
            Type::U32 => ("INT32", "(INTEGER(32,false))"),
            Type::Bool => ("BOOLEAN", ""),
            Type::Text => ("BYTE_ARRAY", "(STRING)"),
        }
    }
}

/// A value of a column that has one.
pub(super) enum Cell<'a> {
    Time(i64),
    U64(u64),
    U32(u32),
    Bool(bool),
    Text(Cow<'a, str>),
}

/// A column of the table.
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub r#type: Type,
    /// What a value means, and what NULL means.
    pub meaning: &'static str,
    pub(super) cell: for<'a> fn(&'a FactRow<'a>) -> Option<Cell<'a>>,
}

macro_rules! columns {
    ($($name:ident $type:ident $meaning:literal $cell:expr;)*) => {
        &[$(Column {
            name: stringify!($name),
            r#type: Type::$type,
            meaning: $meaning,
            cell: $cell,
        }),*]
    };
}

/// All columns.
pub const COLUMNS: &[Column] = columns! {
    time Time "end of the interval" |row| time(row.sample.time);
    interval_ns U64 "its length" |row| ns(row.sample.interval);
    seq U64 "its number since the recorder was started" |row| Some(Cell::U64(row.sample.seq));
    operation Text "`read`, `write`, or `copy`: a lower device's copy of what was written to an upper one (dm, md), which is not part of the writes"
        |row| text(row.operation.name());
    attribution Text "of writes and copies: `attributed` (the owner is known exactly), `shared` (by estimate), `unattributed`"
        |row| text(row.attribution()?);
    kind Text "of written bytes with an owner: `data`, `journal`, `home`, `tree`"
        |row| text(row.kind()?);
    class Text "the class of the fact, see `fact` lines; of bytes that found no room among the facts, their reason"
        |row| text(row.class_name()?);
    reason Text "why written bytes have no owner" |row| text(row.unowned.map(Reason::name)?);
    flush_reason Text "why they were written: the `reason` of `flush` lines; NULL if it can't be told"
        |row| text(row.flush_reason?);
    bytes U64 "the bytes" |row| Some(Cell::U64(row.bytes));
    bios U64 "number of bios; NULL for bytes that found no room among the facts" |row| row.bios.map(Cell::U64);
    lag_pages U64 "number of pages for which it is known how long they had been dirty" |row| Some(Cell::U64(row.lag?.pages));
    lag_sum_ns U64 "the sum of these times" |row| ns(row.lag?.sum);
    lag_max_ns U64 "the longest of them" |row| ns(row.lag?.max);
    pid U32 "the owner's process; the reader's, if the bytes were read. NULL here and below: no owner"
        |row| Some(Cell::U32(owner(row)?.task.pid));
    tid U32 "its thread" |row| Some(Cell::U32(owner(row)?.task.tid));
    start_time Time "when it started" |row| time(owner(row)?.task.start_time?);
    comm Text "its name" |row| text(&owner(row)?.task.comm);
    command Text "the command that it belongs to, as `report --by command` has it" |row| text(&owner(row)?.command);
    cmdline Text "its command line" |row| text(owner(row)?.task.cmdline.as_deref()?);
    kthread Bool "whether it is a kernel thread" |row| Some(Cell::Bool(owner(row)?.task.kthread));
    tasks U64 "how many tasks it stands for at least, see crowds" |row| Some(Cell::U64(owner(row)?.task.tasks()));
    ppid U32 "its parent's process" |row| owner(row)?.task.ppid.map(Cell::U32);
    parents Text "it and who launched it: `dd <- backup.sh <- cron`" |row| launched(owner(row)?);
    uid U32 "its user" |row| owner(row)?.task.uid.map(Cell::U32);
    user Text "the user's name" |row| text(owner(row)?.task.user.as_deref()?);
    cgroup Text "its cgroup" |row| text(owner(row)?.task.cgroup.as_deref()?);
    unit Text "its systemd unit" |row| text(owner(row)?.task.unit.as_deref()?);
    container Text "its container" |row| text(owner(row)?.task.container.as_deref()?);
    submitter_pid U32 "the process of the task that submitted the bios; NULL here and below: it is not known"
        |row| Some(Cell::U32(submitter(row)?.task.pid));
    submitter_tid U32 "its thread" |row| Some(Cell::U32(submitter(row)?.task.tid));
    submitter_comm Text "its name" |row| text(&submitter(row)?.task.comm);
    submitter_command Text "the command that it belongs to" |row| text(&submitter(row)?.command);
    device Text "the device's name. NULL here and below: the bytes found no room among the facts"
        |row| text(&place(row)?.device_name);
    device_major U32 "its major number" |row| Some(Cell::U32(place(row)?.device.0));
    device_minor U32 "its minor number" |row| Some(Cell::U32(place(row)?.device.1));
    inode U64 "the file's inode; NULL if there is none"
        |row| Some(Cell::U64(Some(place(row)?.ino).filter(|ino| *ino != 0)?));
    path Text "the file's path; NULL if it is not known" |row| text(place(row)?.path?);
    file Text "the file as `report --by file` has it: its path, `DEVICE:inode N`, or the metadata of a file system"
        |row| text(&place(row)?.file);
};

fn owner<'a>(row: &'a FactRow<'a>) -> Option<&'a Who<'a>> {
    row.owner.as_ref()
}

fn submitter<'a>(row: &'a FactRow<'a>) -> Option<&'a Who<'a>> {
    row.submitter.as_ref()
}

fn place<'a>(row: &'a FactRow<'a>) -> Option<&'a Where<'a>> {
    row.place.as_ref()
}

fn launched<'a>(who: &'a Who<'a>) -> Option<Cell<'a>> {
    let task = who.task;
    let parents = task.parents.as_deref();
    let name = launched_name(&task.comm, task.kthread, parents);
    Some(Cell::Text(Cow::Owned(name.to_string())))
}

fn text(text: &str) -> Option<Cell<'_>> {
    Some(Cell::Text(text.into()))
}

fn ns<'a>(duration: Duration) -> Option<Cell<'a>> {
    Some(Cell::U64(nanoseconds(duration)))
}

/// `None` for a time that 64 bits of nanoseconds can't hold, as in the year 3000.
fn time<'a>(time: Timestamp) -> Option<Cell<'a>> {
    i64::try_from(time.as_nanosecond()).ok().map(Cell::Time)
}
