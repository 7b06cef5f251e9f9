//! Reads the kernel half's records from bytes.

use aya::Pod;

/// Reads a record. `None` if there are too few bytes.
pub(crate) fn plain<T: Pod>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: there are enough bytes, and every bit pattern is a valid `Pod`.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
