//! The user half's access to the kernel half: loads it, attaches it and reads its maps.

mod audit;
mod batch;
mod bpf;
mod epoch;
mod error;
pub(crate) mod flushes;
mod grace;
mod journals;
mod mapped;
pub(crate) mod names;
mod owners;
pub(crate) mod plain;
mod programs;
mod slots;
mod tasks;
mod turned_away;
mod undelivered;

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd as _, OwnedFd},
    time::{Duration, Instant},
};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap as BpfHashMap, Map, MapData, MapError, PerCpuArray, RingBuf, Stack},
};
use iotop_common::{
    CauseKey, Class, Control, Crowd, CrowdKey, EpochPart, Fact, FactKey, FileHead, FlushRun,
    Layout, Lost, Owner,
    tag::{RANGES, SLOT_FIRST, SLOTS, Slot, TAGS_PER_CHUNK, range_of},
};

pub use epoch::{Epoch, Turned};
pub use error::ProbeError;
pub use programs::{Attached, Refused};
pub use slots::PageDeltas;
pub use tasks::Exit;

use crate::host::kernel::{counted::Counted, hooks::Hook, memory, reasons::Reasons};
use audit::Audit;
use flushes::EndedRuns;
use grace::Grace;
use journals::Journals;
use owners::Owners;
use plain::plain;
use programs::PAGES_WAITING;
use slots::{Slots, Step};
use turned_away::TurnedAway;
use undelivered::Undelivered;

/// The kernel half that is built into this program.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("iotop-trace.bpf.o");

/// For at least this long, pages may still be dirty from before the trace. The kernel
/// writes them within twice `vm.dirty_expire_centisecs`, which counts if it is longer.
const OLD_PAGES_AT_LEAST: Duration = Duration::from_secs(60);
/// The list of free slots of each of [`RANGES`].
const FREE: [&str; RANGES.len()] = ["FREE", "FREE_SPARE", "FREE_CROWD", "FREE_WIDE"];
/// The size of a map that this kernel's programs do not use.
const UNUSED: u32 = 128;
/// How often to look for a file system whose module was not loaded.
const LATE: Duration = Duration::from_secs(5);

/// What the kernel half needs to know about the running kernel and this machine.
pub struct Kernel {
    /// The offsets and constants of the kernel's structs.
    pub layout: Layout,
    /// The programs for this kernel.
    pub hooks: Vec<Hook>,
    /// The names of the reasons for a flush (`enum wb_reason`).
    pub reasons: Reasons,
    /// The length of a tick of the tags' clock.
    pub tick: Duration,
    /// The age at which the kernel writes dirty pages (`vm.dirty_expire_centisecs`).
    pub dirty_expire: Duration,
    /// File systems whose large folios are written block by block, each with the programs
    /// that report which pages of a folio a task writes.
    pub written_by_block: Vec<(u32, &'static [&'static str])>,
}

/// A loaded and attached kernel half. Dropping it detaches everything.
pub struct Probe {
    ebpf: Ebpf,
    control: Array<MapData, Control>,
    facts: [MapData; 2],
    causes: [MapData; 2],
    /// How many facts each table of `facts` has.
    entered: Array<MapData, u64>,
    turned_away: TurnedAway,
    parts: PerCpuArray<MapData, EpochPart>,
    lost: PerCpuArray<MapData, u64>,
    slot_of: BpfHashMap<MapData, u32, u32>,
    /// The free slots of each of [`RANGES`].
    free: [Stack<MapData, u32>; RANGES.len()],
    crowds: BpfHashMap<MapData, CrowdKey, Crowd>,
    wake: RingBuf<MapData>,
    lower_devices: BpfHashMap<MapData, u32, u8>,
    file_system_of: BpfHashMap<MapData, u32, u32>,
    owners: Owners,
    exits: RingBuf<MapData>,
    files: RingBuf<MapData>,
    cgroups: RingBuf<MapData>,
    executed: RingBuf<MapData>,
    runs: BpfHashMap<MapData, u32, FlushRun>,
    flushes: RingBuf<MapData>,
    ended_runs: EndedRuns,
    journals: Journals,
    counted: Counted,
    tags: MapData,
    slots: Slots,
    /// When slots were given back last between two samples.
    given_back: Instant,
    undelivered: Undelivered,
    grace: Grace,
    /// The value that was last written to `control`.
    control_value: Control,
    lost_before: [u64; Lost::COUNT as usize],
    missed_before: u64,
    /// Command lines that the first program missed and the second one reported.
    recovered_commands: u64,
    lost_commands_before: u64,
    layout: Layout,
    programs: Vec<Attached>,
    refused: Vec<Refused>,
    /// Programs whose file system is not loaded, and when to look for it again.
    late: (Vec<Hook>, Instant),
    written_by_block: Vec<(u32, &'static [&'static str])>,
    audit: Audit,
    /// Until then, pages may still be dirty from before the trace.
    old_pages_until: Instant,
    tick: Duration,
    reasons: Reasons,
}

impl Probe {
    /// Loads and attaches the kernel half. `object` is the content of an object file,
    /// and `name` its name in messages. If `flushes` is true, the kernel half reports
    /// flushes and the paths of files too.
    ///
    /// # Errors
    ///
    /// The object is not ours or is damaged, or the kernel refuses it. Nothing stays
    /// attached.
    pub fn attach(
        object: &[u8],
        name: &str,
        kernel: Kernel,
        flushes: bool,
    ) -> Result<Probe, ProbeError> {
        let Kernel {
            layout,
            hooks,
            reasons,
            tick,
            dirty_expire,
            written_by_block,
        } = kernel;
        memory::lift_lock_limit();
        let chunks = (layout.tag_mask / TAGS_PER_CHUNK).saturating_add(1);
        // xfs's objects are known by address where its types are known, else by number.
        let unused = match layout.xfs_mount_m_super {
            0 => "LOGGED",
            _ => "NUMBERED",
        };
        let btf = aya::Btf::from_sys_fs().map_err(ProbeError::Btf)?;
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            // The verifier's full log would make an error message thousands of lines long.
            .verifier_log_level(VerifierLogLevel::STATS)
            .override_global("LAYOUT", &layout, true)
            .map_max_entries("TAGS", chunks)
            .map_max_entries("SEEN", layout.seen_mask.saturating_add(1))
            .map_max_entries(unused, UNUSED)
            .load(object)
            .map_err(|source| error::load(name, source))?;
        init_log(&mut ebpf);

        let now = Instant::now();
        let tags = take(&mut ebpf, name, "TAGS")?;
        let owners = take(&mut ebpf, name, "OWNERS")?;
        let mut probe = Probe {
            control: map(&mut ebpf, name, "CONTROL")?,
            facts: [
                take(&mut ebpf, name, "FACTS_EVEN")?,
                take(&mut ebpf, name, "FACTS_ODD")?,
            ],
            causes: [
                take(&mut ebpf, name, "CAUSES_EVEN")?,
                take(&mut ebpf, name, "CAUSES_ODD")?,
            ],
            entered: map(&mut ebpf, name, "ENTERED")?,
            turned_away: TurnedAway::default(),
            parts: map(&mut ebpf, name, "EPOCHS")?,
            lost: map(&mut ebpf, name, "LOST")?,
            slot_of: map(&mut ebpf, name, "SLOT_OF")?,
            free: [
                map(&mut ebpf, name, FREE[0])?,
                map(&mut ebpf, name, FREE[1])?,
                map(&mut ebpf, name, FREE[2])?,
                map(&mut ebpf, name, FREE[3])?,
            ],
            crowds: map(&mut ebpf, name, "CROWDS")?,
            wake: map(&mut ebpf, name, "WAKE")?,
            lower_devices: map(&mut ebpf, name, "LOWER_DEVICES")?,
            file_system_of: map(&mut ebpf, name, "FILE_SYSTEM_OF")?,
            owners: Owners::new(owners).map_err(not_mapped)?,
            exits: map(&mut ebpf, name, "EXITS")?,
            files: map(&mut ebpf, name, "FILES")?,
            cgroups: map(&mut ebpf, name, "CGROUPS")?,
            executed: map(&mut ebpf, name, "EXECUTED")?,
            runs: map(&mut ebpf, name, "RUNS")?,
            flushes: map(&mut ebpf, name, "FLUSHES")?,
            ended_runs: EndedRuns::default(),
            journals: Journals::new(map(&mut ebpf, name, "JOURNAL_OF")?, now),
            counted: Counted::by_layout(&layout),
            tags,
            slots: Slots::new(),
            given_back: now,
            undelivered: Undelivered::default(),
            grace: Grace::new().map_err(|source| ProbeError::Call {
                call: "BPF_MAP_CREATE",
                map: "of maps",
                source,
            })?,
            control_value: Control {
                flushes: u32::from(flushes),
                pre_trace: 1,
                ..Control::default()
            },
            lost_before: [0; Lost::COUNT as usize],
            missed_before: 0,
            recovered_commands: 0,
            lost_commands_before: 0,
            layout,
            programs: Vec::new(),
            refused: Vec::new(),
            late: (Vec::new(), now),
            written_by_block,
            audit: Audit::new(now),
            old_pages_until: now + OLD_PAGES_AT_LEAST.max(2 * dirty_expire),
            tick,
            reasons,
            ebpf,
        };
        probe.fill_free_list()?;
        // This must precede the first event: a task that keeps writing to a file reports
        // the file's path only at its first write.
        with_map_name("CONTROL", probe.control.set(0, probe.control_value, 0))?;
        let programs::Attaching {
            attached,
            refused,
            waiting,
        } = programs::attach(&mut probe.ebpf, &hooks, &btf, name)?;
        probe.late = (waiting, now + LATE);
        // If one is missing, held back bios are not looked for: the program at a function's
        // entry records every bio, and the one at its exit removes those that io.max did not
        // hold back.
        let on_function = |attached: &Attached| attached.hook.on.is_function();
        let refused_one = refused.iter().any(|refused| refused.hook.on.is_function());
        let looks = !refused_one && attached.iter().any(on_function);
        probe.control_value.held_back = u32::from(looks);
        (probe.programs, probe.refused) = (attached, refused);
        probe.control_value.whole_folios = probe.whole_folios();
        with_map_name("CONTROL", probe.control.set(0, probe.control_value, 0))?;
        Ok(probe)
    }

    /// Tells the kernel half which devices lie below another one (device-mapper, md).
    ///
    /// # Errors
    ///
    /// A map call failed.
    pub fn set_lower_devices(&mut self, devices: &[u32]) -> Result<(), ProbeError> {
        let map = "LOWER_DEVICES";
        let known: HashSet<u32> = self.lower_devices.keys().filter_map(Result::ok).collect();
        let devices: HashSet<u32> = devices.iter().copied().collect();
        for gone in known.difference(&devices) {
            with_map_name(map, self.lower_devices.remove(gone))?;
        }
        for new in devices.difference(&known) {
            with_map_name(map, self.lower_devices.insert(new, 1, 0))?;
        }
        self.control_value.lower_devices = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        with_map_name("CONTROL", self.control.set(0, self.control_value, 0))
    }

    /// Tells the kernel half that a device has the log of a file system on another one. Where
    /// xfs's types are known, the kernel half knows it by itself. If the table is full, the log's
    /// blocks stay without an owner, as if this had not been called.
    pub fn set_external_log(&mut self, log: u32, file_system: u32) {
        let _ = self.file_system_of.insert(log, file_system, 0);
    }

    /// Calls `take` for every file that was reported since the last call, with its names
    /// laid out as in [`iotop_common::FileName`].
    pub fn new_files(&mut self, mut take: impl FnMut(&FileHead, &[u8])) {
        while let Some(item) = self.files.next() {
            if let Some(head) = plain(&item) {
                take(&head, &item[size_of::<FileHead>()..]);
            }
        }
    }

    /// The names of this kernel's reasons for a flush.
    pub fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    /// The programs that are attached.
    pub fn attached(&self) -> &[Attached] {
        &self.programs
    }

    /// The running kernel's layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The programs that the kernel refused.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    fn fill_free_list(&mut self) -> Result<(), ProbeError> {
        // The lists are stacks: the slot that is pushed last is handed out first.
        (SLOT_FIRST..SLOTS)
            .rev()
            .try_for_each(|slot| self.free_slot(slot))
    }

    fn free_slot(&mut self, slot: Slot) -> Result<(), ProbeError> {
        let range = range_of(slot);
        with_map_name(FREE[range], self.free[range].push(slot, 0))
    }

    /// Gives back slots that nothing refers to any more. The facts of all ended epochs are in
    /// `undelivered`.
    fn give_back_slots(&mut self, now: Instant) -> Result<(), ProbeError> {
        let mut highest = self.slots.highest;
        let reports = slots::Reports::of(self.undelivered.facts(), &mut highest);
        let owners: Vec<(Slot, Owner)> =
            slots::handed_out(&|slot| self.owners.get(slot), self.slots.highest).collect();
        for (slot, owner) in owners {
            let named = reports.of_slot(slot).named;
            let step = self.slots.look_between(slot, &owner, named, now);
            self.take(step, slot, &owner)?;
        }
        Ok(())
    }

    fn take(&mut self, step: Step, slot: Slot, owner: &Owner) -> Result<(), ProbeError> {
        match step {
            Step::Keep => Ok(()),
            Step::Retire => retire(&self.owners, &mut self.slot_of, slot, owner),
            Step::Free => self.free_slot(slot),
        }
    }

    /// Forgets the crowds of a shortage of slots that is over.
    fn end_shortage(&mut self) -> Result<(), ProbeError> {
        if self.slots.is_crowded() {
            return Ok(());
        }
        let crowds: Vec<CrowdKey> = self.crowds.keys().filter_map(Result::ok).collect();
        for crowd in crowds {
            with_map_name("CROWDS", ignore_missing(self.crowds.remove(&crowd)))?;
        }
        Ok(())
    }

    /// A descriptor that becomes readable when [`Probe::make_room`] and the like can't wait for
    /// their next turn.
    ///
    /// # Errors
    ///
    /// The descriptor can't be copied.
    pub fn wakes(&self) -> io::Result<OwnedFd> {
        self.wake.as_fd().try_clone_to_owned()
    }

    fn update_owners(
        &mut self,
        facts: &[(FactKey, Fact)],
        causes: &[(CauseKey, u64)],
        live: Option<Vec<u32>>,
        now: Instant,
    ) -> Result<Vec<(Slot, Owner, PageDeltas)>, ProbeError> {
        let mut highest = self.slots.highest;
        let facts = facts.iter().map(|(key, fact)| (key, fact));
        let reports = slots::Reports::of(facts, &mut highest);
        causes.iter().for_each(|(key, _)| highest.add(key.slot));
        self.owners.reach(highest.slot()).map_err(not_mapped)?;
        let mut owners = Vec::new();
        let mut steps = Vec::new();
        for (slot, owner) in slots::handed_out(&|slot| self.owners.get(slot), highest) {
            let seen = self.slots.look(slot, &owner, reports.of_slot(slot), now);
            let Some((deltas, step)) = seen else { continue };
            if step != Step::Keep {
                steps.push((step, slot, owner));
            }
            owners.push((slot, owner, deltas));
        }
        for (step, slot, owner) in steps {
            self.take(step, slot, &owner)?;
        }
        if let Some(live) = live {
            self.slots.correct(&live, now);
        }
        Ok(owners)
    }

    /// Announces the last sample: an audit that is due then runs whatever it costs.
    pub fn ending(&mut self) {
        self.audit.ending();
    }

    /// Checks the tags against their pages, if an audit is due. Returns how many live tags
    /// each slot has.
    fn audit(
        &mut self,
        facts: &[(FactKey, Fact)],
        missed: u64,
        now: Instant,
    ) -> Option<io::Result<Vec<u32>>> {
        let without_tag = [Class::Shared, Class::Unknown].map(|class| class as u32);
        let lost = |(key, _): &(FactKey, Fact)| without_tag.contains(&key.class);
        if missed != 0 || facts.iter().any(lost) {
            self.audit.trouble(now);
        }
        if !self.audit.is_due(now, self.slots.any_waits()) {
            return None;
        }
        let program = programs::asked(&self.programs, PAGES_WAITING)?;
        Some(self.audit.run(&self.tags, &self.owners, program))
    }

    /// The file systems that lack a program which reports the pages of a large folio that
    /// a task writes: bits of [`Control::whole_folios`].
    pub fn whole_folios(&self) -> u32 {
        let runs = |name: &&str| self.programs.iter().any(|one| one.hook.program == *name);
        self.written_by_block
            .iter()
            .filter(|(_, programs)| !programs.iter().all(runs))
            .fold(0, |bits, (bit, _)| bits | bit)
    }

    /// Attaches the programs of file systems whose module was loaded meanwhile.
    fn attach_late(&mut self, now: Instant) -> Result<(), ProbeError> {
        if self.late.0.is_empty() || now < self.late.1 {
            return Ok(());
        }
        let mut done = programs::Attaching::default();
        let hooks = std::mem::take(&mut self.late.0);
        programs::attach_loaded(&mut self.ebpf, hooks, "the kernel half", &mut done)?;
        self.programs.append(&mut done.attached);
        self.refused.append(&mut done.refused);
        self.control_value.whole_folios = self.whole_folios();
        self.late = (done.waiting, now + LATE);
        Ok(())
    }
}

fn not_mapped(source: io::Error) -> ProbeError {
    ProbeError::Call {
        call: "mmap",
        map: "OWNERS",
        source,
    }
}

/// Retires a slot: its task does not find it any more.
fn retire(
    owners: &Owners,
    slot_of: &mut BpfHashMap<MapData, u32, u32>,
    slot: Slot,
    owner: &Owner,
) -> Result<(), ProbeError> {
    owners.retire(slot);
    match slot_of.get(&owner.tid, 0) {
        Ok(known) if known == slot => ignore_missing(slot_of.remove(&owner.tid)),
        Ok(_) | Err(MapError::KeyNotFound) => Ok(()),
        Err(source) => Err(source),
    }
    .map_err(|source| ProbeError::Map {
        map: "SLOT_OF",
        source,
    })
}

fn ignore_missing(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    }
}

/// Adds the map's name to an error.
fn with_map_name<T>(map: &'static str, result: Result<T, MapError>) -> Result<T, ProbeError> {
    result.map_err(|source| ProbeError::Map { map, source })
}

fn any_map(ebpf: &mut Ebpf, object: &str, map: &'static str) -> Result<Map, ProbeError> {
    ebpf.take_map(map).ok_or_else(|| ProbeError::Object {
        object: object.to_owned(),
        reason: format!("it has no map {map}"),
    })
}

/// Takes a map out of the object, as the type `T`.
fn map<T>(ebpf: &mut Ebpf, object: &str, name: &'static str) -> Result<T, ProbeError>
where
    T: TryFrom<Map, Error = MapError>,
{
    with_map_name(name, T::try_from(any_map(ebpf, object, name)?))
}

/// Takes an array or a hash map out of the object, as raw map data.
fn take(ebpf: &mut Ebpf, object: &str, name: &'static str) -> Result<MapData, ProbeError> {
    match any_map(ebpf, object, name)? {
        Map::Array(map) | Map::HashMap(map) => Ok(map),
        _ => Err(ProbeError::Object {
            object: object.to_owned(),
            reason: format!("its map {name} has the wrong type"),
        }),
    }
}

/// Prints the messages of a debug object (`cargo xtask build-ebpf --log`) to standard
/// error. Other objects have no log, so an error is ignored.
fn init_log(ebpf: &mut Ebpf) {
    let _ = aya_log::EbpfLogger::init(ebpf);
}
