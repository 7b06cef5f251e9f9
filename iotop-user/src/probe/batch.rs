//! Batched map calls, which aya does not have.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{Pod, maps::MapData};

use super::bpf;

/// `BPF_MAP_LOOKUP_AND_DELETE_BATCH` of include/uapi/linux/bpf.h (5.6).
const BPF_MAP_LOOKUP_AND_DELETE_BATCH: libc::c_long = 25;

/// `struct { ... } batch` of `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Takes everything out of a hash map, `chunk` elements a call.
///
/// # Errors
///
/// The kernel's answer. `ENOSPC` (a bucket with more than `chunk` elements)
/// is answered here with a larger chunk.
pub fn drain<K: Pod + Default, V: Pod + Default>(
    map: &MapData,
    chunk: usize,
) -> io::Result<Vec<(K, V)>> {
    let mut drained = Vec::new();
    let mut chunk = chunk;
    let mut keys = vec![K::default(); chunk];
    let mut values = vec![V::default(); chunk];
    // The kernel keeps its place in four bytes for a hash map.
    let mut place = 0u32;
    let mut started = false;
    loop {
        let mut next = 0u32;
        let mut attr = BatchAttr {
            in_batch: if started {
                (&raw const place) as u64
            } else {
                0
            },
            out_batch: (&raw mut next) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: chunk as u32,
            map_fd: map.fd().as_fd().as_raw_fd().cast_unsigned(),
            ..BatchAttr::default()
        };
        // SAFETY: the attribute points to buffers of `count` keys and values
        // of the map's own sizes (`K` and `V` are the types it was declared
        // with), all alive during the call.
        let error = unsafe { bpf::call(BPF_MAP_LOOKUP_AND_DELETE_BATCH, &mut attr) }.err();
        match error.as_ref().and_then(io::Error::raw_os_error) {
            None | Some(libc::ENOENT) => {
                let count = attr.count as usize;
                drained.extend(keys.iter().copied().zip(values.iter().copied()).take(count));
                if error.is_some() {
                    return Ok(drained);
                }
                started = true;
                place = next;
            }
            Some(libc::ENOSPC) if chunk < 1 << 16 => {
                chunk *= 2;
                keys.resize(chunk, K::default());
                values.resize(chunk, V::default());
            }
            Some(libc::EINTR) => {}
            Some(_) => return error.map_or(Ok(drained), Err),
        }
    }
}
