//! The kernel half as seen from here: load it, attach it, read its maps.

mod batch;
mod bpf;
mod epoch;
mod error;
mod flushes;
mod grace;
mod mapped;
mod plain;
mod programs;
mod slots;
mod tasks;

use std::{
    collections::HashSet,
    mem::offset_of,
    time::{Duration, Instant},
};

use aya::{
    Ebpf, EbpfLoader, VerifierLogLevel,
    maps::{Array, HashMap as BpfHashMap, Map, MapData, MapError, PerCpuArray, RingBuf, Stack},
};
use iotop_common::{
    Control, EpochPart, Fact, FactKey, FileName, FlushRun, Layout, Lost, Owner, Tag, Tick,
    tag::{SLOT_FIRST, SLOTS, Slot, TAGS_PER_CHUNK},
};

pub use epoch::{Epoch, Turned};
pub use error::ProbeError;
pub use programs::{Attached, Refused};
pub use slots::PageDeltas;

use crate::kernel::{counted::Counted, hooks::Hook, memory, reasons::Reasons};
use grace::Grace;
use mapped::Mapped;
use plain::plain;
use slots::{STUCK, Slots, Step};

/// The kernel half that is built into this program.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!("iotop-trace.bpf.o");

/// A live tag that is older, half of what the tags' clock can tell, belongs to
/// a page that was migrated away.
const AUDIT_TICKS: u32 = 1 << 15;

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
    owners: Mapped<Owner>,
    /// Open, so that doctor finds what it takes.
    _owners: MapData,
    exits: RingBuf<MapData>,
    files: RingBuf<MapData>,
    runs: BpfHashMap<MapData, u32, FlushRun>,
    flushes: RingBuf<MapData>,
    counted: Counted,
    tags: MapData,
    slots: Slots,
    grace: Grace,
    epoch: Control,
    lost_before: [u64; Lost::COUNT as usize],
    missed_before: u64,
    layout: Layout,
    programs: Vec<Attached>,
    refused: Vec<Refused>,
    last_audit: Instant,
    tick: Duration,
    reasons: Reasons,
}

impl Probe {
    /// Loads and attaches the kernel half. `object` is a file's content and
    /// its name for messages; `layout`, `hooks` and `reasons` must be the running
    /// kernel's, and `tick` how long a tick of the tags' clock is. Flushes and the
    /// paths of files are told if `flushes`.
    ///
    /// # Errors
    ///
    /// The object is foreign or damaged, or the kernel refuses it; nothing
    /// stays attached.
    pub fn attach(
        object: &[u8],
        name: &str,
        layout: &Layout,
        hooks: &[Hook],
        reasons: Reasons,
        tick: Duration,
        flushes: bool,
    ) -> Result<Probe, ProbeError> {
        memory::lift_lock_limit();
        let chunks = (layout.tag_mask / TAGS_PER_CHUNK).saturating_add(1);
        let btf = aya::Btf::from_sys_fs().map_err(ProbeError::Btf)?;
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            // With the verifier's walk itself a message is thousands of lines.
            .verifier_log_level(VerifierLogLevel::STATS)
            .override_global("LAYOUT", layout, true)
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
            owners: Mapped::new(&owners, SLOTS as usize).map_err(|source| ProbeError::Call {
                call: "mmap",
                map: "OWNERS",
                source,
            })?,
            _owners: owners,
            exits: map(&mut ebpf, name, "EXITS")?,
            files: map(&mut ebpf, name, "FILES")?,
            runs: map(&mut ebpf, name, "RUNS")?,
            flushes: map(&mut ebpf, name, "FLUSHES")?,
            counted: Counted::by_layout(layout),
            tags,
            slots: Slots::new(now),
            grace: Grace::new().map_err(|source| ProbeError::Call {
                call: "BPF_MAP_CREATE",
                map: "of maps",
                source,
            })?,
            epoch: Control {
                flushes: u32::from(flushes),
                ..Control::default()
            },
            lost_before: [0; Lost::COUNT as usize],
            missed_before: 0,
            layout: *layout,
            programs: Vec::new(),
            refused: Vec::new(),
            last_audit: now,
            tick,
            reasons,
            ebpf,
        };
        probe.fill_free_list()?;
        // Before the first event: a task that writes on is not asked for its file again.
        typed("CONTROL", probe.control.set(0, probe.epoch, 0))?;
        let (attached, refused) = programs::attach(&mut probe.ebpf, hooks, &btf, name)?;
        // One of two would leave word of what was not held back.
        let on_function = |attached: &Attached| attached.hook.on.is_function();
        let looks = refused.is_empty() && attached.iter().any(on_function);
        probe.epoch.held_back = u32::from(looks);
        (probe.programs, probe.refused) = (attached, refused);
        typed("CONTROL", probe.control.set(0, probe.epoch, 0))?;
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
        self.epoch.lower_devices = u32::try_from(devices.len()).unwrap_or(u32::MAX);
        typed("CONTROL", self.control.set(0, self.epoch, 0))
    }

    /// The files that were seen for the first time since the last call.
    pub fn new_files(&mut self) -> Vec<FileName> {
        let mut files = Vec::new();
        while let Some(item) = self.files.next() {
            files.extend(file_name(&item));
        }
        files
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
        latest: Option<Tick>,
        now: Instant,
    ) -> Result<Vec<(Slot, Owner, PageDeltas)>, ProbeError> {
        let reports = slots::Reports::of(facts);
        let mut owners = Vec::new();
        let last = self.slots.last.max(reports.last_named);
        for (slot, owner) in slots::handed_out(|slot| self.owners.get(slot as usize), last) {
            let seen = self.slots.look(slot, &owner, reports.of_slot(slot), now);
            let Some((deltas, step)) = seen else { continue };
            match step {
                Step::Keep => {}
                Step::Retire => retire(&self.owners, &mut self.slot_of, slot, &owner)?,
                Step::Free => typed("FREE", self.free.push(slot, 0))?,
            }
            owners.push((slot, owner, deltas));
        }
        if let Some(latest) = latest
            && self.slots.stuck(now)
            && now.duration_since(self.last_audit) > STUCK
        {
            self.last_audit = now;
            let live = self.count_live_tags(latest)?;
            self.slots.correct(&live, now);
        }
        Ok(owners)
    }

    /// How many live tags each slot has, by looking at every page's. One of a page that
    /// was migrated away is taken from its frame: it would lead to whoever has its slot
    /// when the frame is written the next time.
    fn count_live_tags(&self, now: Tick) -> Result<Vec<u32>, ProbeError> {
        let chunks = self.tags.info().map_or(0, |info| info.max_entries());
        let length = chunks as usize * TAGS_PER_CHUNK as usize;
        let tags = Mapped::<u32>::new(&self.tags, length).map_err(|source| ProbeError::Call {
            call: "mmap",
            map: "TAGS",
            source,
        })?;
        let mut live = vec![0; SLOTS as usize];
        for index in 0..tags.len() {
            match tags.get(index).map(Tag) {
                Some(tag) if tag.is_live() && tag.age(now) > AUDIT_TICKS => {
                    tags.replace(index, tag.0, Tag::NONE.0);
                }
                Some(tag) if tag.is_live() => live[tag.slot() as usize] += 1,
                _ => {}
            }
        }
        Ok(live)
    }
}

/// A record of `FILES`; the names that there are not are empty.
fn file_name(record: &[u8]) -> Option<FileName> {
    let mut whole = [0; size_of::<FileName>()];
    whole.get_mut(..record.len())?.copy_from_slice(record);
    plain(&whole)
}

/// Makes sure that nobody is given this slot any more.
fn retire(
    owners: &Mapped<Owner>,
    slot_of: &mut BpfHashMap<MapData, u32, u32>,
    slot: Slot,
    owner: &Owner,
) -> Result<(), ProbeError> {
    owners.set_word(slot as usize, offset_of!(Owner, retired), 1);
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
