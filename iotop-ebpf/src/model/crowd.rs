//! Crowds: more tasks than there are slots. The tasks with one command, user and cgroup then
//! share a slot, so that their bytes keep at least this owner.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns, generated},
    macros::map,
    maps::{HashMap, PerCpuArray},
};
use iotop_common::{
    EpochPart, Lost,
    owner::{Crowd, CrowdKey},
    tag::{SLOT_CROWD, SLOT_NONE, SLOT_OVERFLOW, SLOTS, Slot},
};

use super::{
    slot::{cgroup_id, uid},
    wake,
};
use crate::{
    counters::{add_u32, lose},
    kernel::{
        clock::now,
        verifier::{clear, opaque_index},
    },
    maps::{CROWDS, FREE_CROWD, FREE_SPARE, FREE_WIDE, OWNERS},
};

/// How many tasks of each crowd get a slot of their own in a shortage. A task that has nothing
/// to do with the crowd that caused it thus gets one.
const OWN: u32 = 64;

/// The slot of each task that was counted in it, by tid. Without room, a task is not counted.
#[map]
static JOINED: HashMap<u32, u32> = HashMap::with_max_entries(8 * 1024, 0);

/// The crowd of the owner of each CPU's fact. It lies in memory: before 5.11 the stacks of the
/// programs on `block_bio_queue` have no room.
#[map]
static KEY: PerCpuArray<CrowdKey> = PerCpuArray::with_max_entries(EpochPart::COUNT, 0);

/// Set in a slot that is the task's own, and that no task has been given yet.
pub const TO_ASSIGN: u32 = 1 << 31;

/// Finds a slot for the current task while `FREE` is empty: that of its crowd, or one of the
/// reserve with [`TO_ASSIGN`]. The caller assigns it: one call deeper, the stack would be too
/// small. A global function, see the crate documentation. `task` is the address of its
/// `task_struct`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn slot_in_shortage(task: u64) -> u32 {
    wake::user_half();
    let tid = bpf_get_current_pid_tgid() as u32;
    let mut key = CrowdKey {
        comm: [0; 2],
        cgroup_id: cgroup_id(),
        uid: uid(task),
        _reserved: 0,
    };
    // SAFETY: the field has 16 bytes, and the helper ends the name with a zero.
    unsafe { generated::bpf_get_current_comm((&raw mut key.comm).cast(), 16) };
    if let Some(crowd) = find(&key)
        // SAFETY: a map value of aligned fields.
        && unsafe { (*crowd).own } < OWN
        && let Ok(Some(slot)) = FREE_SPARE.pop()
    {
        // SAFETY: as above.
        add_u32(unsafe { &raw mut (*crowd).own }, 1);
        return slot | TO_ASSIGN;
    }
    match slot_of(&mut key) {
        Some(slot) => join(slot, tid),
        None => {
            lose(Lost::OwnerSlots, 1);
            SLOT_OVERFLOW
        }
    }
}

/// The slot of the crowd that the task of a slot belongs to, or `SLOT_NONE`. A global function,
/// see the crate documentation. `index` is that of the fact, see [`EpochPart::index`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn crowd_slot(index: u32, of: u32) -> u32 {
    key_of(index, of).and_then(slot_of).unwrap_or(SLOT_NONE)
}

/// The crowd that the task of a slot belongs to.
#[inline(always)]
pub fn key_of(index: u32, slot: Slot) -> Option<&'static mut CrowdKey> {
    let owner = OWNERS.get_ptr(slot)?;
    // SAFETY: map values; the key is this CPU's and only this program's. `comm` is aligned to
    // eight bytes.
    unsafe {
        let key = &mut *KEY.get_ptr_mut(index)?;
        let comm = (&raw const (*owner).comm).cast::<[u64; 2]>();
        key.comm[0] = (*comm)[0];
        key.comm[1] = (*comm)[1];
        key.cgroup_id = (*owner).cgroup_id;
        key.uid = (*owner).uid;
        Some(key)
    }
}

/// The slot of a crowd. If there are too many crowds, that of all commands of this user in this
/// cgroup. If two CPUs ask at once for the first time, a crowd has two slots: tasks find one of
/// them.
#[inline(always)]
fn slot_of(key: &mut CrowdKey) -> Option<Slot> {
    if let Some(crowd) = find(key) {
        // SAFETY: a map value of aligned fields.
        let slot = unsafe { &mut (*crowd).slot };
        if is_its_slot(*slot, key) {
            return Some(*slot);
        }
        if let Ok(Some(free)) = FREE_CROWD.pop() {
            found(free, key);
            *slot = free;
            return Some(free);
        }
    }
    clear(&mut key.comm);
    let crowd = find(key)?;
    // SAFETY: as above.
    let slot = unsafe { &mut (*crowd).slot };
    if !is_its_slot(*slot, key) {
        let free = FREE_WIDE.pop().ok()??;
        found(free, key);
        *slot = free;
    }
    Some(*slot)
}

/// A task has exited: another one may get its tid.
#[inline(always)]
pub fn leave(tid: u32) {
    let _ = JOINED.remove(tid);
}

/// A crowd's counts.
#[inline(always)]
pub fn find(key: &CrowdKey) -> Option<*mut Crowd> {
    if let Some(crowd) = CROWDS.get_ptr_mut(key) {
        return Some(crowd);
    }
    // A zero that the compiler does not know: it would call a function, which needs stack.
    let zero = opaque_index(0) as u32;
    let none = Crowd {
        slot: zero,
        own: zero,
        epoch: zero,
        facts: zero,
    };
    let _ = CROWDS.insert(key, none, u64::from(BPF_NOEXIST));
    CROWDS.get_ptr_mut(key)
}

/// True if a slot still is that of this crowd: the user half may have given it back.
#[inline(always)]
fn is_its_slot(slot: Slot, key: &CrowdKey) -> bool {
    OWNERS.get_ptr(slot).is_some_and(|owner| {
        // SAFETY: a map value; `comm` is aligned to eight bytes.
        unsafe {
            let comm = (&raw const (*owner).comm).cast::<[u64; 2]>();
            slot >= SLOT_CROWD
                && (*owner).retired == 0
                && (*owner).generation != 0
                && (*owner).cgroup_id == key.cgroup_id
                && (*owner).uid == key.uid
                && (*comm)[0] == key.comm[0]
                && (*comm)[1] == key.comm[1]
        }
    })
}

/// Fills in the slot of a crowd.
#[inline(always)]
fn found(slot: Slot, key: &CrowdKey) {
    let Some(owner) = OWNERS.get_ptr_mut(slot) else {
        return;
    };
    // SAFETY: the slot was free, so no other task writes to its element.
    unsafe {
        let generation = (*owner).generation + 1;
        clear(&mut *owner);
        (*owner).start_boottime = bpf_ktime_get_boot_ns();
        (*owner).cgroup_id = key.cgroup_id;
        (*owner).uid = key.uid;
        (*owner).assigned = now().0 as u16;
        let comm = (&raw mut (*owner).comm).cast::<[u64; 2]>();
        (*comm)[0] = key.comm[0];
        (*comm)[1] = key.comm[1];
        (*owner).generation = generation;
    }
}

/// The current task uses the slot of a crowd.
#[inline(always)]
fn join(slot: Slot, tid: u32) -> u32 {
    // SAFETY: a copy of one word.
    let known = unsafe { JOINED.get(tid) }.copied();
    if known != Some(slot)
        && JOINED.insert(tid, slot, u64::from(BPF_ANY)).is_ok()
        && let Some(owner) = OWNERS.get_ptr_mut(slot)
    {
        // SAFETY: a map value; only the field's address is taken.
        add_u32(unsafe { &raw mut (*owner).partition }, 1);
    }
    slot & (SLOTS - 1)
}
