//! For whom a task writes: the owners of what it submits.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use iotop_common::Class;

use crate::{
    collect::{Sample, devices::DeviceNames},
    output::escape,
};

/// Owners that are named.
const NAMED: usize = 3;

/// `flush sda1 -> postgres 81%, rsyslog 12%` for each task, by its place in the
/// sample, that submitted bytes of other owners.
pub fn for_whom(sample: &Sample, devices: &mut DeviceNames) -> HashMap<usize, String> {
    let mut by_submitter: HashMap<usize, BTreeMap<_, BTreeMap<&str, u64>>> = HashMap::new();
    for fact in &sample.facts {
        let (Some(submitter), Some(owner)) = (fact.submitter, fact.owner) else {
            continue;
        };
        if submitter == owner || matches!(fact.class, Class::Read | Class::Stacked) {
            continue;
        }
        let owners = by_submitter.entry(submitter).or_default();
        let bytes = owners.entry(fact.device).or_default();
        *bytes.entry(&*sample.tasks[owner].comm).or_default() += fact.bytes;
    }
    let said = |(submitter, of_devices): (usize, BTreeMap<_, BTreeMap<&str, u64>>)| {
        let verb = match sample.tasks[submitter].kthread {
            true => "flush ",
            false => "",
        };
        let parts: Vec<String> = of_devices
            .into_iter()
            .map(|(device, owners)| {
                format!("{verb}{} -> {}", name(devices.name(device)), shares(owners))
            })
            .collect();
        (submitter, parts.join("; "))
    };
    by_submitter.into_iter().map(said).collect()
}

fn name(name: Arc<str>) -> String {
    escape(&name).into_owned()
}

fn shares(owners: BTreeMap<&str, u64>) -> String {
    let all: u64 = owners.values().sum();
    let mut owners: Vec<(&str, u64)> = owners.into_iter().collect();
    owners.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    // Of what is next to nothing nobody wants to read.
    let least = all / 200;
    owners.retain(|(_, bytes)| *bytes > least);
    let rest = owners.len().saturating_sub(NAMED);
    let mut parts: Vec<String> = owners
        .into_iter()
        .take(NAMED)
        .map(|(comm, bytes)| {
            let percent = 100.0 * bytes as f64 / all.max(1) as f64;
            format!("{} {percent:.0}%", escape(comm))
        })
        .collect();
    if rest != 0 {
        parts.push(format!("{rest} more"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::output::golden;

    #[test]
    fn a_flusher_says_for_whom() {
        let mut sample = golden::sample();
        sample.facts[3].submitter = Some(1);
        sample.facts[3].bytes = 64 << 20;
        let mut devices = DeviceNames::new(Path::new("/nonexistent"));
        let whom = for_whom(&sample, &mut devices);
        assert_eq!(whom.len(), 1);
        assert_eq!(whom[&1], "flush 8:1 -> dd 80%, postgres 20%");
    }

    #[test]
    fn a_task_that_syncs_others_data_says_so_and_one_that_writes_its_own_does_not() {
        let mut devices = DeviceNames::new(Path::new("/nonexistent"));
        let whom = for_whom(&golden::sample(), &mut devices);
        assert_eq!(whom[&4], "8:1 -> postgres 100%");
        assert!(!whom.contains_key(&3));
    }
}
