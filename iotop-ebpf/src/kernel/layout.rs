//! The layout of the running kernel's structures.

use iotop_common::Layout;

/// The user half sets it before it loads the object; then it is frozen.
#[unsafe(no_mangle)]
pub static LAYOUT: Layout = Layout {
    page_struct_shift: 6,
    page_shift: 12,
    ..ZERO
};
const ZERO: Layout = {
    // SAFETY: `Layout` is a struct of integers; all zeroes is a value of it.
    unsafe { core::mem::zeroed() }
};

/// One field of [`LAYOUT`]. The read is volatile, so the compiler can't use the value
/// in the source. The verifier knows the real one.
macro_rules! layout {
    ($field:ident) => {{
        // SAFETY: the field of a static is valid and aligned.
        unsafe { core::ptr::read_volatile(&raw const crate::kernel::layout::LAYOUT.$field) }
    }};
}
pub(crate) use layout;
