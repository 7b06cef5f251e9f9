//! A sample as rows of bytes: one for each fact, and one for each part of the totals that no fact
//! has. Each says whose bytes it has, where they went, and why.

mod reasons;

use std::sync::Arc;

use iotop_common::Class;

use self::reasons::Reasons;
use crate::{
    host::devices::DeviceNames,
    report::{
        by::{ReportBy, lasting},
        rest::{Rest, owned_facts},
    },
    sample::{
        BlockFact, BlockTotals, Lag, Number, Reason, Sample, SharedTask, Task, class_name,
        kind_of_estimate,
    },
    view::{Commands, Place},
};

/// What was done with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// They were read.
    Read,
    /// They were written.
    Write,
    /// They are a lower device's copy of what was written to an upper one (dm, md).
    Copy,
}

impl Operation {
    /// Its name in the exports.
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Copy => "copy",
        }
    }
}

/// A task, and the command that it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Who<'a> {
    pub task: &'a Task,
    pub command: Arc<str>,
}

/// Where bytes went to or came from.
#[derive(Clone, Debug)]
pub(super) struct Where<'a> {
    pub device: Number,
    pub device_name: Arc<str>,
    /// 0: there is none.
    pub ino: u64,
    pub path: Option<&'a Arc<str>>,
    /// What `report --by file` calls it.
    pub file: Arc<str>,
}

/// Bytes that have everything in common.
#[derive(Clone, Debug)]
pub(super) struct FactRow<'a> {
    pub sample: &'a Sample,
    pub operation: Operation,
    /// How the bytes came to their owner; `None` for a part that no fact has.
    pub class: Option<Class>,
    pub owner: Option<Who<'a>>,
    pub submitter: Option<Who<'a>>,
    /// Why written bytes have no owner.
    pub unowned: Option<Reason>,
    /// Why they were written, by the name of [`crate::sample::FlushReason`].
    pub flush_reason: Option<&'a str>,
    pub place: Option<Where<'a>>,
    pub bytes: u64,
    pub bios: Option<u64>,
    pub lag: Option<Lag>,
}

impl FactRow<'_> {
    /// How the owner of written bytes is known, in the words of the totals.
    pub fn attribution(&self) -> Option<&'static str> {
        match (self.operation, self.class) {
            (Operation::Read, _) => None,
            _ if self.unowned.is_some() => Some("unattributed"),
            (_, Some(class)) if kind_of_estimate(class).is_some() => Some("shared"),
            _ => Some("attributed"),
        }
    }

    /// What written bytes are; `None` if it is not known.
    pub fn kind(&self) -> Option<&'static str> {
        let class = self.class?;
        let is_owned = self.operation == Operation::Write && self.unowned.is_none();
        is_owned.then(|| kind_of_estimate(class).unwrap_or("data"))
    }

    /// The class's name in recordings; that of its reason for a part that no fact has.
    pub fn class_name(&self) -> Option<&'static str> {
        match self.class {
            Some(class) => Some(class_name(class)),
            None => self.unowned.map(Reason::name),
        }
    }
}

/// The rows of a sample. Their bytes add up to the system's totals.
pub(super) fn fact_rows<'a>(sample: &'a Sample, names: &mut DeviceNames) -> Vec<FactRow<'a>> {
    let facts = owned_facts(sample);
    let reasons = Reasons::of(sample);
    let mut tasks = Tasks {
        tasks: &sample.tasks,
        commands: Commands::new(&sample.tasks),
    };
    let rows = facts.iter().filter(|fact| fact.bytes != 0);
    let mut rows: Vec<FactRow> = rows
        .map(|fact| row(fact, sample, &mut tasks, &reasons, names))
        .collect();
    let rest = Rest::of(sample, &BlockTotals::of(&facts));
    let unowned = rest.unattributed.parts();
    let unowned = unowned.map(|(reason, bytes)| (Some(reason), bytes));
    for (unowned, bytes) in [(None, rest.read)].into_iter().chain(unowned) {
        if bytes != 0 {
            rows.push(of_rest(sample, unowned, bytes));
        }
    }
    rows
}

struct Tasks<'a> {
    tasks: &'a [SharedTask],
    commands: Commands<'a>,
}

impl<'a> Tasks<'a> {
    fn who(&mut self, index: Option<usize>) -> Option<Who<'a>> {
        let task = &**self.tasks.get(index?)?;
        let command = ReportBy::Command.of_task(task, &self.commands);
        Some(Who {
            task,
            command: command.unwrap_or_default(),
        })
    }
}

fn row<'a>(
    fact: &BlockFact,
    sample: &'a Sample,
    tasks: &mut Tasks<'a>,
    reasons: &Reasons<'a>,
    names: &mut DeviceNames,
) -> FactRow<'a> {
    let operation = match fact.class {
        Class::Read => Operation::Read,
        Class::Stacked => Operation::Copy,
        _ => Operation::Write,
    };
    let is_unowned = operation != Operation::Read && fact.owner.is_none();
    let place = Place::of(fact, names);
    FactRow {
        sample,
        operation,
        class: Some(fact.class),
        owner: tasks.who(fact.owner),
        submitter: tasks.who(fact.submitter),
        unowned: is_unowned.then(|| Reason::of(fact.class).unwrap_or(Reason::Unknown)),
        flush_reason: match operation {
            Operation::Write => reasons.of_fact(fact, sample),
            Operation::Read | Operation::Copy => None,
        },
        place: Some(Where {
            device: fact.device,
            device_name: names.name(fact.device),
            ino: fact.ino,
            path: sample.paths.get(&fact.file_key()),
            file: lasting(&place.name(&sample.paths, names)),
        }),
        bytes: fact.bytes,
        bios: Some(fact.bios),
        lag: fact.lag,
    }
}

/// A part of the totals that no fact has. `unowned` is `None` for reads.
fn of_rest(sample: &Sample, unowned: Option<Reason>, bytes: u64) -> FactRow<'_> {
    FactRow {
        sample,
        operation: match unowned {
            None => Operation::Read,
            Some(Reason::Stacked) => Operation::Copy,
            Some(_) => Operation::Write,
        },
        class: None,
        owner: None,
        submitter: None,
        unowned,
        flush_reason: None,
        place: None,
        bytes,
        bios: None,
        lag: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    /// The sum of the rows that are meant.
    fn sum(rows: &[FactRow], is_meant: impl Fn(&FactRow) -> bool) -> u64 {
        let meant = rows.iter().filter(|row| is_meant(row));
        meant.map(|row| row.bytes).sum()
    }

    #[test]
    fn the_rows_have_every_byte_of_the_system_in_its_kind() {
        let mut names = DeviceNames::new("/nonexistent".as_ref());
        for (mut sample, beyond) in [
            (golden::sample(), 0),
            (golden::journaled(), 0),
            (golden::flushed(), 4096),
            (golden::without_ebpf(), 0),
        ] {
            // What found no room among the facts.
            if let Some(block) = &mut sample.system.block {
                block.write += 2 * beyond;
                block.attributed += beyond;
                block.unattributed[Reason::Overflow] += beyond;
                block.unattributed[Reason::Stacked] += beyond;
                block.read += beyond;
            }
            let block = sample.system.block.unwrap_or_default();
            let rows = fact_rows(&sample, &mut names);
            let of = |operation| sum(&rows, |row| row.operation == operation);
            assert_eq!(of(Operation::Read), block.read);
            assert_eq!(of(Operation::Write), block.write);
            assert_eq!(of(Operation::Copy), block.unattributed[Reason::Stacked]);
            let kind = |kind| sum(&rows, |row| row.kind() == Some(kind));
            for (name, bytes) in block.metadata.parts() {
                assert_eq!(kind(name), bytes, "{name}");
            }
            let data = block.attributed + block.shared - block.metadata.total();
            assert_eq!(kind("data"), data - beyond);
            let attribution = |name| sum(&rows, |row| row.attribution() == Some(name));
            assert_eq!(attribution("attributed"), block.attributed - beyond);
            assert_eq!(attribution("shared"), block.shared);
            let unowned = |reason| sum(&rows, |row| row.unowned == Some(reason));
            for (reason, bytes) in block.unattributed.parts() {
                let moved = if reason == Reason::Unknown { beyond } else { 0 };
                assert_eq!(unowned(reason), bytes + moved, "{reason:?}");
            }
            let is_known = |row: &FactRow| row.owner.is_some() != row.unowned.is_some();
            let written = rows.iter().filter(|row| row.operation != Operation::Read);
            assert!(written.into_iter().all(is_known));
        }
    }
}
