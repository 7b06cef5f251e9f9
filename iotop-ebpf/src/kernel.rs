//! Reading the running kernel: its layout, and its memory.

use core::{arch::asm, ffi::c_void};

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_jiffies64, bpf_probe_read_kernel, generated},
    programs::BtfTracePointContext,
};
use iotop_common::{Layout, Lost, Tick};

use crate::count::lose;

/// Set by the user half before the object is loaded, then frozen.
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

/// One field of [`LAYOUT`]. Volatile, so that the compiler can't use the
/// value that stands in the source; the verifier knows the real one.
macro_rules! layout {
    ($field:ident) => {{
        // SAFETY: the field of a static is valid and aligned.
        unsafe { core::ptr::read_volatile(&raw const crate::kernel::LAYOUT.$field) }
    }};
}
pub(crate) use layout;

/// `PF_KTHREAD` and `PF_EXITING` of include/linux/sched.h; macros, not in BTF.
pub const PF_KTHREAD: u32 = 0x0020_0000;
pub const PF_EXITING: u32 = 0x0000_0004;
/// `FS_REQUIRES_DEV` of include/linux/fs.h.
pub const FS_REQUIRES_DEV: u32 = 1;
/// `BDEVFS_MAGIC` and its like of include/uapi/linux/magic.h.
pub const BDEVFS_MAGIC: u64 = 0x6264_6576;
pub const BTRFS_SUPER_MAGIC: u64 = 0x9123_683e;
pub const EXT4_SUPER_MAGIC: u64 = 0xef53;
pub const XFS_SUPER_MAGIC: u64 = 0x5846_5342;
/// `BTRFS_BTREE_INODE_OBJECTID` of include/uapi/linux/btrfs_tree.h.
pub const BTRFS_BTREE_INODE: u64 = 1;

/// Reads kernel memory; counts and returns `None` where that faults.
#[inline(always)]
pub fn read<T>(address: u64, offset: u32) -> Option<T> {
    let value = try_read(address, offset);
    if value.is_none() {
        lose(Lost::Faults, 1);
    }
    value
}

/// Reads from what may be no address at all.
#[inline(always)]
pub fn try_read<T>(address: u64, offset: u32) -> Option<T> {
    // SAFETY: bpf_probe_read_kernel checks the address itself.
    unsafe { bpf_probe_read_kernel(address.wrapping_add(u64::from(offset)) as *const T) }.ok()
}

/// Reads a number from kernel memory; 0 where that faults, which is not counted.
/// Without a branch: the verifier follows both ways of each.
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

/// A piece of kernel memory copied in one go, to be taken apart by offset.
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

/// An argument of a tracepoint, where which one it is depends on the kernel. The
/// verifier wants its place as a constant; of two plain reads the compiler would
/// make one, with a place that it chooses first.
#[inline(always)]
pub fn arg<const N: usize>(ctx: &BtfTracePointContext) -> u64 {
    let arg;
    // SAFETY: the verifier refuses what the tracepoint does not have.
    unsafe {
        asm!("{0} = *(u64 *)({1} + {2})", out(reg) arg, in(reg) ctx.as_ptr(), const N * 8);
    }
    arg
}

/// A pointer whose type the verifier knows: it may be read without a helper,
/// and a fault reads as 0. Only a field's offset may be added to it.
#[derive(Clone, Copy)]
pub struct Typed(*const u8);

impl Typed {
    /// An argument of a BTF tracepoint.
    #[inline(always)]
    pub fn arg(ctx: &BtfTracePointContext, n: usize) -> Typed {
        Typed(ctx.arg(n))
    }

    /// The same where which one it is depends on the kernel.
    #[inline(always)]
    pub fn arg_of<const N: usize>(ctx: &BtfTracePointContext) -> Typed {
        Typed(arg::<N>(ctx) as *const u8)
    }

    /// What a helper returned.
    #[inline(always)]
    pub fn from_helper<T>(pointer: *const T) -> Typed {
        Typed(pointer.cast())
    }

    /// A field.
    #[inline(always)]
    pub fn field<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the verifier checks the type and makes faults read as 0.
        // Volatile, so that reads are not merged into what it does not know.
        unsafe { self.0.add(offset as usize).cast::<T>().read_volatile() }
    }

    /// Whether there is nothing to point to.
    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// A field that is a pointer itself.
    #[inline(always)]
    pub fn pointer(self, offset: u32) -> Typed {
        Typed(self.field(offset))
    }

    /// The address as a plain number, by way of a word in a map value.
    #[inline(always)]
    pub fn number(self, word: *mut u64) -> u64 {
        // SAFETY: the word lies in a map value of this CPU.
        unsafe {
            word.cast::<*const u8>().write_volatile(self.0);
            word.read_volatile()
        }
    }
}

/// The same place, whose content compiler and verifier forget.
#[inline(always)]
pub fn anew<T>(place: &mut T) -> &mut T {
    let mut place: *mut T = place;
    // SAFETY: it does nothing; as far as the compiler knows it may write there.
    unsafe {
        asm!("{0} = {0}", inout(reg) place);
        &mut *place
    }
}

/// Sets all of a value's words to zero. What the compiler calls for that goes by
/// bytes, and the verifier goes with it.
#[inline(always)]
pub fn clear<T>(value: &mut T) {
    const { assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() == 8) };
    let words = (&raw mut *value).cast::<u64>();
    for n in 0..size_of::<T>() / 8 {
        // SAFETY: a word of the value. Volatile, so that they stay words.
        unsafe { words.add(n).write_volatile(0) };
    }
}

/// Copies all of a value's words, for the same reason.
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

/// The tags' clock. The JIT makes it one read of `jiffies_64`.
#[inline(always)]
pub fn now() -> Tick {
    // SAFETY: a helper without arguments.
    Tick((unsafe { bpf_jiffies64() } >> layout!(tick_shift)) as u32)
}
