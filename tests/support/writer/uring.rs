//! Direct I/O by io_uring, as deep as a database does it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::thread;

use anyhow::{Result, ensure};
use io_uring::{IoUring, opcode, types::Fd};

use super::PAGE;

/// Each of some threads writes its part of a file in pages, `depth` at a time.
pub fn write(file: &File, len: usize, depth: u32, threads: usize) -> Result<()> {
    let part = len / threads;
    thread::scope(|scope| {
        let write = |number| scope.spawn(move || write_part(file, number * part, part, depth));
        let running: Vec<_> = (0..threads).map(write).collect();
        for thread in running {
            thread.join().expect("a writer's thread panicked")?;
        }
        Ok(())
    })
}

fn write_part(file: &File, start: usize, len: usize, depth: u32) -> Result<()> {
    let buffer = vec![0x5a; 2 * PAGE];
    let aligned = &buffer[buffer.as_ptr().align_offset(PAGE)..][..PAGE];
    let mut ring = IoUring::new(depth)?;
    // First every second page, then the others: bios of neighbours would become one request.
    let every_second = |from| (from..start + len).step_by(2 * PAGE);
    let offsets = every_second(start).chain(every_second(start + PAGE));
    let offsets: Vec<usize> = offsets.collect();
    for batch in offsets.chunks(depth as usize) {
        for &offset in batch {
            let write = opcode::Write::new(Fd(file.as_raw_fd()), aligned.as_ptr(), PAGE as u32);
            let write = write.offset(offset as u64).build();
            // SAFETY: the file and the buffer outlive the ring, and a batch fits into it.
            unsafe { ring.submission().push(&write)? };
        }
        ring.submit_and_wait(batch.len())?;
        for done in ring.completion() {
            ensure!(done.result() == PAGE as i32, "a write: {}", done.result());
        }
    }
    Ok(())
}
