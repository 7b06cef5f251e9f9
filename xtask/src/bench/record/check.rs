//! Compares what a recording says with what is known otherwise.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Bytes on the device, by name: of owners, or of files.
pub type ByName = BTreeMap<String, Written>;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub exact: u64,
    /// Data and metadata that are charged by estimate.
    pub shared: u64,
    pub without_owner: u64,
}

impl Written {
    fn add(&mut self, other: Written) {
        self.exact += other.exact;
        self.shared += other.shared;
        self.without_owner += other.without_owner;
    }

    pub fn total(self) -> u64 {
        self.exact + self.shared + self.without_owner
    }
}

/// The groups of an export, over all intervals.
pub fn groups(text: &str) -> Result<ByName> {
    let mut groups = ByName::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if line["type"] != "group" {
            continue;
        }
        let bytes = |field: &str| line[field].as_u64().unwrap_or(0);
        let written = Written {
            exact: bytes("block_write_bytes"),
            shared: bytes("block_write_shared_bytes"),
            without_owner: bytes("unattributed_write_bytes"),
        };
        if written.total() != 0 {
            // A name may have been that of several files.
            let name = line["name"].as_str().unwrap_or("-").to_owned();
            groups.entry(name).or_default().add(written);
        }
    }
    ensure!(!groups.is_empty(), "it has no groups: {text:.200}");
    Ok(groups)
}

/// The names for which two sums are not the same. Exact bytes must be equal. Blocks of a journal are
/// given to its tasks by draws, and each run draws again: estimated shares may differ a little.
pub fn differences(one: &ByName, other: &ByName) -> Vec<String> {
    let names = one.keys().chain(other.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    let of = |all: &ByName, name: &str| all.get(name).copied().unwrap_or_default();
    names
        .into_iter()
        .filter(|name| {
            let (one, other) = (of(one, name), of(other, name));
            one.exact != other.exact || one.shared.abs_diff(other.shared) > dealt(one.shared)
        })
        .map(|name| format!("{name}: {:?} and {:?}", of(one, name), of(other, name)))
        .collect()
}

/// By how much a share of this size may differ: 64 KiB, and 5 %.
pub fn dealt(shared: u64) -> u64 {
    (64 << 10) + shared / 20
}

/// The lines of a report.
pub fn lines(text: &str) -> Result<Vec<Value>> {
    let lines = text.lines();
    let lines = lines.map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
    lines.collect()
}

/// What the row of this name wrote on a device.
pub fn on_device(lines: &[Value], name: &str, device: &str) -> u64 {
    let rows = lines.iter().filter(|line| line["name"] == name);
    let devices = rows.flat_map(|row| row["devices"].as_array().into_iter().flatten());
    devices
        .filter(|found| found["name"] == device)
        .map(|found| {
            let bytes = |field: &str| found[field].as_u64().unwrap_or(0);
            bytes("data_bytes") + bytes("metadata_bytes")
        })
        .sum()
}

/// The bytes of data in files, and those of them that are under a name that is right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Named {
    pub all: u64,
    pub right: u64,
}

/// What a report by file says of the data on a device. `owner_of` knows who writes a file, by its
/// path; `None`: the name is not that of a file that anybody writes.
pub fn named(lines: &[Value], device: &str, owner_of: impl Fn(&str) -> Option<String>) -> Named {
    let mut named = Named::default();
    for line in lines.iter().filter(|line| line["kind"] == "row") {
        let name = line["name"].as_str().unwrap_or_default();
        let on_device = line["devices"].as_array().into_iter().flatten();
        let data: u64 = on_device
            .filter(|found| found["name"] == device)
            .filter_map(|found| found["data_bytes"].as_u64())
            .sum();
        if data == 0 {
            continue;
        }
        named.all += data;
        let Some(owner) = owner_of(name) else {
            continue;
        };
        let parts = line["parts"].as_array().into_iter().flatten();
        let of_owner = parts.filter(|part| part["name"] == owner.as_str());
        let bytes = |part: &Value, field: &str| part[field].as_u64().unwrap_or(0);
        let right: u64 = of_owner
            .map(|part| bytes(part, "exact_bytes") + bytes(part, "shared_data_bytes"))
            .sum();
        // A path may have been on two devices.
        named.right += right.min(data);
    }
    named
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_groups_of_a_name_are_one_sum() -> Result<()> {
        let group = |name: &str, bytes: u64| {
            json!({"type": "group", "name": name, "block_write_bytes": bytes,
                   "block_write_shared_bytes": 1, "unattributed_write_bytes": null})
        };
        let system = json!({"type": "system"});
        let lines = [
            &system,
            &group("a", 5),
            &system,
            &group("a", 4),
            &group("a", 3),
        ];
        let text = lines.map(Value::to_string).join("\n");
        let a = Written {
            exact: 12,
            shared: 3,
            without_owner: 0,
        };
        assert_eq!(groups(&text)?, ByName::from([("a".to_owned(), a)]));
        assert!(groups("").is_err());
        Ok(())
    }

    #[test]
    fn what_only_one_has_is_a_difference() {
        let written = |exact| Written {
            exact,
            ..Written::default()
        };
        let one = ByName::from([("a".to_owned(), written(1)), ("b".to_owned(), written(2))]);
        let other = ByName::from([("a".to_owned(), written(1))]);
        assert_eq!(differences(&one, &one), [""; 0]);
        assert_eq!(differences(&one, &other).len(), 1);
        assert_eq!(differences(&other, &one).len(), 1);
    }

    #[test]
    fn data_under_a_wrong_name_or_a_wrong_owner_is_not_right() {
        let row = |name: &str, owner: &str| {
            json!({"kind": "row", "name": name,
                   "devices": [{"name": "loop0", "data_bytes": 10}],
                   "parts": [{"name": owner, "exact_bytes": 8, "shared_data_bytes": 2}]})
        };
        let lines = [
            row("/d/x", "dd"),
            row("/d/y", "other"),
            row("loop0:inode 3", "dd"),
        ];
        let owner_of = |name: &str| name.starts_with("/d/").then(|| "dd".to_owned());
        let found = named(&lines, "loop0", owner_of);
        assert_eq!(found, Named { all: 30, right: 10 });
    }
}
