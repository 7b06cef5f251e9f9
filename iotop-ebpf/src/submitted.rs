//! A bio is submitted: charge the owners of its pages.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use iotop_common::{
    Class, Fact, FactKey, Owner, layout::BIO_BYTES, owner::OWNER_KTHREAD, tag::Slot,
};

use crate::{
    count::{control, fact, total},
    inode::Inode,
    kernel::{Words, layout, read},
    maps::LOWER_DEVICES,
    owners,
    page::Folio,
    walk::{self, Bvec},
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
pub struct Submitter {
    pub slot: Slot,
    pub kthread: bool,
}

/// Fires once for each bio and each device it passes, before it is split. What
/// enters at the top adds up to `pgpgin` and `pgpgout`.
#[raw_tracepoint(tracepoint = "block_bio_queue")]
pub fn bio_submitted(ctx: RawTracePointContext) -> i32 {
    let bio = if layout!(bio_arg) == 0 {
        ctx.arg(0)
    } else {
        ctx.arg(1)
    };
    charge(bio);
    0
}

#[inline(always)]
fn charge(bio: u64) -> Option<()> {
    let words = Words::<{ BIO_BYTES as usize / 8 }>::read(bio)?;
    let opf: u32 = words.at(layout!(bio_bi_opf));
    let size: u32 = words.at(layout!(bio_bi_size));
    let op = opf & REQ_OP_MASK;
    // pgpgin and pgpgout count these two; an empty write is a cache flush.
    if op > REQ_OP_WRITE || size == 0 {
        return None;
    }
    let control = control();
    let dev = read::<u32>(words.at(layout!(bio_bi_bdev)), layout!(bdev_bd_dev)).unwrap_or(0);
    // BIO_CLONED says nothing: btrfs clones the bios of its mirrors, and those
    // enter at the top.
    let stacked = control.lower_devices != 0 && is_lower(dev);
    if op == REQ_OP_READ && stacked {
        return None;
    }
    let idx: u32 = words.at(layout!(bio_bi_idx));
    let bio = Bio {
        bvec: words.at::<u64>(layout!(bio_bi_io_vec)) + u64::from(idx * layout!(bvec_size)),
        bvec_done: words.at(layout!(bio_bi_bvec_done)),
        size,
        opf,
        dev,
    };
    let (slot, owner) = owners::current()?;
    let submitter = Submitter {
        slot,
        kthread: is_kthread(owner),
    };
    if op == REQ_OP_READ {
        charge_read(control.epoch, &bio, &submitter);
    } else if stacked {
        charge_whole(control.epoch, Class::Stacked, 0, 0, &bio, &submitter);
    } else {
        total(control.epoch, Class::Exact, u64::from(size));
        walk::pages(control.epoch, &bio, &submitter);
    }
    Some(())
}

#[inline(always)]
fn is_kthread(owner: *const Owner) -> bool {
    // SAFETY: a map value; the flag is set before the slot is handed out.
    unsafe { (*owner).flags & OWNER_KTHREAD != 0 }
}

#[inline(always)]
fn is_lower(dev: u32) -> bool {
    // SAFETY: only its presence is asked for.
    unsafe { LOWER_DEVICES.get(dev) }.is_some()
}

/// A read belongs to whoever submits it, and to the file of its first page.
#[inline(always)]
fn charge_read(epoch: u32, bio: &Bio, submitter: &Submitter) {
    let ino = first_inode(bio).unwrap_or(0);
    charge_whole(epoch, Class::Read, submitter.slot, ino, bio, submitter);
}

#[inline(always)]
fn first_inode(bio: &Bio) -> Option<u64> {
    let mapping = Folio::of(Bvec::read(bio.bvec)?.page)?.mapping;
    if !walk::is_page_cache(mapping) {
        return None;
    }
    Inode::of(mapping).map(|inode| inode.ino)
}

#[inline(always)]
fn charge_whole(epoch: u32, class: Class, owner: Slot, ino: u64, bio: &Bio, submitter: &Submitter) {
    let bytes = u64::from(bio.size);
    total(epoch, class, bytes);
    let key = FactKey {
        ino,
        dev: bio.dev,
        class: class as u32,
        owner,
        submitter: submitter.slot,
    };
    let value = Fact {
        bytes,
        bios: 1,
        ..Fact::default()
    };
    fact(epoch, &key, &value);
}
