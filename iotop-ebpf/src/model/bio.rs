//! Bios: their fields, and which of them count.

use super::metadata::{IDLE, KTHREAD, META};
use crate::kernel::{
    constants::{REQ_OP_MASK, REQ_OP_WRITE},
    layout::layout,
    typed::Typed,
};

/// The fields of a bio that are needed to charge it.
pub struct Bio {
    /// The address of the current bio_vec.
    pub bvec: u64,
    /// The bytes of that bio_vec that are done already.
    pub bvec_done: u32,
    /// The bytes left in the bio.
    pub size: u32,
    /// `bi_opf`.
    pub opf: u32,
    /// The device, major << 20 | minor.
    pub dev: u32,
    /// `bi_private` of a bio with `REQ_META`; else 0.
    pub private: u64,
}

impl Bio {
    /// The bits that [`super::metadata::page_without_data`] wants besides the page's kind.
    #[inline(always)]
    pub fn bits(&self, kthread: bool) -> u32 {
        let mut bits = 0;
        if self.opf & layout!(req_meta) != 0 {
            bits |= META;
        }
        if self.opf & layout!(req_idle) != 0 {
            bits |= IDLE;
        }
        if kthread {
            bits |= KTHREAD;
        }
        bits
    }
}

/// Whether a bio is part of `pgpgin` or `pgpgout`. These count reads and writes; an
/// empty write is a cache flush.
#[inline(always)]
pub fn is_counted(opf: u32, size: u32) -> bool {
    opf & REQ_OP_MASK <= REQ_OP_WRITE && size != 0
}

/// Whether `block_bio_queue` has already fired for a bio. The rest of a bio that was
/// split passes the same hooks again, but `block_bio_queue` does not fire for it.
#[inline(always)]
pub fn is_queued(bio: Typed) -> bool {
    u32::from(bio.field::<u16>(layout!(bio_bi_flags))) & layout!(bio_queued) != 0
}

/// The device of a bio.
#[inline(always)]
pub fn device(bio: Typed) -> u32 {
    if layout!(bio_bi_bdev) != 0 {
        let bdev = bio.pointer(layout!(bio_bi_bdev));
        return bdev.field(layout!(bdev_bd_dev));
    }
    let disk = bio.pointer(layout!(bio_bi_disk));
    let major: u32 = disk.field(layout!(disk_major));
    major << 20 | disk.field::<u32>(layout!(disk_first_minor))
}
