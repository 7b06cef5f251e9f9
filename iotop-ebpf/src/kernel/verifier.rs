//! Code that exists only for the verifier, or against the compiler.

use core::arch::asm;

/// Returns the same reference, but compiler and verifier forget what it points to.
#[inline(always)]
pub fn opaque<T>(value: &mut T) -> &mut T {
    let mut value: *mut T = value;
    // SAFETY: no effect; as far as the compiler knows the value may change here.
    unsafe {
        asm!("{0} = {0}", inout(reg) value);
        &mut *value
    }
}

/// Returns the same number, but the compiler forgets what it knows about it. The
/// verifier wants to see the check of an index that the compiler finds superfluous.
#[inline(always)]
pub fn opaque_index(mut index: usize) -> usize {
    // SAFETY: no effect. A real instruction is needed here: the kernel rejects two
    // source lines at one address.
    unsafe { asm!("{0} = {0}", inout(reg) index) };
    index
}

/// Sets all words of a value to zero. The compiler would call a function that goes
/// byte by byte, and the verifier would follow every byte.
#[inline(always)]
pub fn clear<T>(value: &mut T) {
    const { assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() == 8) };
    let words = (&raw mut *value).cast::<u64>();
    for n in 0..size_of::<T>() / 8 {
        // SAFETY: a word of the value. Volatile, so that the compiler keeps the words.
        unsafe { words.add(n).write_volatile(0) };
    }
}

/// Copies all words of a value, for the same reason.
#[inline(always)]
pub fn copy<T: Copy>(to: &mut T, from: &T) {
    const { assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() == 8) };
    let (to, from) = (
        (&raw mut *to).cast::<u64>(),
        (&raw const *from).cast::<u64>(),
    );
    for n in 0..size_of::<T>() / 8 {
        // SAFETY: a word of each value.
        unsafe { to.add(n).write_volatile(from.add(n).read_volatile()) };
    }
}
