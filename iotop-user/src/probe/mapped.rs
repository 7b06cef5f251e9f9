//! Array maps that are mapped into our memory (`BPF_F_MMAPABLE`, 5.5) and read without a
//! system call.

use std::{
    io,
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use aya::{Pod, maps::MapData};

/// A view of an array map. The kernel half may write to it at any time.
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
    /// mmap(2) failed.
    pub fn new(map: &MapData, length: usize) -> io::Result<Mapped<T>> {
        Mapped::part(map, 0, length)
    }

    /// Maps `length` values from `first` on, which begins a page of memory.
    ///
    /// # Errors
    ///
    /// mmap(2) failed.
    pub fn part(map: &MapData, first: usize, length: usize) -> io::Result<Mapped<T>> {
        const { assert!(size_of::<T>().is_multiple_of(8) || size_of::<T>() == 4) };
        let bytes = length * size_of::<T>();
        let offset = libc::off_t::try_from(first * size_of::<T>()).map_err(io::Error::other)?;
        // SAFETY: a new mapping of the map's descriptor, at an address that the kernel chooses.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                offset,
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

    /// A copy of one element. Each word is consistent, but the words may be from different
    /// moments.
    pub fn get(&self, index: usize) -> Option<T> {
        // SAFETY: the index is within the mapping, every bit pattern is a valid `Pod`, and
        // the volatile read tells the compiler that the kernel writes too.
        (index < self.length).then(|| unsafe { self.start.as_ptr().add(index).read_volatile() })
    }

    /// Writes two bytes of an element, at a byte offset from its start.
    pub fn set_u16(&self, index: usize, offset: usize, value: u16) {
        assert!(
            offset + size_of::<u16>() <= size_of::<T>() && offset.is_multiple_of(align_of::<u16>())
        );
        if index < self.length {
            // SAFETY: the index is within the mapping and the aligned bytes
            // within the element.
            unsafe {
                let element = self.start.as_ptr().add(index);
                element.byte_add(offset).cast::<u16>().write_volatile(value);
            }
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Adds to a counter of an element, at a byte offset from its start.
    pub fn add(&self, index: usize, offset: usize, n: u64) {
        assert!(
            offset + size_of::<u64>() <= size_of::<T>() && offset.is_multiple_of(align_of::<u64>())
        );
        if index < self.length {
            // SAFETY: the index is within the mapping and the aligned word within the
            // element. The kernel half changes it by atomic additions only.
            let counter = unsafe {
                let element = self.start.as_ptr().add(index);
                AtomicU64::from_ptr(element.byte_add(offset).cast())
            };
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new`, and nothing uses it after the drop.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

impl Mapped<u32> {
    /// Replaces `old` by `new`, unless the kernel half has written another value
    /// meanwhile. True if it was replaced.
    pub fn replace(&self, index: usize, old: u32, new: u32) -> bool {
        if index >= self.length {
            return false;
        }
        // SAFETY: the index is within the mapping. Its words are aligned, and our side
        // uses only atomic or volatile accesses.
        let word = unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(index)) };
        word.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    /// The elements that are not 0, with their indices. Most elements are 0, so two are
    /// read at a time.
    pub fn nonzero(&self) -> impl Iterator<Item = (usize, u32)> {
        let pairs = self.start.as_ptr().cast::<u64>();
        (0..self.length / 2)
            // SAFETY: the pair is within the mapping, which starts at a page boundary; the
            // volatile read tells the compiler that the kernel writes too.
            .filter(move |pair| unsafe { pairs.add(*pair).read_volatile() } != 0)
            .flat_map(|pair| [2 * pair, 2 * pair + 1])
            .filter_map(|index| Some((index, self.get(index)?)))
            .filter(|(_, element)| *element != 0)
    }
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl<T: Pod> Send for Mapped<T> {}
