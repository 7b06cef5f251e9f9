//! Records of the kernel half, as bytes.

use aya::Pod;

/// Reads a record; `None` where there are not enough bytes.
pub(super) fn plain<T: Pod>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: there are enough bytes, and every bit pattern is a value of a
    // `Pod`.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
