//! The kernel half as seen from here: load it, attach it, read its maps.

mod audit;
mod batch;
mod bpf;
mod epoch;
mod error;
mod flushes;
mod grace;
mod mapped;
mod owners;
mod plain;
mod programs;
mod slots;
mod tasks;

use std::{
    collections::HashSet,
    io,
    mem::offset_of,
    time::{Duration, Instant},
};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap as BpfHashMap, Map, MapData, MapError, PerCpuArray, RingBuf, Stack},
};
use iotop_common::{
    Class, Control, EpochPart, Fact, FactKey, FileHead, FlushRun, Layout, Lost, Owner,
    tag::{SLOT_FIRST, SLOTS, Slot, TAGS_PER_CHUNK},
};

pub use epoch::{Epoch, Turned};
pub use error::ProbeError;
pub use programs::{Attached, Refused};
pub use slots::PageDeltas;

use crate::host::kernel::{counted::Counted, hooks::Hook, memory, reasons::Reasons};
use audit::Audit;
use grace::Grace;
use owners::Owners;
use plain::plain;
use programs::PAGES_WAITING;
use slots::{Slots, Step};

/// The kernel half that is built into this program.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("iotop-trace.bpf.o");

/// Pages that are dirty when the trace begins are written by the kernel within twice
/// the age at which it writes dirty pages, and this time at least.
const OLD_PAGES_AT_LEAST: Duration = Duration::from_secs(60);
/// How often a file system is looked for whose module was not loaded.
const LATE: Duration = Duration::from_secs(5);

/// What is known of the running kernel and this machine when the kernel half is
/// loaded.
pub struct Kernel {
    /// Where the kernel keeps what the kernel half reads.
    pub layout: Layout,
    /// The programs that it runs.
    pub hooks: Vec<Hook>,
    /// The names of its reasons for a flush.
    pub reasons: Reasons,
    /// How long a tick of the tags' clock is.
    pub tick: Duration,
    /// The age at which it writes dirty pages.
    pub dirty_expire: Duration,
    /// File systems whose large folios are written block by block, with the programs
    /// that tell the blocks.
    pub written_by_block: Vec<(u32, &'static [&'static str])>,
}

/// A loaded and attached kernel half. Dropping it detaches everything.
pub struct Probe {
    ebpf: Ebpf,
    control: Array<MapData, Control>,
    facts: [MapData; 2],
    /// How many facts each has.
    entered: Array<MapData, u64>,
    parts: PerCpuArray<MapData, EpochPart>,
    lost: PerCpuArray<MapData, u64>,
    slot_of: BpfHashMap<MapData, u32, u32>,
    free: Stack<MapData, u32>,
    lower_devices: BpfHashMap<MapData, u32, u8>,
    owners: Owners,
    exits: RingBuf<MapData>,
    files: RingBuf<MapData>,
    runs: BpfHashMap<MapData, u32, FlushRun>,
    flushes: RingBuf<MapData>,
    counted: Counted,
    tags: MapData,
    slots: Slots,
    grace: Grace,
    told: Control,
    lost_before: [u64; Lost::COUNT as usize],
    missed_before: u64,
    layout: Layout,
    programs: Vec<Attached>,
    refused: Vec<Refused>,
    /// Programs for file systems that are not there, and when they are looked for.
    late: (Vec<Hook>, Instant),
    written_by_block: Vec<(u32, &'static [&'static str])>,
    audit: Audit,
    /// Until then pages may be dirty that became so before the trace.
    old_pages_until: Instant,
    tick: Duration,
    reasons: Reasons,
}

impl Probe {
    /// Loads and attaches the kernel half. `object` is a file's content and
    /// its name for messages. Flushes and the paths of files are told if `flushes`.
    ///
    /// # Errors
    ///
    /// The object is foreign or damaged, or the kernel refuses it; nothing
    /// stays attached.
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
        let btf = aya::Btf::from_sys_fs().map_err(ProbeError::Btf)?;
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            // With the verifier's walk itself a message is thousands of lines.
            .verifier_log_level(VerifierLogLevel::STATS)
            .override_global("LAYOUT", &layout, true)
            .map_max_entries("TAGS", chunks)
            .map_max_entries("SEEN", layout.seen_mask.saturating_add(1))
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
            entered: map(&mut ebpf, name, "ENTERED")?,
            parts: map(&mut ebpf, name, "EPOCHS")?,
            lost: map(&mut ebpf, name, "LOST")?,
            slot_of: map(&mut ebpf, name, "SLOT_OF")?,
            free: map(&mut ebpf, name, "FREE")?,
            lower_devices: map(&mut ebpf, name, "LOWER_DEVICES")?,
            owners: Owners::new(owners).map_err(not_mapped)?,
            exits: map(&mut ebpf, name, "EXITS")?,
            files: map(&mut ebpf, name, "FILES")?,
            runs: map(&mut ebpf, name, "RUNS")?,
            flushes: map(&mut ebpf, name, "FLUSHES")?,
            counted: Counted::by_layout(&layout),
            tags,
            slots: Slots::new(),
            grace: Grace::new().map_err(|source| ProbeError::Call {
                call: "BPF_MAP_CREATE",
                map: "of maps",
                source,
            })?,
            told: Control {
                flushes: u32::from(flushes),
                young: 1,
                ..Control::default()
            },
            lost_before: [0; Lost::COUNT as usize],
            missed_before: 0,
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
        // Before the first event: a task that writes on is not asked for its file again.
        typed("CONTROL", probe.control.set(0, probe.told, 0))?;
        let programs::Attaching {
            attached,
            refused,
            waiting,
        } = programs::attach(&mut probe.ebpf, &hooks, &btf, name)?;
        probe.late = (waiting, now + LATE);
        // One of two would leave word of what was not held back.
        let on_function = |attached: &Attached| attached.hook.on.is_function();
        let refused_one = refused.iter().any(|refused| refused.hook.on.is_function());
        let looks = !refused_one && attached.iter().any(on_function);
        probe.told.held_back = u32::from(looks);
        (probe.programs, probe.refused) = (attached, refused);
        probe.told.whole_folios = probe.whole_folios();
        typed("CONTROL", probe.control.set(0, probe.told, 0))?;
        Ok(probe)
    }

    /// Says which devices lie below another one.
    ///
    /// # Errors
    ///
    /// A map call failed.
    pub fn set_lower_devices(&mut self, devices: &[u32]) -> Result<(), ProbeError> {
        let map = "LOWER_DEVICES";
        let known: HashSet<u32> = self.lower_devices.keys().filter_map(Result::ok).collect();
        let devices: HashSet<u32> = devices.iter().copied().collect();
        for gone in known.difference(&devices) {
            typed(map, self.lower_devices.remove(gone))?;
        }
        for new in devices.difference(&known) {
            typed(map, self.lower_devices.insert(new, 1, 0))?;
        }
        self.told.lower_devices = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        typed("CONTROL", self.control.set(0, self.told, 0))
    }

    /// Hands over the files that were seen for the first time since the last call, each
    /// with its names as they lie in an [`iotop_common::FileName`].
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

    /// The programs and what they are attached to.
    pub fn attached(&self) -> &[Attached] {
        &self.programs
    }

    /// The running kernel's layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The programs that the kernel did not take.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    fn fill_free_list(&mut self) -> Result<(), ProbeError> {
        // The last one pushed is handed out first.
        for slot in (SLOT_FIRST..SLOTS).rev() {
            typed("FREE", self.free.push(slot, 0))?;
        }
        Ok(())
    }

    fn look_at_owners(
        &mut self,
        facts: &[(FactKey, Fact)],
        live: Option<Vec<u32>>,
        now: Instant,
    ) -> Result<Vec<(Slot, Owner, PageDeltas)>, ProbeError> {
        let reports = slots::Reports::of(facts);
        let mut owners = Vec::new();
        let last = self.slots.last.max(reports.last_named);
        self.owners.reach(last).map_err(not_mapped)?;
        for (slot, owner) in slots::handed_out(|slot| self.owners.get(slot), last) {
            let seen = self.slots.look(slot, &owner, reports.of_slot(slot), now);
            let Some((deltas, step)) = seen else { continue };
            match step {
                Step::Keep => {}
                Step::Retire => retire(&self.owners, &mut self.slot_of, slot, &owner)?,
                Step::Free => typed("FREE", self.free.push(slot, 0))?,
            }
            owners.push((slot, owner, deltas));
        }
        if let Some(live) = live {
            self.slots.correct(&live, now);
        }
        Ok(owners)
    }

    /// The next look is the last one, so that nothing may be left for later.
    pub fn ending(&mut self) {
        self.audit.ending();
    }

    /// Holds the tags against their pages, where that is due; how many live ones each
    /// slot has.
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

    /// The file systems of which a program is missing that tells which pages of a large
    /// folio a task writes.
    pub fn whole_folios(&self) -> u32 {
        let runs = |name: &&str| self.programs.iter().any(|one| one.hook.program == *name);
        self.written_by_block
            .iter()
            .filter(|(_, programs)| !programs.iter().all(runs))
            .fold(0, |bits, (bit, _)| bits | bit)
    }

    /// Attaches the programs of file systems whose module was loaded since.
    fn attach_late(&mut self, now: Instant) -> Result<(), ProbeError> {
        if self.late.0.is_empty() || now < self.late.1 {
            return Ok(());
        }
        let mut done = programs::Attaching::default();
        let hooks = std::mem::take(&mut self.late.0);
        programs::attach_loaded(&mut self.ebpf, hooks, "the object", &mut done)?;
        self.programs.append(&mut done.attached);
        self.refused.append(&mut done.refused);
        self.told.whole_folios = self.whole_folios();
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

/// Makes sure that nobody is given this slot any more.
fn retire(
    owners: &Owners,
    slot_of: &mut BpfHashMap<MapData, u32, u32>,
    slot: Slot,
    owner: &Owner,
) -> Result<(), ProbeError> {
    owners.set_word(slot, offset_of!(Owner, retired), 1);
    match slot_of.get(&owner.tid, 0) {
        Ok(known) if known == slot => gone_is_fine(slot_of.remove(&owner.tid)),
        Ok(_) | Err(MapError::KeyNotFound) => Ok(()),
        Err(source) => Err(source),
    }
    .map_err(|source| ProbeError::Map {
        map: "SLOT_OF",
        source,
    })
}

fn gone_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    }
}

fn typed<T>(map: &'static str, result: Result<T, MapError>) -> Result<T, ProbeError> {
    result.map_err(|source| ProbeError::Map { map, source })
}

fn any_map(ebpf: &mut Ebpf, object: &str, map: &'static str) -> Result<Map, ProbeError> {
    ebpf.take_map(map).ok_or_else(|| ProbeError::Object {
        object: object.to_owned(),
        reason: format!("it has no map {map}"),
    })
}

/// A map of a kind.
fn map<T>(ebpf: &mut Ebpf, object: &str, name: &'static str) -> Result<T, ProbeError>
where
    T: TryFrom<Map, Error = MapError>,
{
    typed(name, T::try_from(any_map(ebpf, object, name)?))
}

/// The map itself, whatever its kind.
fn take(ebpf: &mut Ebpf, object: &str, name: &'static str) -> Result<MapData, ProbeError> {
    match any_map(ebpf, object, name)? {
        Map::Array(map) | Map::HashMap(map) => Ok(map),
        _ => Err(ProbeError::Object {
            object: object.to_owned(),
            reason: format!("its map {name} is of another kind"),
        }),
    }
}

/// A debug object (`cargo xtask build-ebpf --log`) writes to our standard
/// error; every other one has no log.
fn init_log(ebpf: &mut Ebpf) {
    let _ = aya_log::EbpfLogger::init(ebpf);
}
