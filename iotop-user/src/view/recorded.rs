//! The names of users and devices in a recording. They may be others on this machine.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::OnDevice;
use crate::{
    host::devices::parse_number,
    sample::{Number, Sample},
};

/// The names in the samples that were read so far.
#[derive(Clone, Debug, Default)]
pub struct RecordedNames {
    users: BTreeMap<Arc<str>, BTreeSet<u32>>,
    /// The last name of each device with I/O.
    devices: BTreeMap<Number, Arc<str>>,
    /// The last name of each disk.
    disks: BTreeMap<Number, Arc<str>>,
    partitions: HashMap<Number, Vec<Number>>,
}

impl RecordedNames {
    /// Adds those of a sample. `devices` are the names that its frame has.
    pub fn add(&mut self, sample: &Sample, devices: &HashMap<Number, Arc<str>>) {
        for task in &sample.tasks {
            let Some((user, uid)) = task.user.as_ref().zip(task.uid) else {
                continue;
            };
            if !self.users.get(user).is_some_and(|uids| uids.contains(&uid)) {
                self.users.entry(user.clone()).or_default().insert(uid);
            }
        }
        for (number, name) in devices {
            if self.devices.get(number) != Some(name) {
                self.devices.insert(*number, name.clone());
            }
        }
        for disk in &sample.disks {
            if self.disks.get(&disk.number) != Some(&disk.name) {
                self.disks.insert(disk.number, disk.name.clone());
                // A device with the same number that was there before.
                self.devices.remove(&disk.number);
            }
            let known = self.partitions.entry(disk.number).or_default();
            known.clone_from(&disk.partitions);
        }
    }

    /// The numbers of users, each by its name or number.
    ///
    /// # Errors
    ///
    /// The name of a user that is not known, and those that are.
    pub fn uids(&self, wanted: &[String]) -> Result<Vec<u32>, NotRecorded> {
        let mut uids = Vec::new();
        for name in wanted {
            match (self.users.get(&**name), name.parse()) {
                (Some(known), _) => uids.extend(known),
                (None, Ok(uid)) => uids.push(uid),
                (None, Err(_)) => {
                    return Err(NotRecorded {
                        what: "user",
                        name: name.clone(),
                        known: self.users.keys().map(|name| name.to_string()).collect(),
                    });
                }
            }
        }
        Ok(uids)
    }

    /// Devices, each by its name, path or number.
    ///
    /// # Errors
    ///
    /// The name of a device that is not known, and those that are.
    pub fn devices(&self, wanted: &[String]) -> Result<OnDevice, NotRecorded> {
        let mut found = OnDevice {
            wanted: wanted.to_vec(),
            ..OnDevice::default()
        };
        if let Some(missing) = self.look_up(&mut found) {
            let known = self.all_devices().into_iter();
            let known = known.map(|((major, minor), name)| format!("{name} ({major}:{minor})"));
            return Err(NotRecorded {
                what: "device",
                name: missing,
                known: known.collect(),
            });
        }
        Ok(found)
    }

    /// Gives devices the numbers that they have now, with those of their partitions. Returns one
    /// that is not known.
    pub fn look_up(&self, on: &mut OnDevice) -> Option<String> {
        let all: Vec<_> = self.all_devices().into_iter().collect();
        let mut names = Vec::new();
        on.numbers.clear();
        let mut missing = None;
        for text in &on.wanted {
            let name = text.strip_prefix("/dev/").unwrap_or(text);
            let number = parse_number(text);
            let is_it = |(known, its): &(Number, &Arc<str>)| match number {
                Some(number) => *known == number,
                None => ***its == *name,
            };
            let mut is_there = false;
            for (number, name) in all.iter().copied().filter(is_it) {
                is_there = true;
                on.numbers.push(number);
                let partitions = self.partitions.get(&number).into_iter().flatten();
                on.numbers.extend(partitions);
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            if !is_there {
                missing.get_or_insert_with(|| text.clone());
            }
        }
        on.name = match names.is_empty() {
            true => on.wanted.join(", "),
            false => names.join(", "),
        };
        missing
    }

    fn all_devices(&self) -> BTreeMap<Number, &Arc<str>> {
        let disks = self.disks.iter().chain(&self.devices);
        disks.map(|(number, name)| (*number, name)).collect()
    }

    /// The devices with I/O, and their last names.
    pub fn of_devices(&self) -> impl Iterator<Item = (Number, &Arc<str>)> {
        self.devices.iter().map(|(number, name)| (*number, name))
    }

    /// A name of a user.
    pub fn user(&self, uid: u32) -> Option<&Arc<str>> {
        let mut users = self.users.iter();
        Some(users.find(|(_, uids)| uids.contains(&uid))?.0)
    }
}

/// A name that is not in a recording.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "the recording has no {what} {name:?}{}",
    if known.is_empty() { String::new() } else { format!("; it has {}", known.join(", ")) }
)]
pub struct NotRecorded {
    /// What it would be the name of.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// Those that are in it.
    pub known: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn names() -> RecordedNames {
        let mut names = RecordedNames::default();
        let sample = golden::sample();
        let devices = [((8, 1), "gone1"), ((253, 0), "dm-0")];
        let devices = devices.map(|(number, name)| (number, Arc::from(name)));
        names.add(&sample, &devices.into_iter().collect());
        names
    }

    #[test]
    fn users_and_devices_are_those_of_the_recording() {
        let names = names();
        let user = |name: &str| names.uids(&[name.to_owned()]);
        assert_eq!(user("postgres"), Ok(vec![0]));
        assert_eq!(user("4711"), Ok(vec![4711]), "a number");
        let error = user("nobody-here").expect_err("unknown").to_string();
        assert!(error.contains("no user \"nobody-here\"; it has"), "{error}");
        assert!(error.contains("postgres"), "{error}");
        assert_eq!(names.user(0).map(|name| &**name), Some("postgres"));
        for text in ["gone1", "/dev/gone1", "8:1"] {
            let found = names.devices(&[text.to_owned()]).expect(text);
            assert_eq!((&*found.name, &found.numbers[..]), ("gone1", &[(8, 1)][..]));
        }
        let error = names.devices(&["sdz".to_owned()]).expect_err("unknown");
        assert!(error.to_string().contains("dm-0 (253:0)"), "{error}");
    }

    #[test]
    fn a_disk_has_its_partitions_and_the_number_that_it_has_then() {
        let mut names = names();
        let mut sample = golden::sample();
        let mut disk = crate::sample::Disk {
            number: (8, 0),
            name: "sda".into(),
            partitions: vec![(8, 1)],
            ..sample.disks[0].clone()
        };
        sample.disks = vec![disk.clone()];
        names.add(&sample, &HashMap::new());
        let mut on = names.devices(&["sda".to_owned()]).expect("there");
        assert_eq!(on.numbers, [(8, 0), (8, 1)]);
        // It is plugged in again, and another disk has its number.
        disk.number = (8, 16);
        disk.partitions = vec![];
        let other = crate::sample::Disk {
            number: (8, 0),
            name: "sdb".into(),
            ..disk.clone()
        };
        sample.disks = vec![other, disk];
        names.add(&sample, &HashMap::new());
        assert_eq!(names.look_up(&mut on), None);
        assert_eq!(on.numbers, [(8, 16)]);
    }
}
