//! How much memory a function takes: the allocator of the unit tests counts for each thread.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    /// Bytes that this thread has allocated and not freed. Negative if it freed what another
    /// thread allocated.
    static NOW: Cell<isize> = const { Cell::new(0) };
    /// The largest value of `NOW` since the last call of [`most`].
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// The most bytes that a function has allocated at one time.
pub fn most(function: impl FnOnce()) -> usize {
    let before = NOW.get();
    MOST.set(before);
    function();
    usize::try_from(MOST.get() - before).unwrap_or(0)
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// `Layout::size` never exceeds `isize::MAX`.
fn changed(by: isize) {
    let now = NOW.get().wrapping_add(by);
    NOW.set(now);
    MOST.set(MOST.get().max(now));
}

// SAFETY: every call goes to the system's allocator as it is. The cells need no memory and have
// no destructor, so counting neither allocates nor fails.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        changed(layout.size().cast_signed());
        // SAFETY: the caller keeps the rules of this function, which are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        changed(layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        changed(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        changed(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[test]
fn the_most_is_counted_even_if_it_is_freed_again() {
    let taken = most(|| {
        drop(Vec::<u8>::with_capacity(1 << 20));
        drop(Vec::<u8>::with_capacity(1 << 10));
    });
    assert_eq!(taken, 1 << 20);
}
