//! Totals since start instead of the interval's.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use iotop_common::Class;

use crate::sample::{
    BlockFact, BlockTotals, FileKey, Number, Sample, SharedTask, System, Task, TaskBlock, TaskKey,
    sum,
};

/// Which facts are worth keeping: they can be as many as files were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// Nobody asks for facts.
    #[default]
    None,
    /// By owner, submitter, device and class.
    WithoutInodes,
    /// All that is known.
    All,
}

/// A fact in one sample and the next.
type FactOf = (Option<usize>, Option<usize>, FileKey, Class);

/// Adds samples up.
#[derive(Debug)]
pub struct Accumulator {
    kept: Kept,
    sum: Option<Sample>,
}

impl Accumulator {
    /// Nothing yet.
    pub fn new(kept: Kept) -> Accumulator {
        Accumulator { kept, sum: None }
    }

    /// Turns an interval's sample into the sum of all so far. Tasks that have
    /// exited stay, if they did anything.
    pub fn add(&mut self, sample: &mut Sample) {
        let mut facts = std::mem::take(&mut sample.facts);
        match self.kept {
            Kept::None => facts.clear(),
            Kept::WithoutInodes => facts
                .iter_mut()
                .for_each(|fact| (fact.ino, fact.file) = (0, 0)),
            Kept::All => {}
        }
        let sum = self.sum.get_or_insert_with(|| Sample {
            tasks: Vec::new(),
            facts: Vec::new(),
            devices: Vec::new(),
            paths: HashMap::new(),
            system: System::default(),
            interval: Duration::ZERO,
            ..sample.clone()
        });
        sum.seq = sample.seq;
        sum.time = sample.time;
        sum.interval += sample.interval;
        sum.system = sum_system(&sum.system, &sample.system);
        let place = sum_tasks(sum, std::mem::take(&mut sample.tasks), &sample.exited);
        sum_facts(sum, facts, &place);
        if self.kept == Kept::All {
            sum.paths.extend(std::mem::take(&mut sample.paths));
        }
        // These are of their interval.
        sum.exited = std::mem::take(&mut sample.exited);
        sum.disks = std::mem::take(&mut sample.disks);
        sum.flushes = std::mem::take(&mut sample.flushes);
        sum.spikes = std::mem::take(&mut sample.spikes);
        sum_devices(sum, std::mem::take(&mut sample.devices));
        *sample = sum.clone();
    }
}

/// Adds the tasks and says where each stands now.
fn sum_tasks(sum: &mut Sample, tasks: Vec<SharedTask>, exited: &[TaskKey]) -> Vec<usize> {
    // Dirty pages are a level: those of a task that is not in this sample
    // have been written.
    for task in &mut sum.tasks {
        if task.has_dirty_pages()
            && let Some(block) = &mut task.block
        {
            block.dirty_pending = block.dirty_pending.map(|_| 0);
        }
    }
    let of = |task: &SharedTask| task.key();
    let mut index: HashMap<TaskKey, usize> = sum.tasks.iter().map(of).zip(0..).collect();
    let there: HashSet<TaskKey> = tasks.iter().map(of).collect();
    let keep: Vec<bool> = sum
        .tasks
        .iter()
        .map(|task| there.contains(&of(task)) || did_anything(task))
        .collect();
    if keep.contains(&false) {
        sum.retain_tasks(&keep);
        index = sum.tasks.iter().map(of).zip(0..).collect();
    }
    let mut place = Vec::with_capacity(tasks.len());
    for task in tasks {
        let at = *index.entry(of(&task)).or_insert(sum.tasks.len());
        match sum.tasks.get_mut(at) {
            Some(known) => sum_task(known, task),
            None => sum.tasks.push(task),
        }
        place.push(at);
    }
    for key in exited {
        if let Some(at) = index.get(key) {
            let task = &mut sum.tasks[*at];
            task.exited = true;
            task.prio = None;
        }
    }
    place
}

fn did_anything(task: &Task) -> bool {
    task.stats.any() || task.block.is_some_and(|block| block.any())
}

fn sum_task(so_far: &mut SharedTask, task: SharedTask) {
    // Most tasks never do anything: all their sums are the row that they have anyway.
    if is_idle(so_far) && is_idle(&task) && (so_far.stats, so_far.block) == (task.stats, task.block)
    {
        *so_far = task;
        return;
    }
    *so_far = SharedTask::from(Task {
        stats: so_far.stats + task.stats,
        block: sum(so_far.block, task.block),
        ..task.into_task()
    });
}

fn is_idle(task: &Task) -> bool {
    !task.stats.any() && task.block.is_none_or(|block| block == TaskBlock::zero())
}

fn sum_facts(so_far: &mut Sample, facts: Vec<BlockFact>, place: &[usize]) {
    let of =
        |fact: &BlockFact| -> FactOf { (fact.owner, fact.submitter, fact.file_key(), fact.class) };
    let mut index: HashMap<FactOf, usize> = so_far.facts.iter().map(of).zip(0..).collect();
    for mut fact in facts {
        fact.owner = fact.owner.map(|n| place[n]);
        fact.submitter = fact.submitter.map(|n| place[n]);
        let at = *index.entry(of(&fact)).or_insert(so_far.facts.len());
        let Some(known) = so_far.facts.get_mut(at) else {
            so_far.facts.push(fact);
            continue;
        };
        known.bytes += fact.bytes;
        known.bios += fact.bios;
        known.lag = sum(known.lag, fact.lag);
        known.lags = known.lags + fact.lags;
    }
}

fn sum_devices(sum: &mut Sample, devices: Vec<(Number, BlockTotals)>) {
    let mut all: BTreeMap<Number, BlockTotals> = sum.devices.drain(..).collect();
    for (device, totals) in devices {
        let known = all.entry(device).or_default();
        *known = *known + totals;
    }
    sum.devices.extend(all);
}

fn sum_system(so_far: &System, now: &System) -> System {
    System {
        pgpgin_bytes: sum(so_far.pgpgin_bytes, now.pgpgin_bytes),
        pgpgout_bytes: sum(so_far.pgpgout_bytes, now.pgpgout_bytes),
        dirtied_bytes: sum(so_far.dirtied_bytes, now.dirtied_bytes),
        written_bytes: sum(so_far.written_bytes, now.written_bytes),
        tasks_exited: sum(so_far.tasks_exited, now.tasks_exited),
        self_cpu_ns: sum(so_far.self_cpu_ns, now.self_cpu_ns),
        block: sum(so_far.block, now.block),
        lost: so_far.lost + now.lost,
        ..now.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn sum(kept: Kept, samples: Vec<Sample>) -> Sample {
        let mut accumulator = Accumulator::new(kept);
        let mut last = golden::sample();
        for mut sample in samples {
            accumulator.add(&mut sample);
            last = sample;
        }
        last
    }

    /// The second interval has its tasks in another order, and dd is gone.
    fn second() -> Sample {
        let mut sample = golden::sample();
        let last = sample.tasks.len() - 1;
        sample.retain_tasks(&[false, true, true, true, true, true]);
        sample.tasks.swap(0, last - 1);
        for fact in &mut sample.facts {
            let moved = |n: usize| match n {
                0 => last - 1,
                n if n == last - 1 => 0,
                n => n,
            };
            fact.owner = fact.owner.map(moved);
            fact.submitter = fact.submitter.map(moved);
        }
        sample.seq = 2;
        sample
    }

    #[test]
    fn facts_follow_their_tasks_and_agree_with_them() {
        let sum = sum(Kept::All, vec![golden::sample(), second()]);
        assert_eq!((sum.seq, sum.tasks.len()), (2, 6));
        for (n, task) in sum.tasks.iter().enumerate() {
            let facts = sum.facts.iter().filter(|fact| fact.owner == Some(n));
            let written: u64 = facts.map(|fact| fact.of_owner().write()).sum();
            assert_eq!(
                Some(written),
                task.block.map(|b| b.write()),
                "{}",
                task.comm
            );
        }
        assert_eq!(BlockTotals::of(&sum.facts).attributed, (259 + 3) << 20);
    }

    #[test]
    fn only_what_is_asked_for_is_remembered_of_facts() {
        let mut other_file = golden::sample();
        for fact in &mut other_file.facts {
            fact.ino += 1;
        }
        let both = vec![golden::sample(), other_file];
        for (kept, facts) in [(Kept::None, 0), (Kept::WithoutInodes, 5), (Kept::All, 10)] {
            assert_eq!(sum(kept, both.clone()).facts.len(), facts, "{kept:?}");
        }
    }

    #[test]
    fn a_task_that_is_gone_stays_if_it_did_anything() {
        let mut empty = golden::sample();
        empty.tasks.clear();
        empty.facts.clear();
        let sum = sum(Kept::All, vec![golden::sample(), empty]);
        let tids: Vec<u32> = sum.tasks.iter().map(|task| task.tid).collect();
        // jbd2 (80) had no I/O of its own.
        assert_eq!(tids, [1200, 77, 900, 901, 666]);
        assert_eq!(BlockTotals::of(&sum.facts).write, (259 << 20) + 40960);
    }

    #[test]
    fn a_task_that_exits_after_it_did_its_io_is_gone() {
        let postgres = golden::sample().tasks[3].key();
        let mut end = golden::sample();
        end.tasks.clear();
        end.facts.clear();
        end.exited = vec![postgres];
        let sum = sum(Kept::None, vec![golden::sample(), end]);
        for task in &sum.tasks {
            let gone = task.key() == postgres || task.tid == 1200;
            assert_eq!(task.exited, gone, "{}", task.comm);
        }
    }
}
