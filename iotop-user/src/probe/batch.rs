//! Batched map calls, which aya does not offer.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
};

use aya::{Pod, maps::MapData};

use super::bpf;

/// `BPF_MAP_LOOKUP_AND_DELETE_BATCH` of include/uapi/linux/bpf.h (5.6).
const BPF_MAP_LOOKUP_AND_DELETE_BATCH: libc::c_long = 25;

/// The member `batch` of `union bpf_attr`.
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

/// Removes and returns all elements of a hash map, `chunk` elements in each call.
///
/// # Errors
///
/// The map call failed. `ENOSPC` means that a bucket has more than `chunk` elements;
/// the call is then repeated with a larger chunk, up to 65,536.
pub fn drain<K: Pod + Default, V: Pod + Default>(
    map: &MapData,
    chunk: usize,
) -> io::Result<Vec<(K, V)>> {
    let mut drained = Vec::new();
    let mut chunk = chunk;
    let mut keys = vec![K::default(); chunk];
    let mut values = vec![V::default(); chunk];
    // For a hash map, the kernel's batch cursor has four bytes.
    let mut cursor = 0u32;
    let mut started = false;
    loop {
        let mut next_cursor = 0u32;
        let mut attr = BatchAttr {
            in_batch: if started {
                (&raw const cursor) as u64
            } else {
                0
            },
            out_batch: (&raw mut next_cursor) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: chunk as u32,
            map_fd: map.fd().as_fd().as_raw_fd().cast_unsigned(),
            ..BatchAttr::default()
        };
        // SAFETY: the attribute points to buffers for `count` keys and values. `K` and
        // `V` are the types that the map was declared with, and the buffers live until
        // the call returns.
        let error = unsafe { bpf::call(BPF_MAP_LOOKUP_AND_DELETE_BATCH, &mut attr) }.err();
        match error.as_ref().and_then(io::Error::raw_os_error) {
            None | Some(libc::ENOENT) => {
                let count = attr.count as usize;
                drained.extend(keys.iter().copied().zip(values.iter().copied()).take(count));
                if error.is_some() {
                    return Ok(drained);
                }
                started = true;
                cursor = next_cursor;
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
