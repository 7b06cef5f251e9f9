//! A process gives itself another title, as setproctitle(3) does.

use std::fs;
use std::io;

use anyhow::{Context, Result, bail, ensure};

use super::support::trial::LeftOut;

/// What the rest of the arguments is overwritten with.
const PADDING: u8 = 0;

/// Changes the title in one of the ways that programs know.
pub fn set(way: &str, title: &str) -> Result<()> {
    match way {
        "in_place" => in_place(title),
        "elsewhere" => elsewhere(title),
        _ => bail!("there is no way {way:?}"),
    }
}

/// Writes over the arguments, and pads the rest of them (PostgreSQL, OpenSSH, libbsd).
fn in_place(title: &str) -> Result<()> {
    let stat = Stat::read()?;
    // Where the kernel put our arguments.
    let [start, end] = [stat.field(48)?, stat.field(49)?];
    let [start, end] = [usize::try_from(start)?, usize::try_from(end)?];
    let room = end - start;
    ensure!(title.len() < room, "{title:?} does not fit in {room} bytes");
    let title = title.bytes().chain(std::iter::repeat(PADDING)).take(room);
    for (byte, at) in title.zip(start..) {
        // SAFETY: the arguments are in our own stack. Whoever has read them has a copy.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(at).write_volatile(byte) };
    }
    Ok(())
}

/// `prctl_mm_map` of linux/prctl.h.
#[repr(C)]
struct Map {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: u64,
    auxv_size: u32,
    exe_fd: u32,
}

/// Fails with [`LeftOut`] if the kernel does not let a process say where its arguments are.
pub fn can_be_elsewhere() -> Result<()> {
    let mut size = 0u32;
    match map(libc::PR_SET_MM_MAP_SIZE, (&raw mut size).cast(), 0) {
        Ok(()) if size as usize == size_of::<Map>() => Ok(()),
        _ => Err(LeftOut::elsewhere("this kernel has no PR_SET_MM_MAP")),
    }
}

/// Tells the kernel that the arguments are somewhere else (systemd, LXC).
fn elsewhere(title: &str) -> Result<()> {
    let title: &'static mut [u8] = format!("{title}\0").into_bytes().leak();
    let start = title.as_mut_ptr().expose_provenance() as u64;
    // SAFETY: it only asks where the heap ends.
    let brk = unsafe { libc::sbrk(0) };
    let stat = Stat::read()?;
    let mut new = Map {
        start_code: stat.field(26)?,
        end_code: stat.field(27)?,
        start_data: stat.field(45)?,
        end_data: stat.field(46)?,
        start_brk: stat.field(47)?,
        brk: brk.addr() as u64,
        start_stack: stat.field(28)?,
        arg_start: start,
        arg_end: start + title.len() as u64,
        env_start: stat.field(50)?,
        env_end: stat.field(51)?,
        // Both stay as they are.
        auxv: 0,
        auxv_size: 0,
        exe_fd: u32::MAX,
    };
    map(libc::PR_SET_MM_MAP, (&raw mut new).cast(), size_of::<Map>()).context("PR_SET_MM_MAP")
}

fn map(what: libc::c_int, argument: *mut libc::c_void, size: usize) -> Result<()> {
    // SAFETY: the argument is a whole `Map`, or a number that the kernel fills in. What the map
    // describes is never freed.
    let done = unsafe { libc::prctl(libc::PR_SET_MM, what, argument, size, 0) };
    ensure!(done == 0, io::Error::last_os_error());
    Ok(())
}

/// What follows the name in proc_pid_stat(5).
struct Stat(String);

impl Stat {
    fn read() -> Result<Stat> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let (_, after_comm) = stat.rsplit_once(')').context("a stat line")?;
        Ok(Stat(after_comm.to_owned()))
    }

    /// A field by its number in the manual.
    fn field(&self, number: usize) -> Result<u64> {
        let word = self.0.split_whitespace().nth(number - 3);
        Ok(word.context("a short stat line")?.parse()?)
    }
}
