//! Waiting until no eBPF program still works for the previous epoch.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use super::bpf;

/// Commands and map types of include/uapi/linux/bpf.h.
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;

/// `struct { ... }` of `BPF_MAP_CREATE`, the beginning of it.
#[repr(C)]
#[derive(Default)]
struct CreateAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
}

/// `struct { ... }` of `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
#[derive(Default)]
struct UpdateAttr {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// A map of maps that no program uses: whoever updates one returns when every
/// program that was running has ended (`maybe_wait_bpf_programs` of
/// kernel/bpf/syscall.c, 4.20). membarrier(2) does not wait on a single CPU, where
/// a task may be preempted inside of a program all the same.
pub struct Grace {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl Grace {
    /// # Errors
    ///
    /// The kernel does not make the maps.
    pub fn new() -> io::Result<Grace> {
        let inner = create(BPF_MAP_TYPE_ARRAY, 0)?;
        let outer = create(
            BPF_MAP_TYPE_ARRAY_OF_MAPS,
            inner.as_raw_fd().cast_unsigned(),
        )?;
        Ok(Grace { outer, inner })
    }

    /// Returns when every program that was running at the call has ended.
    ///
    /// # Errors
    ///
    /// The kernel refuses the update.
    pub fn wait(&self) -> io::Result<()> {
        let (key, value) = (0u32, self.inner.as_raw_fd());
        let mut attr = UpdateAttr {
            map_fd: self.outer.as_raw_fd().cast_unsigned(),
            key: (&raw const key) as u64,
            value: (&raw const value) as u64,
            ..UpdateAttr::default()
        };
        // SAFETY: a key and a value of four bytes, as the map has them, alive
        // during the call.
        unsafe { bpf::call(BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
    }
}

/// A map of one element of four bytes.
fn create(map_type: u32, inner_map_fd: u32) -> io::Result<OwnedFd> {
    let mut attr = CreateAttr {
        map_type,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        inner_map_fd,
        ..CreateAttr::default()
    };
    // SAFETY: plain numbers.
    let fd = unsafe { bpf::call(BPF_MAP_CREATE, &mut attr) }?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
