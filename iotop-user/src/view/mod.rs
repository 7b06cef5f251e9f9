//! Turns a sample into what the user asked to see. Every output takes the same steps.

mod accumulate;
mod command;
mod device;
pub mod fields;
mod file;
mod filter;
mod group;
mod recorded;
mod row;
pub mod run;
pub mod sort;

use std::path::{Path, PathBuf};

use crate::{
    collect::Wanted,
    host::devices::DeviceNames,
    sample::{Number, Sample},
};

pub use accumulate::{Accumulator, Kept};
pub use command::{Commands, command_name, launched_name};
use device::keep_on;
pub use device::{OnDevice, on_device};
pub use fields::{FIELDS, Field};
pub(crate) use file::Place;
pub use filter::Filter;
pub use group::{By, group};
pub use recorded::{NotRecorded, RecordedNames};
pub use row::{Row, Value};
pub use sort::{Direction, Sort};

/// How samples are filtered, grouped and added up before they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Show only tasks whose command matches.
    pub filter: Option<Filter>,
    /// Show only these devices' I/O.
    pub device: Option<OnDevice>,
    /// Show groups instead of tasks.
    pub by: Option<By>,
    /// Show totals since the start instead of the interval's values.
    pub accumulated: bool,
}

/// Turns each interval's sample into the sample that is shown.
#[derive(Debug)]
pub struct Viewer<'a> {
    wanted: &'a Wanted,
    view: &'a View,
    device: Option<OnDevice>,
    /// Its numbers are those of a recording, and not of this machine.
    recorded: bool,
    accumulator: Option<Accumulator>,
    names: DeviceNames,
    sys_root: PathBuf,
}

impl<'a> Viewer<'a> {
    /// Starts before the first sample. Names of devices are read below `sys_root`.
    pub fn new(wanted: &'a Wanted, view: &'a View, sys_root: &Path) -> Viewer<'a> {
        Viewer {
            wanted,
            view,
            device: view.device.clone(),
            recorded: false,
            accumulator: view.accumulated.then(|| Accumulator::new(kept(view))),
            names: DeviceNames::new(sys_root),
            sys_root: sys_root.to_owned(),
        }
    }

    /// The names that devices had when the next sample was recorded.
    pub fn know_devices(&mut self, recorded: &RecordedNames) {
        for (device, name) in recorded.of_devices() {
            self.names.know(device, name.clone());
        }
        if let Some(device) = &mut self.device {
            recorded.look_up(device);
            self.recorded = true;
        }
    }

    /// The sample as it is shown.
    pub fn of(&mut self, mut sample: Sample) -> Sample {
        let recorded = self.recorded;
        let mut devices = self.device.as_mut().map(|device| {
            if !recorded {
                device.look(&self.sys_root);
            }
            device.numbers.clone()
        });
        if let Some(accumulator) = &mut self.accumulator {
            // Devices come and go, and so do their numbers. The sum must have what was on
            // these devices when it happened.
            if let Some(devices) = &devices {
                keep_on(&mut sample, devices);
            }
            accumulator.add(&mut sample);
            if let Some(devices) = &mut devices {
                devices.extend(sample.devices.iter().map(|(device, _)| *device));
            }
        }
        let Wanted { pids, uids, .. } = self.wanted;
        let whole = pids.is_empty() && uids.is_empty() && self.view.filter.is_none();
        let steps = Steps {
            devices: devices.as_deref(),
            filter: self.view.filter.as_ref(),
            by: self.view.by,
        };
        steps.apply(&mut sample, whole, &mut self.names);
        sample
    }
}

/// The steps from a sample of tasks to the one that is shown, in this order.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// Show only these devices' I/O.
    pub devices: Option<&'a [Number]>,
    /// Show only tasks whose command matches.
    pub filter: Option<&'a Filter>,
    /// Show groups instead of tasks.
    pub by: Option<By>,
}

impl Steps<'_> {
    /// True if there is any step.
    pub fn any(&self) -> bool {
        self.devices.is_some() || self.filter.is_some() || self.by.is_some()
    }

    /// Takes the steps. `whole` says that no task is left out, neither by the filter nor
    /// before: groups then contain bytes without an owner too.
    pub fn apply(&self, sample: &mut Sample, whole: bool, names: &mut DeviceNames) {
        if let Some(devices) = self.devices {
            on_device(sample, devices);
        }
        if let Some(filter) = self.filter {
            filter.apply(sample);
        }
        if let Some(by) = self.by {
            group(sample, by, names, whole);
        }
    }
}

/// Which facts the steps after accumulation need.
fn kept(view: &View) -> Kept {
    match (view.by, &view.device) {
        (Some(By::File), _) => Kept::All,
        (None, None) => Kept::None,
        _ => Kept::WithoutInodes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        collect::{Chosen, select::of_wanted},
        golden,
        view::OnDevice,
    };

    fn last_shown(view: &View, samples: usize) -> Sample {
        let wanted = Wanted::default();
        let mut viewer = Viewer::new(&wanted, view, Path::new("/nonexistent"));
        let mut last = viewer.of(golden::sample());
        for _ in 1..samples {
            last = viewer.of(golden::sample());
        }
        last
    }

    fn accumulated(by: Option<By>) -> View {
        View {
            by,
            accumulated: true,
            ..View::default()
        }
    }

    #[test]
    fn totals_of_groups_double_after_two_equal_intervals() {
        for by in [
            By::Command,
            By::Parents,
            By::User,
            By::Cgroup,
            By::Device,
            By::File,
        ] {
            let once = last_shown(&accumulated(Some(by)), 1)
                .groups
                .expect("grouped");
            let twice = last_shown(&accumulated(Some(by)), 2)
                .groups
                .expect("grouped");
            assert_eq!(once.len(), twice.len(), "{by:?}");
            for (once, twice) in once.iter().zip(&twice) {
                assert_eq!(once.tasks, twice.tasks, "{by:?}");
                let (once, twice) = (once.block.expect("traced"), twice.block.expect("traced"));
                assert_eq!(2 * once.write(), twice.write(), "{by:?}");
                assert_eq!(2 * once.submitted_for_others, twice.submitted_for_others);
                assert_eq!(once.dirty_pending, twice.dirty_pending, "{by:?}");
            }
        }
    }

    #[test]
    fn totals_of_a_device_are_only_its_own() {
        let view = View {
            device: Some(OnDevice {
                name: "sda".to_owned(),
                numbers: vec![(8, 1)],
                ..OnDevice::default()
            }),
            ..accumulated(None)
        };
        let block = last_shown(&view, 3).system.block.expect("traced");
        assert_eq!(block.write, 3 * ((259 << 20) + 40960));
    }

    #[test]
    fn a_devices_totals_include_tasks_that_are_not_shown() {
        let wanted = Wanted {
            pids: vec![900],
            ..Wanted::default()
        };
        let view = View {
            device: Some(OnDevice {
                name: "sda".to_owned(),
                numbers: vec![(8, 1)],
                ..OnDevice::default()
            }),
            ..View::default()
        };
        let mut viewer = Viewer::new(&wanted, &view, Path::new("/nonexistent"));
        let mut sample = golden::sample();
        of_wanted(&mut sample, &[Chosen::started(900, 0)], &[]);
        let sample = viewer.of(sample);
        assert_eq!(sample.tasks.len(), 2);
        let block = sample.system.block.expect("traced");
        assert_eq!(block.attributed, 259 << 20);
    }

    #[test]
    fn groups_of_filtered_tasks_have_no_unattributed_bytes() {
        let view = View {
            by: Some(By::Device),
            filter: "^dd$".parse().ok(),
            ..View::default()
        };
        let groups = last_shown(&view, 1).groups.expect("grouped");
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].unattributed, None);
        assert_eq!(groups[0].block.expect("traced").write(), 256 << 20);
    }
}
