//! Reading kernel memory by address.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated};
use iotop_common::Lost;

use crate::counters::lose;

/// Reads kernel memory. A fault is counted and returns `None`.
#[inline(always)]
pub fn read<T>(address: u64, offset: u32) -> Option<T> {
    let value = try_read(address, offset);
    if value.is_none() {
        lose(Lost::Faults, 1);
    }
    value
}

/// Reads from an address that may be invalid. A fault is not counted.
#[inline(always)]
pub fn try_read<T>(address: u64, offset: u32) -> Option<T> {
    // SAFETY: bpf_probe_read_kernel checks the address itself.
    unsafe { bpf_probe_read_kernel(address.wrapping_add(u64::from(offset)) as *const T) }.ok()
}

/// Reads a number from kernel memory. A fault reads as 0 and is not counted. This has
/// no branch: the verifier follows both ways of each branch.
#[inline(always)]
pub fn read_or_zero<T: Default>(address: u64, offset: u32) -> T {
    let mut value = T::default();
    let from = address.wrapping_add(u64::from(offset)) as *const c_void;
    // SAFETY: the helper checks the address itself, writes no more than the value
    // and leaves zeroes where it faults.
    unsafe {
        generated::bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, from);
    }
    value
}

/// A piece of kernel memory, copied at once. Its fields are read by offset.
#[repr(C, align(8))]
pub struct Words<const N: usize>([u64; N]);

impl<const N: usize> Words<N> {
    /// Copies `N` words from `address`.
    #[inline(always)]
    pub fn read(address: u64) -> Option<Self> {
        read::<[u64; N]>(address, 0).map(Words)
    }

    /// The value at a byte offset.
    #[inline(always)]
    pub fn at<T: Copy>(&self, offset: u32) -> T {
        let offset = offset as usize & (N * 8 - 1) & !(size_of::<T>() - 1);
        // SAFETY: `N * 8` is a power of two and `offset` is below it and
        // aligned, so the value lies within the words.
        unsafe { *self.0.as_ptr().cast::<u8>().add(offset).cast::<T>() }
    }
}
