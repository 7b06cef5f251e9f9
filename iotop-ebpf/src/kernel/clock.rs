//! The tags' clock.

use aya_ebpf::helpers::bpf_jiffies64;
use iotop_common::Tick;

use super::layout::layout;

/// The current tick. The JIT turns the helper call into one read of `jiffies_64`.
#[inline(always)]
pub fn now() -> Tick {
    // SAFETY: a helper without arguments.
    Tick((unsafe { bpf_jiffies64() } >> layout!(tick_shift)) as u32)
}
