//! The collector: reads every source once an interval and merges them.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use iotop_common::{
    Lost as LostIndex, Owner,
    owner::{OWNER_EXITED, OWNER_KTHREAD},
    tag::Slot,
};
use jiff::Timestamp;

use super::{
    BlockFact, Lost, Sample, System, Task, TaskBlock, TaskCounters, TaskKey, attribution, devices,
    vmstat::Vmstat,
};
use crate::{
    identity::{self, Identities},
    kernel::clock,
    probe::{Epoch, PageDeltas, Probe, ProbeError},
    taskstats::{TaskstatsError, TaskstatsSocket},
};

/// How often /sys is asked which devices lie below another one.
const DEVICES_EVERY: Duration = Duration::from_secs(5);

/// What the collector reads from. A source that is missing leaves its fields
/// unknown.
pub struct Sources {
    /// The kernel half.
    pub probe: Option<Probe>,
    /// taskstats.
    pub taskstats: Option<TaskstatsSocket>,
    /// Whether the kernel counts delays.
    pub delays: bool,
    /// `/proc`.
    pub proc_root: PathBuf,
    /// `/sys`.
    pub sys_root: PathBuf,
}

/// Why an interval could not be sampled.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The kernel half.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// taskstats.
    #[error(transparent)]
    Taskstats(#[from] TaskstatsError),
    /// A file of /proc or /sys.
    #[error("{what}: {source}")]
    Read {
        /// Which.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

/// Reads every source once an interval.
pub struct Collector {
    sources: Sources,
    identities: Identities,
    page_size: u64,
    seq: u64,
    interval_start: Instant,
    vmstat: Vmstat,
    counters: HashMap<TaskKey, TaskCounters>,
    self_cpu: Option<Duration>,
    devices_read: Option<Instant>,
}

impl Collector {
    /// Takes the first look at every source, so that the first sample is a
    /// real difference.
    ///
    /// # Errors
    ///
    /// A source can't be read.
    pub fn new(sources: Sources) -> Result<Collector, CollectError> {
        let mut collector = Collector {
            identities: Identities::new(&sources.proc_root),
            page_size: clock::page_size(),
            seq: 0,
            interval_start: Instant::now(),
            vmstat: Vmstat::default(),
            counters: HashMap::new(),
            self_cpu: None,
            devices_read: None,
            sources,
        };
        collector.sample()?;
        collector.seq = 0;
        Ok(collector)
    }

    /// The kernel half, if there is one.
    pub fn probe(&self) -> Option<&Probe> {
        self.sources.probe.as_ref()
    }

    /// Ends the interval and returns what happened in it.
    ///
    /// # Errors
    ///
    /// A source can't be read any more.
    pub fn sample(&mut self) -> Result<Sample, CollectError> {
        self.look_at_devices()?;
        // The epoch and vmstat first, one right after the other: they are
        // compared with each other.
        let turned = self.sources.probe.as_mut().map(Probe::turn).transpose()?;
        let vmstat = Vmstat::read(&self.sources.proc_root, self.page_size).map_err(|source| {
            CollectError::Read {
                what: "/proc/vmstat",
                source,
            }
        })?;
        let now = Instant::now();
        let time = Timestamp::now();
        let epoch = match (&mut self.sources.probe, turned) {
            (Some(probe), Some(turned)) => Some(probe.drain(turned, now)?),
            _ => None,
        };

        let mut table = TaskTable::default();
        self.add_live_tasks(&mut table, epoch.is_some())?;
        let facts = match &epoch {
            Some(epoch) => {
                let task_of = self.add_owners(&mut table, epoch);
                attribution::charge(epoch, &task_of, &mut table.tasks)
            }
            None => Vec::new(),
        };

        self.identities.keep(|key| table.index.contains_key(key));
        let interval = now.duration_since(self.interval_start);
        self.interval_start = now;
        self.seq += 1;
        let system = self.system(&vmstat, epoch.as_ref(), &table.tasks, &facts);
        self.vmstat = vmstat;
        Ok(Sample {
            seq: self.seq,
            time,
            interval,
            system,
            tasks: table.tasks,
            facts,
            groups: None,
        })
    }

    fn look_at_devices(&mut self) -> Result<(), CollectError> {
        let Some(probe) = &mut self.sources.probe else {
            return Ok(());
        };
        if self
            .devices_read
            .is_some_and(|at| at.elapsed() < DEVICES_EVERY)
        {
            return Ok(());
        }
        self.devices_read = Some(Instant::now());
        let lower = devices::lower_devices(&self.sources.sys_root).map_err(|source| {
            CollectError::Read {
                what: "/sys/class/block",
                source,
            }
        })?;
        Ok(probe.set_lower_devices(&lower)?)
    }

    /// Every live thread, with its counters' growth.
    fn add_live_tasks(&mut self, table: &mut TaskTable, ebpf: bool) -> Result<(), CollectError> {
        let threads =
            identity::threads(&self.sources.proc_root).map_err(|source| CollectError::Read {
                what: "/proc",
                source,
            })?;
        let mut counted: HashMap<u32, TaskCounters> = HashMap::new();
        if let Some(taskstats) = &mut self.sources.taskstats {
            let tids: Vec<u32> = threads.iter().map(|thread| thread.tid).collect();
            for (tid, stats) in taskstats.query(&tids)? {
                counted.insert(tid, stats.counters(self.sources.delays));
            }
        }
        let mut before = std::mem::take(&mut self.counters);
        let first = self.seq == 0 && before.is_empty();
        for thread in threads {
            let Some((key, mut task)) = self.identities.task(thread) else {
                continue;
            };
            if let Some(now) = counted.get(&key.tid) {
                // A task that was not there before began in this interval.
                let then = match before.remove(&key) {
                    Some(then) => then,
                    None if first => *now,
                    None => TaskCounters::zero(),
                };
                task.stats = now.since(&then);
                self.counters.insert(key, *now);
            }
            task.block = ebpf.then(TaskBlock::zero);
            table.insert(key, task);
        }

        Ok(())
    }

    /// The owners of the kernel half: found among the live tasks, or added as
    /// exited ones while there is something to say of them.
    fn add_owners(&mut self, table: &mut TaskTable, epoch: &Epoch) -> HashMap<Slot, usize> {
        let named: HashSet<Slot> = epoch
            .facts
            .iter()
            .flat_map(|(key, _)| [key.owner, key.submitter])
            .collect();
        let mut task_of = HashMap::new();
        for (slot, owner, deltas) in &epoch.owners {
            let key = TaskKey {
                tid: owner.tid,
                start_ticks: owner.start_boottime / clock::TICK_NS,
            };
            let busy = named.contains(slot) || *deltas != PageDeltas::default();
            let index = match table.index.get(&key) {
                Some(index) => *index,
                None if busy => table.insert(key, self.exited_task(&key, owner)),
                None => continue,
            };
            let task = &mut table.tasks[index];
            task.exited |= owner.flags & OWNER_EXITED != 0;
            if let Some(block) = &mut task.block {
                attribution::add_pages(block, deltas, self.page_size);
            }
            task_of.insert(*slot, index);
        }
        task_of
    }

    /// A task that /proc does not know any more. Its last name is the slot's;
    /// the rest as far as it was seen alive.
    fn exited_task(&mut self, key: &TaskKey, owner: &Owner) -> Task {
        let comm = comm(&owner.comm);
        let remembered = self.identities.remembered(key).cloned();
        Task {
            pid: owner.tgid,
            tid: owner.tid,
            ppid: Some(owner.ppid),
            start_time: self.identities.start_time(key.start_ticks),
            user: Some(self.identities.user(owner.uid)),
            uid: Some(owner.uid),
            kthread: owner.flags & OWNER_KTHREAD != 0,
            exited: true,
            block: Some(TaskBlock::zero()),
            comm: comm.clone(),
            ..remembered
                .filter(|known| known.comm == comm)
                .unwrap_or_default()
        }
    }

    fn system(
        &mut self,
        vmstat: &Vmstat,
        epoch: Option<&Epoch>,
        tasks: &[Task],
        facts: &[BlockFact],
    ) -> System {
        let grown = vmstat.since(&self.vmstat);
        let cpu = clock::process_cpu();
        let self_cpu = cpu
            .zip(self.self_cpu)
            .map(|(now, then)| now.saturating_sub(then));
        self.self_cpu = cpu;
        let count = |wanted: fn(&&Task) -> bool| Some(tasks.iter().filter(wanted).count() as u64);
        System {
            pgpgin_bytes: grown.pgpgin,
            pgpgout_bytes: grown.pgpgout,
            dirty_bytes: grown.dirty,
            writeback_bytes: grown.writeback,
            dirtied_bytes: grown.dirtied,
            written_bytes: grown.written,
            block: epoch.map(|epoch| attribution::totals(epoch, facts)),
            lost: epoch.map(lost).unwrap_or_default(),
            tasks_total: count(|task| !task.exited),
            tasks_running_io: count(|task| task.did_io()),
            tasks_exited: epoch.and_then(|_| count(|task| task.exited && task.did_io())),
            self_cpu_ns: self_cpu.and_then(|cpu| u64::try_from(cpu.as_nanos()).ok()),
        }
    }
}

#[derive(Default)]
struct TaskTable {
    tasks: Vec<Task>,
    index: HashMap<TaskKey, usize>,
}

impl TaskTable {
    fn insert(&mut self, key: TaskKey, task: Task) -> usize {
        self.tasks.push(task);
        let index = self.tasks.len() - 1;
        self.index.insert(key, index);
        index
    }
}

fn lost(epoch: &Epoch) -> Lost {
    let lost = |index: LostIndex| Some(epoch.lost[index as usize]);
    Lost {
        exit_records: None,
        owner_slots: Some(
            epoch.lost[LostIndex::OwnerSlots as usize] + epoch.lost[LostIndex::SlotOf as usize],
        ),
        facts: lost(LostIndex::Facts),
        fact_inodes: lost(LostIndex::FactInodes),
        tags: lost(LostIndex::Tags),
        long_bios: lost(LostIndex::LongBios),
        faults: lost(LostIndex::Faults),
        missed_events: Some(epoch.missed),
    }
}

/// A command name as the kernel keeps it: NUL-terminated, any bytes.
fn comm(bytes: &[u8; 16]) -> Arc<str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(16);
    String::from_utf8_lossy(&bytes[..end]).into()
}
