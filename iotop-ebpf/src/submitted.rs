//! A bio is submitted: charge the owners of its pages.

use aya_ebpf::{
    helpers::generated::{bpf_get_current_task, bpf_get_current_task_btf, bpf_task_pt_regs},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use iotop_common::{
    Class, Control, FactKey, FlushId, Lost, TURNS, Tag,
    tag::{SLOT_FIRST, SLOT_NONE, Slot},
};

use crate::{
    charge::{self, BUFFER, CACHE, Charge, JOURNALLED, Known, OTHER},
    count::{Part, control, lose},
    flush, held_back,
    inode::{Inode, TypedInode},
    kernel::{Typed, anew, clear, layout, now, read},
    mappings::Place,
    maps::LOWER_DEVICES,
    once,
    owners::{self, Asker, Current, Last, is_journal, is_kthread},
    page::{Folio, LARGE, SINGLE},
    remapped, walk,
};

/// `REQ_OP_MASK`, `REQ_OP_READ` and `REQ_OP_WRITE` of include/linux/blk_types.h.
const REQ_OP_MASK: u32 = 0xff;
const REQ_OP_READ: u32 = 0;
const REQ_OP_WRITE: u32 = 1;

/// What is needed of a bio.
pub struct Bio {
    /// The address of the bio_vec that comes first.
    pub bvec: u64,
    /// Bytes of that bio_vec that are done already.
    pub bvec_done: u32,
    /// Bytes.
    pub size: u32,
    /// `bi_opf`.
    pub opf: u32,
    /// The device, major << 20 | minor.
    pub dev: u32,
}

/// Who submits it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Submitter {
    pub slot: Slot,
    /// The run that a worker is in. Of a task whose bio was held back, the system
    /// call.
    pub flush: FlushId,
    /// The partition that the bio has left behind; 0 where it says so itself.
    pub partition: u32,
    pub kthread: bool,
    /// It is not the current task.
    pub absent: bool,
    /// It is jbd2, which writes a journal's log.
    pub is_log: bool,
}

impl Submitter {
    /// Who handed the bio to the block layer: the current task, or one whose bio
    /// was held back.
    #[inline(always)]
    fn of(current: &Current, bio: Typed, size: u32, control: &Control) -> Submitter {
        // SAFETY: map values; the memory is this CPU's and only this program's.
        let (last, kthread) = unsafe { (&mut *current.last, is_kthread(current.owner)) };
        // SAFETY: as above.
        let is_log = unsafe { is_journal(current.owner) };
        last.submitter = Submitter {
            slot: current.slot,
            kthread,
            flush: match kthread {
                // SAFETY: as above.
                true => FlushId(unsafe { (*current.owner).flush }).running(),
                false => FlushId::NONE,
            },
            partition: remapped::take(current, bio),
            absent: false,
            is_log,
        };
        if kthread && control.held_back != 0 {
            let address = bio.number(&raw mut last.number);
            held_back::take(address, size, &mut last.submitter);
        }
        *anew(&mut last.submitter)
    }

    /// What it writes page cache for, see `FactKey::flush`.
    #[inline(always)]
    pub fn flush(&self, part: &Part) -> u32 {
        if !self.kthread && !self.absent && part.wants_flushes() {
            return syscall().0;
        }
        self.flush.0
    }

    /// Who submits it in the end, and what for. btrfs has its checksum workers submit
    /// the bios of a flusher: they are the flusher's.
    #[inline(always)]
    fn on_behalf_of(&self, charged: &Charged, part: &Part) -> (Slot, u32) {
        const READ: u32 = Class::Read as u32;
        const STACKED: u32 = Class::Stacked as u32;
        const DIRECT: u32 = Class::Direct as u32;
        match charged.charge.class() {
            READ | STACKED => return (self.slot, self.flush.0),
            // A reason by itself.
            DIRECT => return (self.slot, FlushId::NONE.0),
            _ => {}
        }
        if self.may_be_for_a_flusher(part)
            && let Some((worker, flush)) = flush::of_inode(&charged.known)
        {
            return (worker, flush.0);
        }
        (self.slot, self.flush(part))
    }

    /// Whether it may be for a flusher that it submits.
    #[inline(always)]
    pub fn may_be_for_a_flusher(&self, part: &Part) -> bool {
        self.kthread && self.flush == FlushId::NONE && part.wants_flushes()
    }
}

// Which of the programs on `block_bio_queue`, in the order in which they meet a bio.
const FIRST: u32 = 0;
const AGAIN: u32 = 1;
const AT_LAST: u32 = TURNS - 1;

/// Fires once for each bio and each device it passes, before it is split. What
/// enters at the top adds up to `pgpgin` and `pgpgout`.
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_submitted(ctx: BtfTracePointContext) -> i32 {
    submitted_and_walked::<FIRST>(Typed::arg(&ctx, 0));
    0
}

/// Comes after it where a task may be preempted inside of a tracepoint: the
/// kernel then keeps `bio_submitted` from other tasks' bios on that CPU.
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_submitted_again(ctx: BtfTracePointContext) -> i32 {
    submitted_and_walked::<AGAIN>(Typed::arg(&ctx, 0));
    0
}

/// Comes after both, for other tasks may have been preempted inside of both. It
/// walks over no pages, so that hardly any task ever is inside of this one; their
/// tags stay as they are.
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_submitted_at_last(ctx: BtfTracePointContext) -> i32 {
    submitted::<LARGE, AT_LAST>(Typed::arg(&ctx, 0));
    0
}

/// The same before 5.18.
#[btf_tracepoint(function = "block_bio_queue")]
pub fn bio_of_pages_submitted(ctx: BtfTracePointContext) -> i32 {
    if once::enter() {
        if layout!(bio_arg) == 0 {
            submitted_of_pages(Typed::arg_of::<0>(&ctx));
        } else {
            submitted_of_pages(Typed::arg_of::<1>(&ctx));
        }
        walk::all_by_calls();
        once::leave();
    }
    0
}

#[inline(always)]
fn submitted_and_walked<const TURN: u32>(bio: Typed) {
    if submitted_of_folios::<TURN>(bio) {
        walk::all::<TURN>();
    }
}

/// Apart from the walk: together they exceed the stack.
#[inline(never)]
fn submitted_of_folios<const TURN: u32>(bio: Typed) -> bool {
    submitted::<LARGE, TURN>(bio) == Some(Walk::Begun)
}

/// The same.
#[inline(never)]
fn submitted_of_pages(bio: Typed) {
    submitted::<SINGLE, FIRST>(bio);
}

/// What is left to be done of a bio.
#[derive(PartialEq, Eq)]
enum Walk {
    /// Nothing.
    Done,
    /// Its pages are to be walked over.
    Begun,
}

#[inline(always)]
fn submitted<const FOLIOS: bool, const TURN: u32>(bio: Typed) -> Option<Walk> {
    let opf: u32 = bio.field(layout!(bio_bi_opf));
    let size: u32 = bio.field(layout!(bio_bi_size));
    if !is_counted(opf, size) {
        return None;
    }
    let current = owners::current(match TURN {
        FIRST => Asker::Submitted,
        AGAIN => Asker::SubmittedAgain,
        _ => Asker::SubmittedAtLast,
    })?;
    if FOLIOS == LARGE && layout!(preemptible) != 0 && is_taken::<TURN>(&current, bio) {
        return None;
    }
    let control = control();
    let submitter = Submitter::of(&current, bio, size, &control);
    let dev = match submitter.partition {
        0 => device(bio),
        partition => partition,
    };
    // BIO_CLONED says nothing: btrfs clones the bios of its mirrors, and those
    // enter at the top.
    let stacked = control.lower_devices != 0 && is_lower(dev);
    let class = match (opf & REQ_OP_MASK, stacked) {
        (REQ_OP_READ, true) => return None,
        (REQ_OP_READ, false) => Class::Read,
        (_, true) => Class::Stacked,
        (_, false) => Class::Exact,
    };
    let part = Part::of(control, TURN)?;
    part.total(class, u64::from(size));
    // SAFETY: a map value of this CPU, and only this program's.
    let last = unsafe { &mut *current.last };
    let io_vec = bio.pointer(layout!(bio_bi_io_vec));
    let idx: u32 = bio.field(layout!(bio_bi_idx));
    let bvec_done: u32 = bio.field(layout!(bio_bi_bvec_done));
    let bio = Bio {
        bvec: io_vec.number(&raw mut last.number) + u64::from(idx * layout!(bvec_size)),
        bvec_done,
        size,
        opf,
        dev,
    };
    let first = (idx == 0).then(|| FirstPage::of(io_vec, &mut last.number));
    match (class, first) {
        (Class::Read, _) => {
            // A read belongs to whoever submits it, and to its first page's file.
            let ino = first.and_then(|page| page.ino(&mut last.number));
            last.charged.is(Charge::to(submitter.slot, class));
            last.charged.known.ino = ino.unwrap_or(0);
        }
        (Class::Stacked, _) => {
            last.charged.is(Charge::to(SLOT_NONE, class));
        }
        // No more than one page: the most frequent write, without a loop.
        (_, Some(page)) if bvec_done == 0 && page.holds(size) => {
            if charge_page(&part, &bio, &submitter, &page, last).is_none() {
                last.charged.is(Charge::UNKNOWN);
            }
        }
        _ if TURN == AT_LAST => charge_by_kind(&part, &bio, &submitter, first, last),
        _ => {
            walk::begin::<TURN>(&part, &bio, &submitter, last.mapping)?;
            return Some(Walk::Begun);
        }
    }
    let charged = anew(&mut last.charged);
    let (submitter, flush) = submitter.on_behalf_of(charged, &part);
    part.turn_to(&FactKey {
        ino: charged.known.ino,
        dev,
        class: charged.charge.class(),
        owner: charged.charge.owner(),
        submitter,
        flush,
        file: charged.known.file,
    });
    let fact = part.fact();
    fact.bytes += u64::from(size);
    fact.bios += 1;
    if charged.taken != Tag::NONE {
        part.waited(1, charged.taken.age(now()));
        Place::of(charged.known.mapping)?.sub(1);
    }
    Some(Walk::Done)
}

/// pgpgin and pgpgout count reads and writes; an empty write is a cache flush.
#[inline(always)]
pub fn is_counted(opf: u32, size: u32) -> bool {
    opf & REQ_OP_MASK <= REQ_OP_WRITE && size != 0
}

/// Whether another program takes a bio: each leaves word in the task's slot, and
/// those that come later look. Without a slot of its own, which a task may get
/// from one program to the next, the last one takes it.
#[inline(always)]
fn is_taken<const TURN: u32>(current: &Current, bio: Typed) -> bool {
    if current.slot < SLOT_FIRST {
        return TURN != AT_LAST;
    }
    let mark = remapped::mark(current, bio);
    // SAFETY: a map value; nobody but the task itself writes this field.
    let submitted = unsafe { &mut (*current.owner).submitted };
    let before = *submitted;
    *submitted = mark | TURN;
    if TURN == FIRST {
        return false;
    }
    // Word of this program, or of one after it, is of a bio before this one.
    if (mark..mark | TURN).contains(&before) {
        return true;
    }
    lose(Lost::Recovered, 1);
    false
}

/// The device of a bio.
#[inline(always)]
fn device(bio: Typed) -> u32 {
    if layout!(bio_bi_bdev) != 0 {
        let bdev = bio.pointer(layout!(bio_bi_bdev));
        return bdev.field(layout!(bdev_bd_dev));
    }
    let disk = bio.pointer(layout!(bio_bi_disk));
    let major: u32 = disk.field(layout!(disk_major));
    major << 20 | disk.field::<u32>(layout!(disk_first_minor))
}

/// The system call that the current task is in.
#[inline(always)]
pub fn syscall() -> FlushId {
    if layout!(regs_syscall) == 0 {
        return FlushId::NONE;
    }
    if layout!(task_stack_vm_area) != 0 {
        return syscall_on_stack().unwrap_or(FlushId::NONE);
    }
    // SAFETY: the helpers take the current task, which is alive.
    let regs = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) };
    let regs = Typed::from_helper(regs as *const u8);
    FlushId::syscall(regs.field(layout!(regs_syscall)))
}

/// The same without the helper: the registers with which a task entered the
/// kernel lie at the top of its stack (`task_pt_regs`).
#[inline(always)]
fn syscall_on_stack() -> Option<FlushId> {
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    let area = read::<u64>(task, layout!(task_stack_vm_area))?;
    let pages = read::<u32>(area, layout!(vm_nr_pages))?;
    let stack = read::<u64>(task, layout!(task_stack))?;
    let top = stack + (u64::from(pages) << layout!(page_shift));
    let regs = top - u64::from(layout!(regs_size));
    Some(FlushId::syscall(read(regs, layout!(regs_syscall))?))
}

#[inline(always)]
fn is_lower(dev: u32) -> bool {
    // SAFETY: only its presence is asked for.
    unsafe { LOWER_DEVICES.get(dev) }.is_some()
}

/// The page of the first bio_vec, reached by pointers that the verifier knows.
#[derive(Clone, Copy)]
struct FirstPage {
    page: Typed,
    address: u64,
    offset: u32,
}

impl FirstPage {
    #[inline(always)]
    fn of(io_vec: Typed, number: &mut u64) -> FirstPage {
        let page = io_vec.pointer(layout!(bvec_bv_page));
        FirstPage {
            page,
            address: page.number(&raw mut *number),
            offset: io_vec.field(layout!(bvec_bv_offset)),
        }
    }

    /// Whether so many bytes lie within this page.
    #[inline(always)]
    fn holds(&self, size: u32) -> bool {
        let page_size = 1 << layout!(page_shift);
        size <= page_size && self.offset <= page_size - size
    }

    /// The host of the page's own mapping, where it is a folio's first page.
    #[inline(always)]
    fn inode(&self) -> TypedInode {
        let mapping = self.page.pointer(layout!(page_mapping));
        TypedInode::of(mapping)
    }

    #[inline(always)]
    fn ino(&self, number: &mut u64) -> Option<u64> {
        Inode::around(Folio::of_typed(self.page, self.address, number)?.mapping)?.ino()
    }

    /// What it is, and its file, see [`charge::look`].
    #[inline(always)]
    fn look(&self, known: &mut Known, number: &mut u64) -> Option<u32> {
        let folio = Folio::of_typed(self.page, self.address, number)?;
        charge::look(&folio, known)
    }
}

/// To whom a bio is charged.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Charged {
    charge: Charge,
    known: Known,
    /// The live tag that was taken.
    taken: Tag,
}

impl Charged {
    /// All of it is charged to this, of no file.
    #[inline(always)]
    fn is(&mut self, charge: Charge) {
        clear(&mut self.known);
        self.charge = charge;
        self.taken = Tag::NONE;
    }
}

/// A write of one page, by its tag. `None`: kernel memory could not be read.
#[inline(always)]
fn charge_page(
    part: &Part,
    bio: &Bio,
    submitter: &Submitter,
    page: &FirstPage,
    last: &mut Last,
) -> Option<()> {
    let folio = Folio::of_typed(page.page, page.address, &mut last.number)?;
    last.charged.known = Known::mapping(last.mapping, part.wants_flushes());
    if folio.mapping == last.mapping && folio.head == page.address {
        page.inode().tell(&mut last.charged.known);
    }
    let what = charge::look(&folio, &mut last.charged.known)?;
    last.mapping = last.charged.known.mapping;
    let (charge, taken) = match what {
        CACHE | JOURNALLED => {
            let now = now();
            let keep = what == JOURNALLED && submitter.is_log;
            let by_tag = charge::by_tag(page.address, folio.mapping, keep, now)?;
            let is_shared = folio.nr_pages() > 1
                && Place::of(folio.mapping).is_some_and(|place| place.folios().knows_whole_only());
            match is_shared {
                true => (by_tag.charge.shared(), by_tag.taken),
                false => (by_tag.charge, by_tag.taken),
            }
        }
        BUFFER => (Charge::METADATA, Tag::NONE),
        _ => (Charge::of_other(bio, submitter), Tag::NONE),
    };
    last.charged.charge = charge;
    last.charged.taken = taken;
    Some(())
}

/// A write by what its first page is, which the others are too: without a loop, and
/// without the tags that tell whose page cache is.
#[inline(always)]
fn charge_by_kind(
    part: &Part,
    bio: &Bio,
    submitter: &Submitter,
    first: Option<FirstPage>,
    last: &mut Last,
) {
    last.charged.known = Known::mapping(0, part.wants_flushes());
    let what = first.and_then(|page| page.look(&mut last.charged.known, &mut last.number));
    last.charged.charge = match what {
        Some(OTHER) => Charge::of_other(bio, submitter),
        Some(BUFFER) => Charge::METADATA,
        _ => Charge::UNKNOWN,
    };
    last.charged.taken = Tag::NONE;
}
