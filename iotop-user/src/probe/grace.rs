//! Waits until no eBPF program still counts for the epoch that has ended.

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

/// The first fields of the struct that `BPF_MAP_CREATE` takes.
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

/// The struct that `BPF_MAP_UPDATE_ELEM` takes.
#[repr(C)]
#[derive(Default)]
struct UpdateAttr {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// A map of maps that no program uses. An update of a map of maps returns only after
/// every program that was running has ended (`maybe_wait_bpf_programs` of
/// kernel/bpf/syscall.c, 4.20). membarrier(2) would not do: it does not wait on a
/// machine with a single CPU, where a task may also be preempted inside a program.
pub struct Grace {
    outer: OwnedFd,
    inner: OwnedFd,
}

impl Grace {
    /// # Errors
    ///
    /// The kernel refuses to create the maps.
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
        // SAFETY: the attribute points to a key and a value of four bytes, as the map
        // expects; both live until the call returns.
        unsafe { bpf::call(BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
    }
}

/// Creates a map with one element of four bytes.
fn create(map_type: u32, inner_map_fd: u32) -> io::Result<OwnedFd> {
    let mut attr = CreateAttr {
        map_type,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        inner_map_fd,
        ..CreateAttr::default()
    };
    // SAFETY: the attribute holds numbers only, no pointers.
    let fd = unsafe { bpf::call(BPF_MAP_CREATE, &mut attr) }?;
    // SAFETY: the kernel has just returned this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
