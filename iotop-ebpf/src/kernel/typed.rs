//! Pointers whose type the verifier knows.

use core::arch::asm;

use aya_ebpf::{EbpfContext as _, programs::BtfTracePointContext};

/// The argument with number `N`, for a tracepoint whose order of arguments depends on the
/// kernel. The verifier wants a constant offset. From two plain reads the compiler
/// would make one, with an offset that it chooses first.
#[inline(always)]
pub fn arg<const N: usize>(ctx: &BtfTracePointContext) -> u64 {
    let arg;
    // SAFETY: the verifier refuses an argument that the tracepoint does not have.
    unsafe {
        asm!("{0} = *(u64 *)({1} + {2})", out(reg) arg, in(reg) ctx.as_ptr(), const N * 8);
    }
    arg
}

/// A pointer whose type the verifier knows. A program may read through it without a
/// helper, and a fault reads as 0. Only a field's offset may be added to it.
///
/// A pointer that may be null must be checked before it is read through. Before 5.12 the read
/// is a page fault at a user's address: the kernel takes the task's `mmap_lock` and may
/// schedule, in the middle of the program (`do_user_addr_fault` of arch/x86/mm/fault.c).
#[derive(Clone, Copy)]
pub struct Typed(*const u8);

impl Typed {
    /// An argument of a BTF tracepoint.
    #[inline(always)]
    pub fn arg(ctx: &BtfTracePointContext, n: usize) -> Typed {
        Typed(ctx.arg(n))
    }

    /// An argument whose number depends on the kernel, see [`arg`].
    #[inline(always)]
    pub fn arg_of<const N: usize>(ctx: &BtfTracePointContext) -> Typed {
        Typed(arg::<N>(ctx) as *const u8)
    }

    /// A pointer from a helper, or from the context of another kind of program.
    #[inline(always)]
    pub fn new<T>(pointer: *const T) -> Typed {
        Typed(pointer.cast())
    }

    /// A field.
    #[inline(always)]
    pub fn field<T: Copy>(self, offset: u32) -> T {
        // SAFETY: the verifier checks the type and makes faults read as 0. Volatile,
        // so that the compiler does not merge reads into one that the verifier does
        // not know.
        unsafe { self.0.add(offset as usize).cast::<T>().read_volatile() }
    }

    /// Whether the pointer is null.
    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// A field that is itself a pointer.
    #[inline(always)]
    pub fn pointer(self, offset: u32) -> Typed {
        Typed(self.field(offset))
    }

    /// The address as a plain number: the verifier allows no arithmetic on a typed
    /// pointer. The pointer is stored in `scratch`, a word of a map value, and read
    /// back as a number.
    #[inline(always)]
    pub fn address(self, scratch: *mut u64) -> u64 {
        // SAFETY: the word lies in a map value of this CPU.
        unsafe {
            scratch.cast::<*const u8>().write_volatile(self.0);
            scratch.read_volatile()
        }
    }
}
