//! Which eBPF programs a process holds, and whether the kernel has let go of them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::deadline::Deadline;

/// The ids of all programs a process has open, itself or by a link.
pub fn programs_of(pid: u32) -> Result<BTreeSet<u32>> {
    let mut ids = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let Ok(text) = fs::read_to_string(entry?.path()) else {
            continue; // closed in the meantime
        };
        for line in text.lines() {
            if let Some(id) = line.strip_prefix("prog_id:") {
                ids.insert(id.trim().parse()?);
            }
        }
    }
    Ok(ids)
}

/// Waits until the kernel has freed all these programs, which it does in its own time.
pub fn wait_until_gone(ids: &BTreeSet<u32>, deadline: Deadline) -> Result<()> {
    for &id in ids {
        while exists(id).with_context(|| format!("eBPF program {id}"))? {
            if deadline.left().is_zero() {
                bail!("eBPF program {id} is still loaded");
            }
            sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn exists(id: u32) -> io::Result<bool> {
    const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
    /// The start of `union bpf_attr` for this command.
    #[repr(C)]
    struct Attr {
        prog_id: u32,
        next_id: u32,
        open_flags: u32,
    }
    let attr = Attr {
        prog_id: id,
        next_id: 0,
        open_flags: 0,
    };
    // SAFETY: `attr` outlives the call, and its size is passed with it.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_GET_FD_BY_ID,
            &attr,
            size_of::<Attr>(),
        )
    };
    if fd >= 0 {
        // SAFETY: a new descriptor that nothing else uses.
        unsafe { libc::close(fd as libc::c_int) };
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        error => Err(error),
    }
}
