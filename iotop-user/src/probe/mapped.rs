//! Array maps that are mapped into our memory (`BPF_F_MMAPABLE`, 5.5): read
//! without a system call.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering},
};

use aya::{Pod, maps::MapData};

/// A view of an array map. The kernel half writes to it at any time.
pub struct Mapped<T> {
    start: NonNull<T>,
    length: usize,
    bytes: usize,
    _elements: PhantomData<T>,
}

impl<T: Pod> Mapped<T> {
    /// Maps an array of `length` values of type `T`.
    ///
    /// # Errors
    ///
    /// The kernel's answer to mmap(2).
    pub fn new(map: &MapData, length: usize) -> io::Result<Mapped<T>> {
        const { assert!(size_of::<T>().is_multiple_of(8) || size_of::<T>() == 4) };
        let bytes = length * size_of::<T>();
        // SAFETY: a new mapping of a map's fd at an address the kernel chooses.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        match NonNull::new(address.cast::<T>()) {
            Some(start) if address != libc::MAP_FAILED => Ok(Mapped {
                start,
                length,
                bytes,
                _elements: PhantomData,
            }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// A copy of one element. Its words are each whole, but may be of
    /// different moments.
    pub fn get(&self, index: usize) -> Option<T> {
        // SAFETY: the index is within the mapping, every bit pattern is a
        // value of a `Pod`, and volatile tells the compiler that the kernel
        // writes too.
        (index < self.length).then(|| unsafe { self.start.as_ptr().add(index).read_volatile() })
    }

    /// Writes one word of an element, at a byte offset from its start.
    pub fn set_word(&self, index: usize, offset: usize, value: u32) {
        assert!(
            offset + size_of::<u32>() <= size_of::<T>() && offset.is_multiple_of(align_of::<u32>())
        );
        if index < self.length {
            // SAFETY: the index is within the mapping and the aligned word
            // within the element.
            unsafe {
                let element = self.start.as_ptr().add(index);
                element.byte_add(offset).cast::<u32>().write_volatile(value);
            }
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.length
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, which nobody uses any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

impl Mapped<u32> {
    /// Writes `new` in the place of `old`; what the kernel half has written there
    /// since stays.
    pub fn replace(&self, index: usize, old: u32, new: u32) {
        if index < self.length {
            // SAFETY: the index is within the mapping, whose words are aligned and, on
            // our side, accessed by atomic or volatile accesses alone.
            let word = unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(index)) };
            let _ = word.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl<T: Pod> Send for Mapped<T> {}
