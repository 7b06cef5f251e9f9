//! Adds samples up to totals since the start.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use iotop_common::Class;

use crate::sample::{
    BlockFact, BlockTotals, FileKey, ForOthers, Number, Sample, SharedTask, System, Task,
    TaskBlock, TaskKey, sum,
};

/// Which facts are kept. There may be as many as files were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// No facts: they are not needed.
    #[default]
    None,
    /// Facts by owner, submitter, device and class, without their files.
    WithoutInodes,
    /// Facts with their files.
    All,
}

/// At most this many exited tasks have a row of their own in the sum. The others share rows.
const EXITED: usize = 2000;

/// What identifies a fact across samples.
type FactId = (Option<usize>, Option<usize>, FileKey, Class);

/// Adds samples up.
#[derive(Clone, Debug)]
pub struct Accumulator {
    kept: Kept,
    sum: Option<Sample>,
}

impl Accumulator {
    /// Starts without samples.
    pub fn new(kept: Kept) -> Accumulator {
        Accumulator { kept, sum: None }
    }

    /// Turns an interval's sample into the sum of all samples so far. Exited tasks are kept if
    /// they had any I/O; of very many, those that moved least share rows.
    pub fn add(&mut self, sample: &mut Sample) {
        self.absorb(sample);
        let Some(sum) = &self.sum else { return };
        *sample = Sample {
            // These are not added up: they belong to their interval.
            exited: std::mem::take(&mut sample.exited),
            ended: std::mem::take(&mut sample.ended),
            unanswered: std::mem::take(&mut sample.unanswered),
            disks: std::mem::take(&mut sample.disks),
            flushes: std::mem::take(&mut sample.flushes),
            spikes: std::mem::take(&mut sample.spikes),
            wakes: std::mem::take(&mut sample.wakes),
            ..sum.clone()
        };
    }

    /// How many rows, facts and paths the sum has.
    pub fn parts(&self) -> usize {
        let parts = |sum: &Sample| sum.tasks.len() + sum.facts.len() + sum.paths.len();
        self.sum.as_ref().map_or(0, parts)
    }

    /// Adds an interval's sample, of which little is left.
    pub fn absorb(&mut self, sample: &mut Sample) {
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
            for_others: ForOthers::default(),
            exited: Vec::new(),
            ended: Vec::new(),
            disks: Vec::new(),
            flushes: Vec::new(),
            spikes: Vec::new(),
            wakes: Vec::new(),
            system: System::default(),
            interval: Duration::ZERO,
            ..sample.clone()
        });
        sum.seq = sample.seq;
        sum.time = sample.time;
        sum.interval += sample.interval;
        sum.system = sum_system(&sum.system, &sample.system);
        let index_in_sum = sum_tasks(sum, std::mem::take(&mut sample.tasks), &sample.exited);
        sum_facts(sum, facts, &index_in_sum);
        if let Some(index) = sum.share_rows_of_exited(EXITED) {
            let facts = std::mem::take(&mut sum.facts);
            sum_facts(sum, facts, &index);
        }
        if self.kept == Kept::All {
            sum.paths.extend(std::mem::take(&mut sample.paths));
        }
        sum.for_others.add(&sample.for_others);
        sum_devices(sum, std::mem::take(&mut sample.devices));
    }
}

/// Adds the tasks to the sum. Returns the index in the sum of each task.
fn sum_tasks(sum: &mut Sample, tasks: Vec<SharedTask>, exited: &[TaskKey]) -> Vec<usize> {
    // Pending pages are a level. Reset them here: a task that is not in this sample has none
    // left, the others' are added again below.
    for task in &mut sum.tasks {
        if task.has_dirty_pages()
            && let Some(block) = &mut task.block
        {
            block.dirty_pending = block.dirty_pending.map(|_| 0);
        }
    }
    let key = |task: &SharedTask| task.key();
    let mut index: HashMap<TaskKey, usize> = sum.tasks.iter().map(key).zip(0..).collect();
    let in_sample: HashSet<TaskKey> = tasks.iter().map(key).collect();
    let keep: Vec<bool> = sum
        .tasks
        .iter()
        .map(|task| in_sample.contains(&key(task)) || had_io(task))
        .collect();
    if keep.contains(&false) {
        sum.retain_tasks(&keep);
        index = sum.tasks.iter().map(key).zip(0..).collect();
    }
    let mut index_in_sum = Vec::with_capacity(tasks.len());
    for task in tasks {
        let at = *index.entry(key(&task)).or_insert(sum.tasks.len());
        match sum.tasks.get_mut(at) {
            Some(known) => sum_task(known, task),
            None => sum.tasks.push(task),
        }
        index_in_sum.push(at);
    }
    for key in exited {
        if let Some(at) = index.get(key) {
            let task = &mut sum.tasks[*at];
            task.exited = true;
            task.prio = None;
        }
    }
    index_in_sum
}

fn had_io(task: &Task) -> bool {
    task.stats.any() || task.block.is_some_and(|block| block.any())
}

fn sum_task(so_far: &mut SharedTask, task: SharedTask) {
    // Most tasks are always idle. Their sum equals their row: share it, to save memory.
    if is_idle(so_far) && is_idle(&task) && (so_far.stats, so_far.block) == (task.stats, task.block)
    {
        *so_far = task;
        return;
    }
    // A task that did nothing in this interval has no parents there.
    let parents = task.parents.clone().or_else(|| so_far.parents.clone());
    *so_far = SharedTask::from(Task {
        stats: so_far.stats + task.stats,
        block: sum(so_far.block, task.block),
        parents,
        ..task.into_task()
    });
}

fn is_idle(task: &Task) -> bool {
    !task.stats.any() && task.block.is_none_or(|block| block == TaskBlock::zero())
}

fn sum_facts(so_far: &mut Sample, facts: Vec<BlockFact>, index_in_sum: &[usize]) {
    let id =
        |fact: &BlockFact| -> FactId { (fact.owner, fact.submitter, fact.file_key(), fact.class) };
    let mut index: HashMap<FactId, usize> = so_far.facts.iter().map(id).zip(0..).collect();
    for mut fact in facts {
        fact.owner = fact.owner.map(|n| index_in_sum[n]);
        fact.submitter = fact.submitter.map(|n| index_in_sum[n]);
        let at = *index.entry(id(&fact)).or_insert(so_far.facts.len());
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

    fn sum_of(kept: Kept, samples: Vec<Sample>) -> Sample {
        let mut accumulator = Accumulator::new(kept);
        let mut last = golden::sample();
        for mut sample in samples {
            accumulator.add(&mut sample);
            last = sample;
        }
        last
    }

    /// A second interval: its tasks are in another order, and dd is missing.
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
        let sum = sum_of(Kept::All, vec![golden::sample(), second()]);
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
    fn only_the_wanted_parts_of_facts_are_kept() {
        let mut other_file = golden::sample();
        for fact in &mut other_file.facts {
            fact.ino += 1;
        }
        let both = vec![golden::sample(), other_file];
        for (kept, facts) in [(Kept::None, 0), (Kept::WithoutInodes, 5), (Kept::All, 10)] {
            assert_eq!(sum_of(kept, both.clone()).facts.len(), facts, "{kept:?}");
        }
    }

    #[test]
    fn a_task_that_is_missing_later_is_kept_if_it_had_io() {
        let mut empty = golden::sample();
        empty.tasks.clear();
        empty.facts.clear();
        let sum = sum_of(Kept::All, vec![golden::sample(), empty]);
        let tids: Vec<u32> = sum.tasks.iter().map(|task| task.tid).collect();
        // jbd2 (80) had no I/O of its own.
        assert_eq!(tids, [1200, 77, 900, 901, 666]);
        assert_eq!(BlockTotals::of(&sum.facts).write, (259 << 20) + 40960);
    }

    /// Totals grew with each fork since the start.
    #[test]
    fn exited_tasks_are_bounded_and_their_bytes_are_kept() {
        let intervals = 50;
        let samples = (0..intervals).map(|n| {
            let mut sample = golden::sample();
            let facts = sample.facts.clone();
            let dd = sample.tasks[0].clone();
            sample.tasks.truncate(0);
            sample.facts.clear();
            for fork in 0..100 {
                let mut task = Task::clone(&dd);
                (task.tid, task.exited) = (100 * n + fork + 1, true);
                sample.tasks.push(task.into());
                let mut fact = facts[0];
                (fact.owner, fact.submitter) = (Some(fork as usize), None);
                sample.facts.push(fact);
            }
            sample
        });
        let sum = sum_of(Kept::WithoutInodes, samples.collect());
        assert_eq!(sum.tasks.len(), EXITED + 1);
        let written = |task: &SharedTask| task.block.map_or(0, |block| block.write());
        let one = golden::sample().tasks[0].block.map_or(0, |b| b.write());
        let all: u64 = sum.tasks.iter().map(written).sum();
        assert_eq!(all, 100 * u64::from(intervals) * one);
        assert_eq!(sum.facts.len(), EXITED + 1);
        let fact = golden::sample().facts[0].bytes;
        let all: u64 = sum.facts.iter().map(|fact| fact.bytes).sum();
        assert_eq!(all, 100 * u64::from(intervals) * fact);
    }

    #[test]
    fn a_task_that_is_idle_later_keeps_its_parents() {
        let mut idle = golden::sample();
        let mut dd = idle.tasks[0].clone().into_task();
        (dd.parents, dd.block) = (None, Some(TaskBlock::zero()));
        idle.tasks[0] = dd.into();
        let sum = sum_of(Kept::All, vec![golden::sample(), idle]);
        let chain = sum.tasks[0].chain();
        assert_eq!(chain.as_deref(), Some("dd <- backup.sh <- cron"));
    }

    #[test]
    fn a_task_that_exits_after_its_io_is_marked_exited() {
        let postgres = golden::sample().tasks[3].key();
        let mut end = golden::sample();
        end.tasks.clear();
        end.facts.clear();
        end.exited = vec![postgres];
        let sum = sum_of(Kept::None, vec![golden::sample(), end]);
        for task in &sum.tasks {
            let exited = task.key() == postgres || task.tid == 1200;
            assert_eq!(task.exited, exited, "{}", task.comm);
        }
    }
}
