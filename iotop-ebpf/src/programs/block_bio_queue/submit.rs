//! Counts a submitted bio: its totals, and its fact where no walk is needed.

use iotop_common::{Class, FactKey, Tag, tag::SLOT_NONE};

use super::{
    first_page::{FirstPage, charge_by_kind, charge_page},
    order::{AGAIN, AT_LAST, FIRST, already_counted},
    submitter::{on_behalf_of, submitter_of},
    walk_state,
};
use crate::{
    kernel::{
        clock::now,
        constants::{REQ_OP_MASK, REQ_OP_READ},
        layout::layout,
        typed::Typed,
        verifier::opaque,
    },
    maps::LOWER_DEVICES,
    model::{
        bio::{Bio, device, is_counted},
        charge::Charge,
        control::control,
        current::current,
        epoch::CpuEpoch,
        folio::LARGE,
        inode::Inode,
        mapping::MappingState,
        nowait::remember_nowait,
        program::Program,
        read_file::file_read,
    },
};

/// What remains to be done for a bio.
#[derive(PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Done,
    /// Its pages must be walked.
    Walk,
}

/// Counts a bio. `FOLIOS` is `LARGE` or `SINGLE`, `ORDER` is the program's place in the
/// order. Returns `None` where the bio is not counted.
#[inline(always)]
pub fn submitted<const FOLIOS: bool, const ORDER: u32>(bio: Typed) -> Option<Next> {
    let opf: u32 = bio.field(layout!(bio_bi_opf));
    let size: u32 = bio.field(layout!(bio_bi_size));
    if !is_counted(opf, size) {
        return None;
    }
    let program = match ORDER {
        FIRST => Program::BioSubmitted,
        AGAIN => Program::BioSubmittedAgain,
        _ => Program::BioSubmittedAtLast,
    };
    let current = current(program)?;
    if FOLIOS == LARGE && layout!(preemptible) != 0 && already_counted::<ORDER>(&current, bio) {
        return None;
    }
    let control = control();
    let mut submitter = submitter_of(&current, bio, size, &control);
    // A task that needs memory for its commit may swap.
    submitter.commits &= opf & layout!(req_swap) == 0;
    let submitter = submitter;
    let dev = match submitter.partition {
        0 => device(bio),
        partition => partition,
    };
    // BIO_CLONED does not tell copies: btrfs clones the bios of its mirrors, and those
    // enter at the top device.
    let stacked = control.lower_devices != 0 && is_lower(dev);
    let class = match (opf & REQ_OP_MASK, stacked) {
        (REQ_OP_READ, true) => return None,
        (REQ_OP_READ, false) => Class::Read,
        (_, true) => Class::Stacked,
        (_, false) => Class::Exact,
    };
    let epoch = CpuEpoch::of(control, ORDER)?;
    epoch.total(class, u64::from(size));
    // SAFETY: a map value of this CPU, and only this program's.
    let last = unsafe { &mut *current.last };
    let io_vec = bio.pointer(layout!(bio_bi_io_vec));
    let idx: u32 = bio.field(layout!(bio_bi_idx));
    let bvec_done: u32 = bio.field(layout!(bio_bi_bvec_done));
    let private = bio.pointer(layout!(bio_bi_private));
    let typed = bio;
    let bio = Bio {
        bvec: io_vec.address(&raw mut last.scratch) + u64::from(idx * layout!(bvec_size)),
        bvec_done,
        size,
        opf,
        dev,
        private: match opf & layout!(req_meta) {
            0 => 0,
            _ => private.address(&raw mut last.scratch),
        },
    };
    if opf & layout!(req_nowait) != 0 {
        let charge = match class {
            Class::Read => Charge::to(submitter.slot, class),
            Class::Stacked => Charge::to(SLOT_NONE, class),
            _ => Charge::of_other(&bio, &submitter),
        };
        let address = typed.address(&raw mut last.scratch);
        remember_nowait(address, dev, charge.0, submitter.slot);
    }
    let first = (idx == 0).then(|| FirstPage::of(io_vec, &mut last.scratch));
    match (class, first) {
        (Class::Read, _) => {
            // A read is charged to its submitter, and to the file of its first page.
            let mapping = first.and_then(|page| page.mapping(&mut last.scratch));
            last.charged.set(Charge::to(submitter.slot, class));
            last.read_mapping = mapping.unwrap_or(0);
            if ORDER == FIRST {
                file_read(program as u32);
            } else {
                // These bios are few: their files have no path of their own.
                let ino = Inode::around(last.read_mapping).and_then(Inode::ino);
                last.charged.known.ino = ino.unwrap_or(0);
            }
        }
        (Class::Stacked, _) => {
            last.charged.set(Charge::to(SLOT_NONE, class));
        }
        // At most one page: the most frequent write, without a loop.
        (_, Some(page)) if bvec_done == 0 && page.holds(size) => {
            if charge_page(&epoch, &bio, &submitter, &page, last).is_none() {
                last.charged.set(Charge::UNKNOWN);
            }
        }
        _ if ORDER == AT_LAST => charge_by_kind(&epoch, &bio, &submitter, first, last),
        _ => {
            walk_state::begin::<ORDER>(&epoch, &bio, &submitter, last.mapping)?;
            return Some(Next::Walk);
        }
    }
    let charged = opaque(&mut last.charged);
    let (submitter, flush) = on_behalf_of(&submitter, charged, &epoch);
    epoch.switch_to(&FactKey {
        ino: charged.known.ino,
        dev,
        class: charged.charge.class(),
        owner: charged.charge.owner(),
        submitter,
        flush,
        file: charged.known.file,
    });
    let fact = epoch.fact();
    fact.bytes += u64::from(size);
    fact.bios += 1;
    if charged.taken != Tag::NONE {
        epoch.waited(1, charged.taken.age(now()));
        MappingState::of(charged.known.mapping)?.sub(1);
    }
    Some(Next::Done)
}

#[inline(always)]
fn is_lower(dev: u32) -> bool {
    // SAFETY: the value is not read, only its presence is checked.
    unsafe { LOWER_DEVICES.get(dev) }.is_some()
}
