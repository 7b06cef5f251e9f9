//! What a file system writes besides the data belongs to the tasks that caused it: its
//! journal, and its inodes, directories and trees. It is shared between them, and never
//! exact.
//!
//! Each case counts all bytes of the file system's devices, not only the data.

pub mod committed;
mod formats;
pub mod loads;
pub mod ratios;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use super::{Group, MIB};
use crate::support::device::Fs;
use crate::support::ndjson::{Owner, Report};
use crate::support::needs::emulated;
use crate::support::run::Run;

/// Other ways to make and mount the file systems, and the cases that need one.
pub fn groups() -> impl Iterator<Item = Group> {
    formats::groups()
}

/// The part of all bytes that a storm's task must own. The rest may be superblocks and
/// what the kernel does on its own.
const MOST: f64 = 0.97;

/// The part that another task may own: one that syncs, for example.
const HARDLY_ANY: f64 = 0.01;

/// Bytes that it may own in any case: superblocks, which belong to the task that writes
/// them.
const SUPERBLOCKS: u64 = 16 << 10;

/// The part of the bytes that are not exact that may belong to others, or to nobody.
/// Where there is much data, it would hide that the metadata has no owner.
const SOME_METADATA: f64 = 0.05;

/// The part of all bytes that a task must own that waits for each of its writes. btrfs
/// writes its superblocks each time.
fn most_of_a_loop(fs: Fs) -> f64 {
    match fs {
        Fs::Btrfs => 0.95,
        Fs::Ext4 | Fs::Xfs => 0.98,
    }
}

/// A number of steps for a real machine; an emulated one does fewer.
fn fewer(count: u64) -> u64 {
    if emulated() { count / 2 } else { count }
}

/// Starts the trace of a file system that has nothing left to write, not even in its
/// journal: all that it writes from now on has a cause in this case.
fn trace(run: &mut Run<'_>) -> Result<()> {
    // Far more than any case writes.
    run.metadata = 256 * MIB;
    run.metadata_reads = 16 * MIB;
    run.settle()?;
    run.trace()
}

/// A report, and what the file system's devices wrote.
struct Books {
    report: Report,
    devices: Vec<String>,
    all: u64,
    /// Bytes without an owner that need none in this case.
    excused: u64,
}

/// Ends the trace. `None` if the harness runs without a tracer.
fn finish(run: Run<'_>, at_least: u64) -> Result<Option<Books>> {
    let devices = run.device_names();
    let Some(report) = run.finish(at_least, 0)? else {
        return Ok(None);
    };
    let written = devices.iter().map(|device| report.written_to(device));
    let all = written.sum::<Result<u64>>()?;
    let mut books = Books {
        report,
        devices,
        all,
        excused: 0,
    };
    // An emulated machine takes many seconds to attach. Kernel threads change trees in them.
    if emulated() {
        books.excuse("pre_trace")?;
    }
    Ok(Some(books))
}

impl Books {
    /// What the report says of a process, or of its thread with this name.
    fn owner(&self, comm: &str, pid: u64) -> Result<Owner> {
        Ok(self
            .report
            .owners()?
            .remove(&(comm, pid))
            .unwrap_or_default())
    }

    /// Bytes that were written because of it, exact and shared.
    fn caused(&self, comm: &str, pid: u64) -> Result<u64> {
        let owner = self.owner(comm, pid)?;
        Ok(owner.written + owner.estimated())
    }

    /// Checks that at least this part of all bytes belongs to these tasks, and of what is
    /// not exact nearly all.
    fn belong_to(&self, tasks: &[(&str, u64)], part: f64) -> Result<()> {
        let (mut exact, mut shared) = (0, 0);
        for &(comm, pid) in tasks {
            let owner = self.owner(comm, pid)?;
            exact += owner.written;
            shared += owner.estimated();
        }
        let rest = self.all.checked_sub(exact + shared);
        let rest = rest.with_context(|| format!("more than all {} bytes", self.all))?;
        let rest = rest.saturating_sub(self.excused) as f64;
        let all = self.all as f64;
        let metadata = (self.all - exact) as f64;
        // On an emulated machine there is less to write, and no less of what kernel threads
        // alone change.
        let some = if emulated() {
            2.0 * SOME_METADATA
        } else {
            SOME_METADATA
        };
        let most = f64::max(metadata * some, all * HARDLY_ANY);
        ensure!(
            rest <= all * (1.0 - part) && rest <= most,
            "of {} bytes, {exact} exact and {shared} shared are theirs ({:.1} %), not {} %, and of \
             the metadata nearly all:{}",
            self.all,
            (1.0 - rest / all) * 100.0,
            part * 100.0,
            self.told()?
        );
        Ok(())
    }

    /// Bytes of the devices that have no owner for this reason need none.
    fn excuse(&mut self, reason: &str) -> Result<()> {
        for device in &self.devices {
            for flush in self.report.flushes_on(device)? {
                for (name, bytes) in flush.numbers("unattributed")? {
                    if name == reason {
                        self.excused += bytes.unwrap_or(0);
                    }
                }
            }
        }
        Ok(())
    }

    /// Checks that hardly any of all bytes belong to this task.
    fn hardly_belong_to(&self, comm: &str, pid: u64) -> Result<()> {
        let mut caused = 0;
        // A sync(2) writes to other devices too.
        for part in self.report.parts(comm, pid)? {
            let device = &part.flush.field("device")?["name"];
            if self.devices.iter().any(|ours| device == ours) {
                caused += part.all_bytes()?;
            }
        }
        ensure!(
            caused as f64 <= (HARDLY_ANY * self.all as f64).max(SUPERBLOCKS as f64),
            "of {} bytes, {caused} are those of {comm}:{}",
            self.all,
            self.told()?
        );
        Ok(())
    }

    /// Whose the bytes of the devices are, for a message.
    fn told(&self) -> Result<String> {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for device in &self.devices {
            for flush in self.report.flushes_on(device)? {
                for owner in flush.owners()? {
                    let name = format!("{} {}", owner["comm"], owner["pid"]);
                    *sums.entry(name).or_default() += owner["bytes"].as_u64().unwrap_or(0);
                }
                for (reason, bytes) in flush.numbers("unattributed")? {
                    *sums.entry(reason.to_owned()).or_default() += bytes.unwrap_or(0);
                }
            }
        }
        let relevant = sums.iter().filter(|(_, bytes)| **bytes > 0);
        let words: Vec<String> = relevant
            .map(|(name, sum)| format!(" {name}: {sum}"))
            .collect();
        Ok(words.join(","))
    }
}
