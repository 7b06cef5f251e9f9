//! The collector: reads every source once per interval and merges them into a sample.

use std::{
    collections::{HashMap, HashSet},
    io, mem,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use iotop_common::{
    Lost as LostIndex, Owner,
    owner::OWNER_EXITED,
    tag::{self, Slot},
};
use jiff::Timestamp;

use super::{
    Chosen, Exited, Rows, Wanted,
    at_turn::vmstat_at_turn,
    attribution,
    commits::Committed,
    flush_watch::{Context, FlushWatch},
    live::{self, CrowdOf, Interval, LiveTasks},
    parents::parents_of,
    processes::processes,
    runs::Now,
    select,
    spike::Spikes,
    tasks::{self, Passed},
    unchanged,
    wake::Wakes,
    waker::Waker,
};
use crate::{
    host::{
        devices::{self, DeviceNames, Looked},
        disks::Disks,
        helper::Helper,
        identity::{Files, Mounts, Names, Stat, Thread, Users},
        kernel::{clock, counted::Counted, memory, sysctls, uevents::BlockEvents},
        vmstat::Vmstat,
    },
    probe::{Epoch, PageDeltas, Probe, ProbeError},
    sample::{
        BlockFact, Commits, Disk, FileKey, Flush, ForOthers, Loss, Lost, Sample, SharedTask,
        System, Task, TaskBlock, TaskKey, Wake, by_device,
    },
    taskstats::{ExitListener, TaskstatsError, TaskstatsSocket},
};

/// What the collector reads from. The fields of a missing source are unknown.
pub struct Sources {
    /// The kernel half.
    pub probe: Option<Probe>,
    /// taskstats, used without the kernel half.
    pub taskstats: Option<TaskstatsSocket>,
    /// taskstats' exit records.
    pub exits: Option<ExitListener>,
    /// Looks up the names of users. `None`: this process does.
    pub helper: Option<Arc<Helper>>,
    /// Reports changes of block devices.
    pub block_events: Option<BlockEvents>,
    /// Which task counters the sources have.
    pub counted: Counted,
    /// We are in the first PID namespace: the kernel half's pass meets every task.
    pub own_pids: bool,
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
        /// Which file.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// Reads every source once per interval.
pub struct Collector {
    sources: Sources,
    wanted: Wanted,
    /// The processes of `wanted.pids`.
    chosen: Vec<Chosen>,
    names: Names,
    device_names: DeviceNames,
    /// With `wanted.processes`: processes whose leader has exited, by pid: those of the last
    /// sample, because their threads' dirty pages may stay pending for long, and those that
    /// other threads keep alive.
    exited_leaders: HashMap<u32, Task>,
    files: Files,
    disks: Disks,
    flush_watch: FlushWatch,
    spikes: Option<Spikes>,
    wakes: Option<Wakes>,
    /// The next sample is the last one.
    is_ending: bool,
    page_size: u64,
    jiffy: Duration,
    seq: u64,
    /// Which task counters there are in this interval: delay accounting may be switched on and
    /// off.
    counted: Counted,
    interval_start: Instant,
    interval: Interval,
    live: LiveTasks,
    vmstat: Vmstat,
    self_cpu: Option<Duration>,
    looked: Looked,
    /// The next sample has all exited tasks that still have dirty pages.
    repeat_exited: bool,
}

/// What the sources said at the end of an interval.
struct Taken {
    moment: Moment,
    vmstat: Vmstat,
    disks: Vec<Disk>,
    passed: Passed,
    epoch: Option<Epoch>,
}

/// A moment on every clock.
#[derive(Clone, Copy)]
struct Moment {
    instant: Instant,
    /// On the wall, and since boot.
    both: Now,
}

impl Collector {
    /// Reads every source a first time, so that the first sample has real differences.
    ///
    /// # Errors
    ///
    /// A source can't be read.
    pub fn new(sources: Sources, wanted: Wanted) -> Result<Collector, CollectError> {
        let mut collector = Collector {
            names: Names::new(
                &sources.proc_root,
                &sources.sys_root,
                Users::of(sources.helper.clone()),
            ),
            files: Files::new(&sources.proc_root, &sources.sys_root),
            disks: Disks::new(&sources.proc_root, &sources.sys_root),
            flush_watch: FlushWatch::default(),
            spikes: wanted.spikes.map(Spikes::new),
            wakes: wanted.wakes.map(Wakes::new),
            is_ending: false,
            jiffy: clock::jiffy().unwrap_or_default(),
            device_names: DeviceNames::new(&sources.sys_root),
            exited_leaders: HashMap::new(),
            page_size: clock::page_size(),
            seq: 0,
            counted: Counted::NONE,
            interval_start: Instant::now(),
            interval: Interval::default(),
            live: LiveTasks::default(),
            vmstat: Vmstat::default(),
            self_cpu: None,
            looked: Looked::default(),
            repeat_exited: false,
            sources,
            chosen: Vec::new(),
            wanted: Wanted::default(),
        };
        collector.first_look()?;
        // Tables that grew have freed their smaller buffers: give that memory back.
        memory::return_free();
        collector.chosen = collector.choose(&wanted.pids);
        collector.wanted = wanted;
        Ok(collector)
    }

    /// Reads every counter, so that the first interval has something to be compared with.
    fn first_look(&mut self) -> Result<(), CollectError> {
        let taken = self.take()?;
        self.interval = Interval::default();
        self.self_cpu = clock::process_cpu();
        if self.sources.probe.is_some() {
            // The kernel half reports only those that are created from now on.
            self.names.look_at_cgroups();
        }
        self.end_interval(taken.moment, taken.vmstat);
        Ok(())
    }

    /// The processes that have these numbers now, or a thread with one of them.
    pub fn choose(&self, numbers: &[u32]) -> Vec<Chosen> {
        let choose = |number: &u32| {
            let mut chosen = Chosen::new(*number);
            chosen.find_live(&self.live);
            chosen
        };
        numbers.iter().map(choose).collect()
    }

    /// Changes which tasks are worth a row from the next sample on.
    pub fn want_rows(&mut self, rows: Rows) {
        self.wanted.rows = rows;
    }

    /// The last sample was not shown: the next one has all exited tasks that still have dirty
    /// pages, because what changed is not known to the user.
    pub fn repeat_exited(&mut self) {
        self.repeat_exited = true;
    }

    /// The kernel half, if it is loaded.
    pub fn probe(&self) -> Option<&Probe> {
        self.sources.probe.as_ref()
    }

    /// Reads what can't wait for the end of the interval: exited tasks, new files, and changed
    /// block devices.
    pub fn gather(&mut self) {
        if let Some(probe) = &mut self.sources.probe {
            tasks::exits(probe, self.counted, &mut self.live, &mut self.interval);
            self.interval.share_rows(std::iter::empty());
            // An error that persists is reported by the next sample.
            let _ = probe.make_room(Instant::now());
        }
        self.take_names();
        // An error that persists is reported by the next sample.
        let _ = self.look_at_devices();
    }

    /// Waits until the kernel half asks for [`Collector::gather`].
    ///
    /// # Errors
    ///
    /// The descriptor can't be watched.
    pub fn waker(&self) -> io::Result<Waker> {
        Waker::of(self.sources.probe.as_ref())
    }

    /// Announces that the next sample is the last one.
    pub fn ending(&mut self) {
        self.is_ending = true;
        if let Some(probe) = &mut self.sources.probe {
            probe.ending();
        }
    }

    /// Takes the names that the kernel half has reported: of files, cgroups and processes.
    fn take_names(&mut self) {
        let Some(probe) = &mut self.sources.probe else {
            return;
        };
        let mut files = self.files.told();
        probe.new_files(|head, names| files.add(head, names));
        probe.new_cgroups(|id, path| self.names.cgroup_made(id, path));
        probe.executed(|head, arguments| self.names.add_executed(head, arguments));
    }

    /// Ends the interval and returns what happened in it.
    ///
    /// # Errors
    ///
    /// A source can't be read any more.
    pub fn sample(&mut self) -> Result<Sample, CollectError> {
        let taken = self.take()?;
        let moment = taken.moment;
        let (mut sample, vmstat) = self.merge(taken)?;
        // Now, because those who woke a disk may not be among the wanted tasks.
        sample.wakes = self.wakes(&sample);
        self.select(&mut sample);
        self.name(&mut sample);
        if self.wanted.processes {
            let has_exited = |task: &&SharedTask| self.live.find(&task.key()).is_none();
            let exited = sample.tasks.iter().filter(has_exited);
            let exited = exited.map(|task| (task.pid, Task::clone(task)));
            let now: HashMap<u32, Task> = exited.collect();
            let proc_root = &self.sources.proc_root;
            self.exited_leaders
                .retain(|_, leader| tasks::is_in_proc(proc_root, leader));
            self.exited_leaders.extend(now);
        }
        self.end_interval(moment, vmstat);
        self.repeat_exited = false;
        self.seq = sample.seq;
        Ok(sample)
    }

    /// Reads every source: what the kernel half counted, and each task's counters.
    fn take(&mut self) -> Result<Taken, CollectError> {
        self.look_at_devices()?;
        let turned = self.sources.probe.as_mut().map(Probe::turn).transpose()?;
        let vmstat = self.vmstat()?;
        // /proc/diskstats may be hidden in a container. No disk is known then.
        let disks = self.disks.look().unwrap_or_default();
        let moment = Moment {
            instant: Instant::now(),
            both: Now {
                time: Timestamp::now(),
                boottime: clock::boottime(),
            },
        };
        self.counted = self.sources.counted;
        self.counted.delays &= sysctls::counts_delays(&self.sources.proc_root);
        let passed = tasks::pass(
            &mut self.sources,
            self.counted,
            &mut self.live,
            &mut self.interval,
        )?;
        let epoch = match (&mut self.sources.probe, turned) {
            (Some(probe), Some(turned)) => Some(probe.drain(turned, moment.instant)?),
            _ => None,
        };
        let passed = passed.and(epoch.as_ref());
        if self.sources.probe.is_some() && passed.lost_exits != Some(0) {
            tasks::forget_the_gone(&self.sources.proc_root, &mut self.live)?;
        }
        self.take_names();
        if let Some(epoch) = &epoch
            && epoch.lost[LostIndex::Cgroups as usize] != 0
        {
            self.names.look_at_cgroups();
        }
        Ok(Taken {
            moment,
            vmstat,
            disks,
            passed,
            epoch,
        })
    }

    /// /proc/vmstat, as it was when the epoch was turned.
    fn vmstat(&self) -> Result<Vmstat, CollectError> {
        let read = || {
            Vmstat::read(&self.sources.proc_root, self.page_size).map_err(|source| {
                CollectError::Read {
                    what: "/proc/vmstat",
                    source,
                }
            })
        };
        match &self.sources.probe {
            Some(probe) => vmstat_at_turn(|| Ok(probe.submitted_since_turn()?), read),
            None => read(),
        }
    }

    /// Charges what the kernel half counted to the tasks: the sample, with the vmstat
    /// that the next interval is compared with.
    fn merge(&mut self, taken: Taken) -> Result<(Sample, Vmstat), CollectError> {
        let Taken {
            moment,
            vmstat,
            disks,
            passed,
            epoch,
        } = taken;
        let mut interval = mem::take(&mut self.interval);
        let facts = match &epoch {
            Some(epoch) => {
                for row in &mut interval.rows {
                    row.block = Some(TaskBlock::zero());
                }
                let task_of = self.add_owners(&mut interval, epoch, moment.both.boottime);
                attribution::add_syncs(epoch, &task_of, &mut interval.rows);
                attribution::charge(epoch, &task_of, &mut interval.rows)
            }
            None => Vec::new(),
        };
        let system = self.system(&vmstat, epoch.as_ref(), &interval.rows, &passed, &facts);
        let ebpf = epoch.is_some();
        let committed = epoch.as_ref().map(|epoch| self.committed(epoch));
        let committed = committed.unwrap_or_default();
        // Free it now to keep the peak low: it may have thousands of facts, and the next steps
        // need memory too.
        drop(epoch);
        let devices = by_device(&facts);
        let paths = self.paths(&facts);
        let tasks = self.rows(interval, ebpf);
        let flushes = self.flushes(&facts, &tasks, &paths, &committed, moment.both)?;
        let (time, length) = (moment.both.time, moment.instant - self.interval_start);
        let spikes = match &mut self.spikes {
            Some(spikes) if self.wanted.flushes => spikes.look(time, length, &devices, &flushes),
            _ => Vec::new(),
        };
        // Now, because the owners may not be among the wanted tasks.
        let for_others = match self.wanted.for_others {
            true => ForOthers::new(&facts, &tasks, self.wanted.processes, |device| {
                self.device_names.name(device)
            }),
            false => ForOthers::default(),
        };
        let sample = Sample {
            seq: self.seq + 1,
            time,
            interval: length,
            system,
            tasks,
            exited: Vec::new(),
            ended: Vec::new(),
            unanswered: Vec::new(),
            facts,
            devices,
            paths,
            disks,
            flushes,
            spikes,
            wakes: Vec::new(),
            for_others,
            groups: None,
        };
        Ok((sample, vmstat))
    }

    /// The next interval begins.
    fn end_interval(&mut self, moment: Moment, vmstat: Vmstat) {
        self.live.end_interval(moment.both.boottime);
        self.interval_start = moment.instant;
        self.vmstat = vmstat;
    }

    /// Tells the kernel half which devices lie below another one, if that may have changed.
    fn look_at_devices(&mut self) -> Result<(), CollectError> {
        let Some(probe) = &mut self.sources.probe else {
            return Ok(());
        };
        let events = &mut self.sources.block_events;
        let changed = events.as_mut().is_some_and(BlockEvents::any);
        if !self.looked.is_due(changed) {
            return Ok(());
        }
        let begin = Instant::now();
        let lower = devices::lower_devices(&self.sources.sys_root).map_err(|source| {
            CollectError::Read {
                what: "/sys/class/block",
                source,
            }
        })?;
        probe.set_lower_devices(&lower)?;
        let mounts = Mounts::read(&self.sources.proc_root).unwrap_or_default();
        for (file_system, log) in mounts.external_logs() {
            if let Some(log) = devices::number_of_node(log) {
                let [log, file_system] =
                    [log, file_system].map(|(major, minor)| devices::kernel_dev(major, minor));
                probe.set_external_log(log, file_system);
            }
        }
        self.looked.since(begin);
        Ok(())
    }

    /// Adds the owners' page counters to their rows, and rows for owners without one. Owners
    /// that did nothing and are in no fact are skipped. Returns the index of each slot's row.
    ///
    /// `passed` is when the pass over all tasks began, ns after boot. An owner that the pass
    /// did not find has exited if it started before that. Otherwise it is a new task.
    fn add_owners(
        &self,
        interval: &mut Interval,
        epoch: &Epoch,
        passed: u64,
    ) -> HashMap<Slot, usize> {
        let in_facts = epoch.facts.iter();
        let in_facts = in_facts.flat_map(|(key, _)| [key.owner, key.submitter]);
        let synced = attribution::syncs(epoch).map(|(slot, _)| slot);
        let named: HashSet<Slot> = in_facts.chain(synced).collect();
        let busy = |slot: &Slot, deltas: &PageDeltas| {
            named.contains(slot) || *deltas != PageDeltas::default()
        };
        // Owners that have exited, and have no row so far.
        let exited = epoch.owners.iter().filter(|(slot, owner, deltas)| {
            owner.flags & OWNER_EXITED != 0 && busy(slot, deltas) && {
                let key = TaskKey {
                    tid: owner.tid,
                    start_boottime: owner.start_boottime,
                };
                interval.find(&key).is_none() && self.live.find(&key).is_none()
            }
        });
        let exited: Vec<CrowdOf> = exited
            .map(|(_, owner, _)| CrowdOf::of(&tasks::of_owner(owner, self.counted)))
            .collect();
        interval.share_rows(exited.iter());
        drop(exited);
        let mut task_of = HashMap::new();
        let exited = match self.repeat_exited {
            true => Exited::All,
            false => self.wanted.exited,
        };
        let without_row = unchanged::without_row(&epoch.owners, exited, |slot, owner| {
            let key = key_of(owner);
            named.contains(&slot) || self.live.has(&key) || interval.find(&key).is_some()
        });
        for (slot, owner, deltas) in &epoch.owners {
            if !busy(slot, deltas) {
                continue;
            }
            if without_row.contains(slot) {
                if let Exited::Few(_) = exited {
                    let crowd = tasks::of_owner(owner, self.counted).into_crowd();
                    let is_known = interval.find(&crowd.key()).is_some();
                    let place = interval.place(crowd.key(), || crowd);
                    let row = &mut interval.rows[place];
                    row.crowd = Some(row.tasks() + u64::from(is_known));
                    let block = row.block.get_or_insert_with(TaskBlock::zero);
                    attribution::add_slot(block, deltas, self.page_size, self.jiffy);
                }
                continue;
            }
            let key = key_of(owner);
            if tag::is_crowd(*slot) {
                let row = Task {
                    block: Some(TaskBlock::zero()),
                    ..tasks::of_crowd(owner)
                };
                let place = interval.place(key, || row);
                if let Some(block) = &mut interval.rows[place].block {
                    attribution::add_slot(block, deltas, self.page_size, self.jiffy);
                }
                task_of.insert(*slot, place);
                continue;
            }
            let place = match self.live.find(&key) {
                Some(state) => interval.place(key, || state.row()),
                None if owner.flags & OWNER_EXITED != 0 => {
                    interval.place_exited(key, || tasks::of_owner(owner, self.counted))
                }
                None => interval.place(key, || Task {
                    exited: key.start_boottime < passed,
                    ..tasks::of_owner(owner, self.counted)
                }),
            };
            let row = &mut interval.rows[place];
            if row.crowd.is_none() {
                self.rename(row, owner, deltas.dirtied != 0);
                // After execve a thread has its exited leader's identity: it is alive.
                row.exited |= owner.flags & OWNER_EXITED != 0 && self.live.find(&key).is_none();
            }
            let block = row.block.get_or_insert_with(TaskBlock::zero);
            attribution::add_slot(block, deltas, self.page_size, self.jiffy);
            task_of.insert(*slot, place);
        }
        task_of
    }

    /// Gives a row its task's current name. The name in the row may be out of date: the task
    /// may have changed it after the pass, and the pass skips exiting tasks. If the name in
    /// the slot differs, the current one is in /proc; after an exit it is in the slot, where
    /// `sched_process_exit` put it. A task may exit just after its slot was read: the slot has
    /// the name that the task had when it `dirtied` a file.
    fn rename(&self, row: &mut Task, owner: &Owner, dirtied: bool) {
        let in_slot = live::comm(&owner.comm);
        // /proc adds to a kworker's name what it is working on.
        if row.comm == in_slot || row.kthread {
            return;
        }
        let thread = Thread {
            pid: row.pid,
            tid: row.tid,
        };
        let is_same_task = |stat: &Stat| stat.start_ticks == clock::ticks(row.start_boottime);
        if let Some(stat) = thread.stat(&self.sources.proc_root).filter(is_same_task) {
            row.comm = String::from_utf8_lossy(&stat.comm).into();
        } else if dirtied || owner.flags & OWNER_EXITED != 0 {
            row.comm = in_slot;
        }
    }

    /// What made journals commit. Tasks that no longer run are known from their slots.
    fn committed(&self, epoch: &Epoch) -> Committed {
        if epoch.causes.is_empty() {
            return Committed::default();
        }
        let owners = epoch.owners.iter().map(|(slot, owner, _)| (*slot, owner));
        let owners: HashMap<Slot, &Owner> = owners.collect();
        Committed::of(&epoch.causes, |slot| {
            let owner = owners.get(&slot)?;
            if tag::is_crowd(slot) {
                return Some(tasks::of_crowd(owner));
            }
            let task = tasks::of_owner(owner, self.counted);
            let live = self.live.find(&task.key()).map(|state| state.row());
            Some(live.unwrap_or(task))
        })
    }

    /// The paths of the facts' files, as far as they are known.
    fn paths(&mut self, facts: &[BlockFact]) -> HashMap<FileKey, Arc<str>> {
        if !self.wanted.flushes {
            return HashMap::new();
        }
        let files: HashSet<FileKey> = facts.iter().map(BlockFact::file_key).collect();
        let mut paths = self.files.paths(files.iter().copied());
        for (device, ino, file) in files {
            if ino == devices::own_inode(device) {
                let path = || format!("/dev/{}", self.device_names.name(device)).into();
                paths.entry((device, ino, file)).or_insert_with(path);
            }
        }
        paths
    }

    /// The interval's flushes, with the names of their tasks, files and cgroups.
    fn flushes(
        &mut self,
        facts: &[BlockFact],
        tasks: &[SharedTask],
        paths: &HashMap<FileKey, Arc<str>>,
        committed: &Committed,
        now: Now,
    ) -> Result<Vec<Flush>, CollectError> {
        let wanted = self.wanted.flushes;
        let Some(probe) = self.sources.probe.as_mut().filter(|_| wanted) else {
            return Ok(Vec::new());
        };
        let runs = probe.flush_runs()?;
        let context = Context {
            reasons: probe.reasons(),
            devices: &mut self.device_names,
            live: &self.live,
            counted: self.counted,
            now,
        };
        let mut flushes = self.flush_watch.flushes(runs, context, facts, tasks);
        let on_devices = self.files.btrfs_on_devices(committed.file_systems());
        committed.explain(&mut flushes, on_devices);
        let mut unnamed: Vec<&mut Task> = Vec::new();
        for flush in &mut flushes {
            let owners = &mut flush.written.owners;
            for file in owners.iter_mut().flat_map(|owner| &mut owner.files) {
                let key = (flush.device, file.ino, file.file);
                file.path = paths.get(&key).cloned();
            }
            for run in &mut flush.runs {
                run.cgroup = self.names.cgroup_below_root(run.cgroup_id);
            }
            let owners = owners.iter_mut().map(|owner| &mut owner.task);
            let askers = flush.runs.iter_mut().filter_map(|run| run.asker.as_mut());
            let askers = askers.map(|asker| &mut asker.task);
            let committers = flush.commits.iter_mut().flat_map(Commits::tasks_mut);
            let tasks = owners.chain(&mut flush.submitter).chain(askers);
            unnamed.extend(tasks.chain(committers));
        }
        self.names.ask_for(unnamed.iter().map(|task| &**task));
        for task in unnamed {
            self.names.fill(task);
            task.parents = parents_of(task, &self.live, self.names.executed());
        }
        Ok(flushes)
    }

    /// The disks that were woken, with the names of the tasks.
    fn wakes(&mut self, sample: &Sample) -> Vec<Wake> {
        let Some(wakes) = &mut self.wakes else {
            return Vec::new();
        };
        let (names, live) = (&mut self.names, &self.live);
        wakes.look(sample, self.is_ending, |task| {
            names.ask_for([&*task].into_iter());
            names.fill(task);
            task.parents = parents_of(task, live, names.executed());
        })
    }

    /// The interval's rows. If all rows are wanted, also one for each idle task.
    fn rows(&mut self, mut interval: Interval, ebpf: bool) -> Vec<SharedTask> {
        let rows = mem::take(&mut interval.rows);
        let mut rows: Vec<SharedTask> = rows.into_iter().map(SharedTask::from).collect();
        if self.wanted.rows == Rows::All {
            let block = ebpf.then(TaskBlock::zero);
            rows.extend(self.live.idle_rows(&interval, block));
        }
        rows
    }

    /// Keeps only what is wanted. The system's totals remain those of the whole machine.
    fn select(&mut self, sample: &mut Sample) {
        for chosen in &mut self.chosen {
            chosen.look(sample.tasks.iter().map(|task| &**task));
            if chosen.look_live(&self.live) {
                sample.ended.push(chosen.pid);
            }
        }
        select::of_wanted(sample, &self.chosen, &self.wanted.uids);
        if self.wanted.processes {
            processes(sample, |pid| match self.live.by_tid(pid) {
                Some(state) if state.pid == pid => Some(state.row()),
                _ => self
                    .exited_leaders
                    .get(&pid)
                    .cloned()
                    .or_else(|| tasks::ended_leader(&self.sources.proc_root, pid, self.counted)),
            });
        }
        let exited = sample.tasks.iter().filter(|task| task.exited);
        sample.exited = exited.map(|task| task.key()).collect();
        select::worth_a_row(sample, self.wanted.rows);
        if let Exited::Few(most) = self.wanted.exited {
            select::few_exited(sample, most);
        }
        if self.wanted.leaders {
            self.add_leaders(sample);
        }
    }

    /// Adds a row for each task's group leader that has none because it did nothing.
    fn add_leaders(&self, sample: &mut Sample) {
        let leader_pid = |task: &SharedTask| (task.tid == task.pid).then_some(task.pid);
        let mut with_row: HashSet<u32> = sample.tasks.iter().filter_map(leader_pid).collect();
        let ebpf = sample.system.block.is_some();
        for at in 0..sample.tasks.len() {
            let pid = sample.tasks[at].pid;
            if let (true, Some(leader)) = (with_row.insert(pid), self.live.by_tid(pid)) {
                let row = Task {
                    block: ebpf.then(TaskBlock::zero),
                    ..leader.row()
                };
                sample.tasks.push(row.into());
            }
        }
    }

    /// Looks up the names of the tasks that were kept, and drops the names of all others.
    fn name(&mut self, sample: &mut Sample) {
        let mut exited: HashSet<TaskKey> = HashSet::new();
        let mut unnamed: Vec<usize> = Vec::new();
        for (at, task) in sample.tasks.iter().enumerate() {
            match self.live.known(&task.key()) {
                Some(known) if known.is_named(task) => continue,
                Some(_) => {}
                None => {
                    exited.insert(task.key());
                }
            }
            unnamed.push(at);
        }
        let tasks = unnamed.iter().map(|at| &*sample.tasks[*at]);
        self.names.ask_for(tasks);
        for at in unnamed {
            let task = &mut sample.tasks[at];
            match self.live.known(&task.key()) {
                Some(known) => known.name(task, |task| self.names.fill(task)),
                None => {
                    self.names.fill(task);
                }
            }
        }
        let live = &self.live;
        let active = |task: &&mut SharedTask| task.did_io() || task.has_dirty_pages();
        for task in sample.tasks.iter_mut().filter(active) {
            task.parents = parents_of(task, live, self.names.executed());
        }
        sample.unanswered = self.names.unanswered();
        self.names.keep(|key| live.has(key) || exited.contains(key));
    }

    /// The machine's own counters and levels in the interval.
    fn system(
        &mut self,
        vmstat: &Vmstat,
        epoch: Option<&Epoch>,
        tasks: &[Task],
        passed: &Passed,
        facts: &[BlockFact],
    ) -> System {
        let grown = vmstat.since(&self.vmstat);
        let cpu = clock::process_cpu();
        let self_cpu = cpu
            .zip(self.self_cpu)
            .map(|(now, then)| now.saturating_sub(then));
        self.self_cpu = cpu;
        let count = |wanted: fn(&&Task) -> bool| Some(tasks.iter().filter(wanted).count() as u64);
        let mut lost = epoch.map(lost).unwrap_or_default();
        lost[Loss::ExitRecords] = passed.lost_exits;
        System {
            pgpgin_bytes: grown.pgpgin,
            pgpgout_bytes: grown.pgpgout,
            dirty_before_bytes: self.vmstat.dirty,
            dirty_bytes: grown.dirty,
            background_threshold_bytes: grown.background_threshold,
            dirty_threshold_bytes: grown.threshold,
            writeback_bytes: grown.writeback,
            dirtied_bytes: grown.dirtied,
            written_bytes: grown.written,
            block: epoch.map(|epoch| attribution::totals(epoch, facts)),
            lost,
            counted: tasks::nothing(self.counted),
            tasks_total: passed.total,
            tasks_running_io: count(|task| task.did_io()),
            tasks_exited: passed
                .lost_exits
                .and_then(|_| count(|task| task.exited && task.did_io())),
            self_cpu_ns: self_cpu.and_then(|cpu| u64::try_from(cpu.as_nanos()).ok()),
        }
    }
}

fn key_of(owner: &Owner) -> TaskKey {
    TaskKey {
        tid: owner.tid,
        start_boottime: owner.start_boottime,
    }
}

/// The kernel half's losses, by the names that the outputs use.
fn lost(epoch: &Epoch) -> Lost {
    let count = |index: LostIndex| epoch.lost[index as usize];
    Lost::from([
        (
            Loss::OwnerSlots,
            count(LostIndex::OwnerSlots) + count(LostIndex::SlotOf),
        ),
        (Loss::Facts, count(LostIndex::Facts)),
        (Loss::FactInodes, count(LostIndex::FactInodes)),
        (Loss::Tags, count(LostIndex::Tags)),
        (Loss::LongBios, count(LostIndex::LongBios)),
        (Loss::Faults, count(LostIndex::Faults)),
        (Loss::Flushes, count(LostIndex::Flushes)),
        (Loss::LimitedBios, count(LostIndex::LimitedBios)),
        (Loss::Paths, count(LostIndex::Paths)),
        (Loss::Cgroups, count(LostIndex::Cgroups)),
        (Loss::Commands, count(LostIndex::Commands)),
        (Loss::Causes, count(LostIndex::Causes)),
        (Loss::MissedEvents, epoch.missed),
    ])
}

#[cfg(test)]
mod tests {
    use std::{process::Command, thread};

    use iotop_common::{Class, FlushId, LAGS};

    use super::*;
    use crate::taskstats::needs;
    use crate::{collect::live::TaskState, sample::Lags};

    fn without_sources() -> Collector {
        let sources = Sources {
            probe: None,
            taskstats: None,
            exits: None,
            helper: None,
            block_events: None,
            counted: Counted::NONE,
            own_pids: true,
            proc_root: "/proc".into(),
            sys_root: "/sys".into(),
        };
        Collector::new(sources, Wanted::default()).expect("a first look")
    }

    fn wrote(slot: Slot, owner: Owner) -> (Slot, Owner, PageDeltas) {
        let wrote = PageDeltas {
            dirtied: 1,
            ..PageDeltas::default()
        };
        (slot, owner, wrote)
    }

    fn epoch_with(owners: Vec<(Slot, Owner, PageDeltas)>) -> Epoch {
        Epoch {
            facts: Vec::new(),
            tick: Duration::ZERO,
            totals: Default::default(),
            lost: Default::default(),
            missed: 0,
            causes: Vec::new(),
            owners,
        }
    }

    fn name(text: &str) -> [u8; 16] {
        let mut name = [0; 16];
        name[..text.len()].copy_from_slice(text.as_bytes());
        name
    }

    #[test]
    fn an_owner_that_started_after_the_pass_has_not_exited() {
        let collector = without_sources();
        let owner = |tid, start_boottime, flags| {
            let owner = Owner {
                tid,
                start_boottime,
                flags,
                ..Owner::default()
            };
            wrote(tid, owner)
        };
        let epoch = epoch_with(vec![
            owner(2, 99, 0),
            owner(3, 101, 0),
            owner(4, 102, OWNER_EXITED),
        ]);
        let mut interval = Interval::default();
        collector.add_owners(&mut interval, &epoch, 100);
        let exited: Vec<bool> = interval.rows.iter().map(|row| row.exited).collect();
        assert_eq!(exited, [true, false, true]);
    }

    /// The pass skips exiting tasks: the last name that it reported may be from before execve.
    #[test]
    fn an_owner_that_the_pass_skips_has_its_current_name() {
        let mut collector = without_sources();
        let pid = std::process::id();
        let this_process = Thread { pid, tid: pid };
        let stat = this_process.stat("/proc".as_ref()).expect("a live process");
        let now = clock::of_ticks(stat.start_ticks);
        let mut row = |in_pass: &str, in_slot: &str, start_boottime, flags| {
            let state = TaskState {
                tid: pid,
                pid,
                start_boottime,
                comm: name(in_pass),
                ..TaskState::default()
            };
            collector.live.update(&mut Interval::default(), &state);
            let owner = Owner {
                tid: pid,
                start_boottime,
                flags,
                comm: name(in_slot),
                ..Owner::default()
            };
            let mut interval = Interval::default();
            collector.add_owners(&mut interval, &epoch_with(vec![wrote(3, owner)]), 0);
            interval.rows.remove(0)
        };
        let mut comm =
            |in_pass, in_slot, start, flags| row(in_pass, in_slot, start, flags).comm.to_string();
        let own = String::from_utf8_lossy(&stat.comm);
        assert_eq!(comm("before", "during", now, 0), own);
        assert_eq!(comm("before", "before", now, 0), "before");
        // It exited just after its slot was read, and /proc has another task or none: the slot
        // has the name that it dirtied pages under.
        assert_eq!(comm("before", "during", 1, 0), "during");
        assert_eq!(comm("before", "at its end", 1, OWNER_EXITED), "at its end");
        // A thread has called execve: the old leader has exited, the process is alive.
        let row = row("before", "its leader", now, OWNER_EXITED);
        assert_eq!((&*row.comm, row.exited), (&*own, false));
    }

    /// The row has the old name if the task is renamed between the pass and its next write.
    #[test]
    fn an_owner_that_is_renamed_after_the_pass_has_its_current_name() {
        let mut collector = without_sources();
        let pid = std::process::id();
        let this_process = Thread { pid, tid: pid };
        let stat = this_process.stat("/proc".as_ref()).expect("a live process");
        let state = TaskState {
            tid: pid,
            pid,
            start_boottime: clock::of_ticks(stat.start_ticks),
            comm: name("before"),
            ..TaskState::default()
        };
        let mut interval = Interval::default();
        collector.live.update(&mut interval, &state);
        interval.place(state.key(), || state.row());
        let owner = Owner {
            tid: pid,
            start_boottime: state.start_boottime,
            comm: name("after"),
            ..Owner::default()
        };
        collector.add_owners(&mut interval, &epoch_with(vec![wrote(3, owner)]), 0);
        let comms: Vec<&str> = interval.rows.iter().map(|row| &*row.comm).collect();
        assert_eq!(comms, [String::from_utf8_lossy(&stat.comm)]);
    }

    /// Dead rows with nothing to say were most of the output after some thousand forks.
    #[test]
    fn exited_owners_without_news_have_no_row_or_share_one() {
        let mut collector = without_sources();
        let owner = |slot: Slot| {
            let owner = Owner {
                tid: slot,
                tgid: slot,
                flags: OWNER_EXITED,
                comm: name("head"),
                ..Owner::default()
            };
            let pending = PageDeltas {
                pending: slot.into(),
                ..PageDeltas::default()
            };
            (slot, owner, pending)
        };
        let epoch = epoch_with((2..=6).map(owner).collect());
        let mut rows = |exited| {
            collector.wanted.exited = exited;
            let mut interval = Interval::default();
            collector.add_owners(&mut interval, &epoch, 0);
            let pages = |row: &Task| {
                let pending = row.block.and_then(|block| block.dirty_pending);
                pending.unwrap_or(0) / collector.page_size
            };
            let rows = interval.rows.iter();
            let mut rows: Vec<_> = rows.map(|row| (row.tid, pages(row), row.tasks())).collect();
            rows.sort_unstable();
            rows
        };
        let all = [(2, 2, 1), (3, 3, 1), (4, 4, 1), (5, 5, 1), (6, 6, 1)];
        assert_eq!(rows(Exited::All), all);
        assert_eq!(rows(Exited::Changed), []);
        assert_eq!(rows(Exited::Few(2)), [(0, 9, 3), (5, 5, 1), (6, 6, 1)]);
        collector.repeat_exited();
        let mut interval = Interval::default();
        collector.wanted.exited = Exited::Changed;
        collector.add_owners(&mut interval, &epoch, 0);
        assert_eq!(interval.rows.len(), 5, "the last sample was not shown");
    }

    #[test]
    fn pages_of_a_device_itself_have_the_devices_path() {
        let mut collector = without_sources();
        collector.wanted.flushes = true;
        let fact = |ino| BlockFact {
            owner: None,
            submitter: None,
            device: (254, 0),
            ino,
            class: Class::Exact,
            file: 0,
            flush: FlushId(0),
            bytes: 4096,
            bios: 1,
            lag: None,
            lags: Lags {
                tick: Duration::ZERO,
                pages: [0; LAGS],
            },
        };
        let paths = collector.paths(&[fact(254 << 20), fact(254)]);
        assert_eq!(paths.len(), 1);
        let path = &paths[&((254, 0), 254 << 20, 0)];
        assert!(path.starts_with("/dev/"), "{path}");
    }

    #[test]
    fn without_ebpf_a_zombie_is_counted_once() {
        let (Some(taskstats), Some(exits)) = (
            needs::privilege(TaskstatsSocket::open()),
            needs::privilege(ExitListener::open("/sys".as_ref())),
        ) else {
            return;
        };
        let sources = Sources {
            probe: None,
            taskstats: Some(taskstats),
            exits: Some(exits),
            helper: None,
            block_events: None,
            counted: Counted::ALL,
            own_pids: true,
            proc_root: "/proc".into(),
            sys_root: "/sys".into(),
        };
        let mut collector = Collector::new(sources, Wanted::default()).expect("a first look");
        let mut child = Command::new("true").spawn().expect("started");
        let tid = child.id();
        let rows_of_child = |sample: Sample| -> Vec<Task> {
            let tasks = sample.tasks.into_iter().map(SharedTask::into_task);
            tasks.filter(|task| task.tid == tid).collect()
        };
        // The child exits and is not waited for: it stays a zombie.
        thread::sleep(Duration::from_millis(300));
        let rows = rows_of_child(collector.sample().expect("a sample"));
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert!(rows[0].exited);
        let rows = rows_of_child(collector.sample().expect("a sample"));
        assert!(rows.is_empty(), "{rows:?}");
        child.wait().expect("ended");
    }
}
