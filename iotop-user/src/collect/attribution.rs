//! Charges what the kernel half counted by slot to the tasks that own the slots.

use std::{collections::HashMap, time::Duration};

use iotop_common::{Cause, CauseKey, Class, Fact, FlushId, tag::Slot};

use crate::{
    host::devices::major_minor,
    probe::{Epoch, PageDeltas},
    sample::{BlockFact, BlockTotals, Lag, Lags, Reason, Task, TaskBlock, nanoseconds},
};

/// Charges an epoch's facts to the tasks that own their slots. Returns the facts with indices
/// into `tasks` in place of slots. `task_of` has the index of each slot's task.
pub fn charge(epoch: &Epoch, task_of: &HashMap<Slot, usize>, tasks: &mut [Task]) -> Vec<BlockFact> {
    let mut facts = Vec::with_capacity(epoch.facts.len());
    for (key, fact) in &epoch.facts {
        let Some(class) = Class::from_u32(key.class) else {
            continue;
        };
        let owner = task_of.get(&key.owner).copied();
        let submitter = task_of.get(&key.submitter).copied();
        // The inode of btrfs's trees is no file.
        let (ino, file) = match class {
            Class::Tree => (0, 0),
            _ => (key.ino, key.file),
        };
        let fact = BlockFact {
            owner,
            submitter,
            device: major_minor(key.dev),
            ino,
            class,
            file,
            flush: FlushId(key.flush),
            bytes: fact.bytes,
            bios: fact.bios.into(),
            lag: lag(class, fact, epoch.tick),
            lags: Lags {
                tick: epoch.tick,
                pages: fact.lags.map(u64::from),
            },
        };
        for (n, part) in fact.charges() {
            if let Some(block) = &mut tasks[n].block {
                *block = *block + part;
            }
        }
        facts.push(fact);
    }
    facts
}

/// Adds a slot's counters to its task. A task may have had two slots, so the sum is needed.
pub fn add_slot(block: &mut TaskBlock, deltas: &PageDeltas, page_size: u64, jiffy: Duration) {
    let add = |sum: &mut Option<u64>, n: u64| {
        *sum = Some(sum.unwrap_or(0) + n);
    };
    add(&mut block.dirtied, deltas.dirtied * page_size);
    add(&mut block.cancelled, deltas.cancelled * page_size);
    add(&mut block.dirty_pending, deltas.pending * page_size);
    let throttled = deltas.throttled.saturating_mul(nanoseconds(jiffy));
    add(&mut block.throttled_ns, throttled);
    add(&mut block.throttles, deltas.throttles);
}

/// Adds how often tasks waited for a file to be written.
pub fn add_syncs(epoch: &Epoch, task_of: &HashMap<Slot, usize>, tasks: &mut [Task]) {
    for (slot, count) in syncs(epoch) {
        let block = task_of.get(&slot).and_then(|n| tasks[*n].block.as_mut());
        if let Some(block) = block {
            block.syncs = Some(block.syncs.unwrap_or(0) + count);
        }
    }
}

/// The slots of tasks that waited for a file to be written, and how often they did.
pub fn syncs(epoch: &Epoch) -> impl Iterator<Item = (Slot, u64)> {
    let is_sync = |key: &CauseKey| Cause::from_u32(key.cause) == Some(Cause::Synced);
    let all = epoch.causes.iter().filter(move |(key, _)| is_sync(key));
    all.map(|(key, count)| (key.slot, *count))
}

/// The machine's totals. Bytes whose fact found no room are `overflow`; bytes of an owner that
/// is not known are `unknown`. The sum of the parts therefore always equals the total, and
/// the sum over the tasks equals the parts.
pub fn totals(epoch: &Epoch, facts: &[BlockFact]) -> BlockTotals {
    let mut totals = BlockTotals {
        read: epoch.totals.read_bytes,
        write: epoch.totals.write_bytes,
        ..BlockTotals::of(facts)
    };
    totals.unattributed[Reason::Overflow] += epoch.totals.write_overflow_bytes;
    totals.unattributed[Reason::Stacked] += epoch.totals.stacked_overflow_bytes;
    totals
}

fn lag(class: Class, fact: &Fact, tick: Duration) -> Option<Lag> {
    let ticks = |n: u64| Duration::from_nanos(n.saturating_mul(nanoseconds(tick)));
    (class == Class::Exact && fact.pages != 0).then(|| Lag {
        sum: ticks(fact.lag_sum),
        max: ticks(fact.lag_max.into()),
        pages: fact.pages.into(),
    })
}

#[cfg(test)]
mod tests {
    use iotop_common::{FactKey, LAGS, Lost, Totals};

    use super::*;

    const DD: Slot = 3;
    const KWORKER: Slot = 4;

    fn fact(owner: Slot, submitter: Slot, class: Class, bytes: u64) -> (FactKey, Fact) {
        let key = FactKey {
            ino: 12,
            dev: 7 << 20,
            class: class as u32,
            owner,
            submitter,
            flush: 0,
            file: 0,
        };
        let value = Fact {
            bytes,
            bios: 1,
            pages: (bytes / 4096) as u32,
            lag_sum: 2 * bytes / 4096,
            lag_max: 3,
            lags: [0; LAGS],
        };
        (key, value)
    }

    fn epoch(facts: Vec<(FactKey, Fact)>, write_bytes: u64, overflow: u64) -> Epoch {
        Epoch {
            facts,
            tick: Duration::from_millis(16),
            totals: Totals {
                write_bytes,
                write_overflow_bytes: overflow,
                ..Totals::default()
            },
            lost: [0; Lost::COUNT as usize],
            missed: 0,
            causes: Vec::new(),
            owners: Vec::new(),
        }
    }

    fn tasks() -> (HashMap<Slot, usize>, Vec<Task>) {
        let task = Task {
            block: Some(TaskBlock::default()),
            ..Task::default()
        };
        (HashMap::from([(DD, 0), (KWORKER, 1)]), vec![task; 2])
    }

    #[test]
    fn a_flush_is_charged_to_the_owner_and_counted_for_the_submitter() {
        let (task_of, mut tasks) = tasks();
        let epoch = epoch(vec![fact(DD, KWORKER, Class::Exact, 8192)], 8192, 0);
        charge(&epoch, &task_of, &mut tasks);
        let dd = tasks[0].block.expect("set");
        let kworker = tasks[1].block.expect("set");
        assert_eq!((dd.write_flushed, dd.write_self), (8192, 0));
        assert_eq!((kworker.write(), kworker.submitted_for_others), (0, 8192));
        let lag = dd.lag.expect("two pages");
        assert_eq!(lag.avg(), Duration::from_millis(32));
        assert_eq!(lag.max, Duration::from_millis(48));
    }

    #[test]
    fn direct_and_self_submitted_bytes_are_write_self() {
        let (task_of, mut tasks) = tasks();
        let facts = vec![
            fact(DD, DD, Class::Direct, 4096),
            fact(DD, DD, Class::Exact, 8192),
        ];
        charge(&epoch(facts, 12288, 0), &task_of, &mut tasks);
        let dd = tasks[0].block.expect("set");
        assert_eq!((dd.write_self, dd.submitted_for_others), (12288, 0));
    }

    #[test]
    fn conservation_the_parts_add_up_to_the_total_even_with_full_tables() {
        let facts = vec![
            fact(DD, KWORKER, Class::Exact, 100),
            fact(DD, KWORKER, Class::Shared, 20),
            fact(0, KWORKER, Class::Metadata, 3),
            fact(0, KWORKER, Class::Stacked, 1000),
        ];
        let (task_of, mut tasks) = tasks();
        let epoch = epoch(facts, 130, 7);
        let facts = charge(&epoch, &task_of, &mut tasks);
        let t = totals(&epoch, &facts);
        assert_eq!(t.unattributed[Reason::Overflow], 7);
        assert_eq!(t.attributed + t.shared + t.unattributed.in_total(), t.write);
        assert_eq!(t.unattributed[Reason::Stacked], 1000);
    }

    /// Regression: an owner's files on btrfs had one without a name, `inode 1`.
    #[test]
    fn the_pages_of_trees_are_no_file() {
        let (task_of, mut tasks) = tasks();
        let facts = vec![
            fact(DD, KWORKER, Class::Tree, 4096),
            fact(DD, KWORKER, Class::Exact, 4096),
        ];
        let facts = charge(&epoch(facts, 8192, 0), &task_of, &mut tasks);
        assert_eq!((facts[0].ino, facts[1].ino), (0, 12));
    }

    #[test]
    fn bytes_of_an_unknown_owner_are_not_attributed() {
        let (_, mut tasks) = tasks();
        let epoch = epoch(vec![fact(DD, KWORKER, Class::Exact, 4096)], 4096, 0);
        let facts = charge(&epoch, &HashMap::new(), &mut tasks);
        let t = totals(&epoch, &facts);
        assert_eq!((t.attributed, t.unattributed[Reason::Unknown]), (0, 4096));
    }
}
