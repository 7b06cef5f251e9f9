//! Bios with `REQ_NOWAIT`. Where such a bio would have to wait, for a free tag of the device
//! for example, it ends with `BLK_STS_AGAIN` and never reaches the device. io_uring submits
//! these bytes again, from a worker that may wait. `block_bio_queue` fires for both bios, and
//! `pgpgout` counts both.

use aya_ebpf::{macros::map, maps::Array};
use iotop_common::{Fact, FactKey};

use super::{charge::Charge, control::control, facts::store_one};

/// A bio, and the fact that it was counted in.
#[repr(C)]
#[derive(Clone, Copy)]
struct Counted {
    /// The bio's address; 0 for none.
    bio: u64,
    key: FactKey,
}

const PLACES_BITS: u32 = 12;

/// The bios that were counted last, each at the place that its address gives. A bio is mostly
/// turned away before its submission returns, so a place is rarely needed by two at once.
#[map]
static COUNTED: Array<Counted> = Array::with_max_entries(1 << PLACES_BITS, 0);

#[inline(always)]
fn place(bio: u64) -> Option<&'static mut Counted> {
    let hash = bio.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES_BITS);
    // SAFETY: a map value. If two CPUs write to one place, the address may not be that of the
    // key; then one bio is taken back from another task's bytes.
    Some(unsafe { &mut *COUNTED.get_ptr_mut(hash as u32)? })
}

/// Remembers how a bio with `REQ_NOWAIT` was counted. A global function, see the crate
/// documentation.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn remember_nowait(bio: u64, dev: u32, charge: u32, submitter: u32) -> u32 {
    if let Some(place) = place(bio) {
        let charge = Charge(charge);
        place.bio = bio;
        place.key = FactKey {
            ino: 0,
            dev,
            class: charge.class(),
            owner: charge.owner(),
            submitter,
            flush: 0,
            file: 0,
        };
    }
    0
}

/// Counts a bio that was turned away, with what was left of it.
#[inline(always)]
pub fn turned_away(bio: u64, size: u32) {
    let Some(place) = place(bio) else { return };
    if place.bio != bio {
        return;
    }
    place.bio = 0;
    let fact = Fact {
        bytes: u64::from(size),
        bios: 1,
        ..Fact::default()
    };
    store_one(control().epoch, &place.key.turned_away(), &fact);
}
