//! Keeps only some devices' I/O (`--device`).

use std::{collections::HashSet, path::Path};

use crate::{
    host::devices::{self, Device},
    sample::{BlockTotals, Number, Sample, TaskBlock},
};

/// The devices whose I/O is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnDevice {
    /// As the user named them.
    pub wanted: Vec<String>,
    /// Their names, for messages and headers.
    pub name: String,
    /// Their numbers and those of their partitions.
    pub numbers: Vec<Number>,
}

impl OnDevice {
    /// The devices that the user named.
    ///
    /// # Errors
    ///
    /// The name of a device that does not exist.
    pub fn find(sys_root: &Path, wanted: &[String]) -> Result<OnDevice, String> {
        let missing = |text: &&String| devices::find(sys_root, text).is_none();
        if let Some(text) = wanted.iter().find(missing) {
            return Err(text.clone());
        }
        let mut found = OnDevice {
            wanted: wanted.to_vec(),
            ..OnDevice::default()
        };
        found.look(sys_root);
        Ok(found)
    }

    /// Looks the devices up again: a disk may have another partition now, or another number
    /// after it was plugged in again. The number of a device that is gone stays until another
    /// device has it, because its last bytes are still to be shown.
    pub fn look(&mut self, sys_root: &Path) {
        let find = |text: &String| devices::find(sys_root, text);
        let found: Vec<Device> = self.wanted.iter().filter_map(find).collect();
        if found.len() == self.wanted.len() && !found.is_empty() {
            let names: Vec<&str> = found.iter().map(|device| &*device.name).collect();
            self.name = names.join(", ");
        }
        let numbers = found.iter().flat_map(|device| {
            let partitions = device.partitions.iter();
            [&device.number].into_iter().chain(partitions).copied()
        });
        self.numbers
            .retain(|number| !devices::is_taken(sys_root, *number));
        self.numbers.extend(numbers);
    }
}

/// Keeps only the I/O of these devices: in facts, flushes, spikes and wake-ups, in the tasks' block I/O
/// and in the system's. How much a task dirtied for a device is not known. Tasks without I/O
/// on these devices are dropped.
pub fn on_device(sample: &mut Sample, devices: &[Number]) {
    keep_on(sample, devices);
    let known = sample.system.block.is_some();
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

/// Keeps only the facts, flushes, spikes, wake-ups and totals of these devices.
pub(super) fn keep_on(sample: &mut Sample, devices: &[Number]) {
    let wanted = |device: &Number| devices.contains(device);
    sample.facts.retain(|fact| wanted(&fact.device));
    sample.for_others.retain(devices);
    sample.flushes.retain(|flush| wanted(&flush.device));
    sample.spikes.retain(|spike| wanted(&spike.device));
    // It is the whole disk that wakes, whichever of its partitions is shown.
    sample.wakes.retain(|wake| wake.numbers.iter().any(wanted));
    sample.devices.retain(|(device, _)| wanted(device));
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        collect::Wanted,
        golden,
        sample::by_device,
        view::{View, Viewer},
    };

    /// Below /sys: disks, each with its number, and its partitions with theirs.
    struct Sys(tempfile::TempDir);

    impl Sys {
        fn new() -> Sys {
            Sys(tempfile::tempdir().expect("a directory"))
        }

        fn plug(&self, name: &str, number: &str) {
            for directory in [format!("class/block/{name}"), format!("dev/block/{number}")] {
                let directory = self.0.path().join(directory);
                fs::create_dir_all(&directory).expect("made");
                fs::write(directory.join("dev"), number).expect("written");
            }
        }

        fn add_partition(&self, disk: &str, name: &str, number: &str) {
            self.plug(&format!("{disk}/{name}"), number);
            let partition = format!("class/block/{disk}/{name}/partition");
            fs::write(self.0.path().join(partition), "1").expect("written");
        }

        fn unplug(&self, name: &str, number: &str) {
            for directory in [format!("class/block/{name}"), format!("dev/block/{number}")] {
                fs::remove_dir_all(self.0.path().join(directory)).expect("removed");
            }
        }

        fn device(&self) -> OnDevice {
            OnDevice::find(self.0.path(), &["sdx".to_owned()]).expect("there")
        }
    }

    /// An interval in which all that moved was on this device.
    fn moved_on(device: Number) -> Sample {
        let mut sample = golden::sample();
        for fact in &mut sample.facts {
            fact.device = device;
        }
        sample.devices = by_device(&sample.facts);
        sample
    }

    fn written(sample: &Sample) -> u64 {
        sample.system.block.expect("traced").write
    }

    #[test]
    fn the_wake_ups_of_a_device_are_those_of_its_disk() {
        let on = |device| {
            let mut sample = golden::woken(&[0]);
            on_device(&mut sample, &[device]);
            sample.wakes.len()
        };
        assert_eq!([(8, 0), (8, 1), (8, 16)].map(on), [1, 1, 0]);
    }

    #[test]
    fn a_partition_that_comes_later_is_part_of_its_disk() {
        let sys = Sys::new();
        sys.plug("sdx", "8:0");
        let view = View {
            device: Some(sys.device()),
            ..View::default()
        };
        let wanted = Wanted::default();
        let mut viewer = Viewer::new(&wanted, &view, sys.0.path());
        assert_eq!(written(&viewer.of(moved_on((259, 7)))), 0, "another disk's");
        sys.add_partition("sdx", "sdx1", "259:7");
        let sample = viewer.of(moved_on((259, 7)));
        assert_eq!(written(&sample), written(&golden::sample()));
        assert!(!sample.tasks.is_empty());
    }

    #[test]
    fn a_disk_that_is_plugged_in_again_is_the_same_disk() {
        let sys = Sys::new();
        sys.plug("sdx", "8:0");
        let mut device = sys.device();
        sys.unplug("sdx", "8:0");
        device.look(sys.0.path());
        assert_eq!(device.numbers, [(8, 0)], "its last bytes");
        sys.plug("sdx", "8:16");
        device.look(sys.0.path());
        assert_eq!(device.numbers, [(8, 0), (8, 16)]);
        sys.plug("sdy", "8:0");
        device.look(sys.0.path());
        assert_eq!((&*device.numbers, &*device.name), (&[(8, 16)][..], "sdx"));
    }

    #[test]
    fn totals_have_what_was_on_the_disk_when_it_was_written() {
        let sys = Sys::new();
        sys.plug("sdx", "8:0");
        let view = View {
            device: Some(sys.device()),
            accumulated: true,
            ..View::default()
        };
        let wanted = Wanted::default();
        let mut viewer = Viewer::new(&wanted, &view, sys.0.path());
        let once = written(&golden::sample());
        assert_eq!(written(&viewer.of(moved_on((8, 0)))), once);
        sys.unplug("sdx", "8:0");
        sys.plug("sdy", "8:0");
        sys.plug("sdx", "8:16");
        assert_eq!(written(&viewer.of(moved_on((8, 0)))), once, "sdy's");
        assert_eq!(written(&viewer.of(moved_on((8, 16)))), 2 * once);
    }

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
