//! Keeps only some devices' I/O (`--device`).

use std::collections::HashSet;

use crate::sample::{BlockTotals, Number, Sample, TaskBlock};

/// Keeps only the I/O of these devices: in facts, flushes and spikes, in the tasks' block I/O
/// and in the system's. How much a task dirtied for a device is not known. Tasks without I/O
/// on these devices are dropped.
pub fn on_device(sample: &mut Sample, devices: &[Number]) {
    sample.facts.retain(|fact| devices.contains(&fact.device));
    sample
        .flushes
        .retain(|flush| devices.contains(&flush.device));
    sample
        .spikes
        .retain(|spike| devices.contains(&spike.device));
    let known = sample.system.block.is_some();
    sample
        .devices
        .retain(|(device, _)| devices.contains(device));
    let sum = |sum: BlockTotals, (_, totals): &(Number, BlockTotals)| sum + *totals;
    let totals = sample.devices.iter().fold(BlockTotals::default(), sum);
    sample.system.block = known.then_some(totals);
    for task in &mut sample.tasks {
        task.block = known.then(TaskBlock::default);
    }
    let mut busy = HashSet::new();
    for fact in &sample.facts {
        busy.extend(fact.owner);
        busy.extend(fact.submitter);
        for (n, part) in fact.charges() {
            if let Some(block) = &mut sample.tasks[n].block {
                *block = *block + part;
            }
        }
    }
    let keep: Vec<bool> = (0..sample.tasks.len()).map(|n| busy.contains(&n)).collect();
    sample.retain_tasks(&keep);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden, sample::by_device};

    #[test]
    fn a_device_has_its_own_bytes_and_no_others() {
        let mut sample = golden::sample();
        sample.facts[2].device = (8, 16);
        sample.devices = by_device(&sample.facts);
        on_device(&mut sample, &[(8, 16)]);
        let tids: Vec<u32> = sample.tasks.iter().map(|task| task.tid).collect();
        assert_eq!(tids, [900]);
        let block = sample.tasks[0].block.expect("traced");
        assert_eq!((block.write_self, block.write_flushed), (2 << 20, 0));
        assert_eq!(block.dirty_pending, None);
        let totals = sample.system.block.expect("traced");
        assert_eq!((totals.write, totals.attributed), (2 << 20, 2 << 20));
        assert_eq!(sample.system.pgpgin_bytes, Some(2048));
    }

    #[test]
    fn keeping_all_devices_changes_nothing() {
        let before = golden::sample();
        let mut sample = before.clone();
        on_device(&mut sample, &[(8, 1)]);
        for task in &sample.tasks {
            let was = before.tasks.iter().find(|was| was.tid == task.tid);
            let was = was.and_then(|was| was.block).expect("traced");
            let block = task.block.expect("traced");
            assert_eq!(block.write(), was.write(), "{}", task.comm);
            assert_eq!(block.submitted_for_others, was.submitted_for_others);
        }
        let (was, is) = (before.system.block, sample.system.block);
        assert_eq!(was.map(|b| b.write), is.map(|b| b.write));
    }

    #[test]
    fn without_ebpf_the_io_of_a_device_is_unknown() {
        let mut sample = golden::without_ebpf();
        on_device(&mut sample, &[(8, 1)]);
        assert!(sample.tasks.is_empty() && sample.system.block.is_none());
    }
}
