//! Command lines. The kernel copies them out of the process's memory, and waits if that is
//! locked: the process may be blocked in mmap(2) or munmap(2) by a server that is gone.

use std::{
    collections::HashMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    string::FromUtf8Error,
    time::{Duration, Instant},
};

use super::{inquiries::Inquiries, threads_of};
use crate::host::kernel::clock;

/// How many threads of a process are asked for its command line, if the main thread has none.
const MAX_THREADS: usize = 8;

/// How many bytes of a command line are read. A command line may have megabytes, and a process
/// may declare all its memory to be its command line (`PR_SET_MM_MAP` of prctl(2)).
const MOST: usize = 4096;

/// The command lines of processes as they are in this refresh.
#[derive(Debug)]
pub struct CommandLines {
    inquiries: Inquiries<u32, Option<String>>,
    /// By pid.
    read: HashMap<u32, Read>,
}

#[derive(Debug)]
struct Read {
    line: Option<String>,
    /// The process was there at this time, ns after boot. A younger one has its number again.
    when: u64,
}

impl CommandLines {
    /// Reads below a proc root.
    pub fn new(proc_root: &Path) -> CommandLines {
        let proc_root = proc_root.to_owned();
        CommandLines::asking(move |pid| of_process(pid, &proc_root))
    }

    /// `read` may block.
    pub(super) fn asking(
        read: impl Fn(u32) -> Option<String> + Send + Sync + 'static,
    ) -> CommandLines {
        CommandLines {
            inquiries: Inquiries::new("command-lines", move |pid| read(*pid)),
            read: HashMap::new(),
        }
    }

    /// Reads the command lines of these processes, if they were not read in this refresh.
    pub fn read(&mut self, pids: impl IntoIterator<Item = u32>) {
        let pids = pids.into_iter();
        let new: Vec<u32> = pids.filter(|pid| !self.read.contains_key(pid)).collect();
        let begin = Instant::now();
        for answered in self.inquiries.ask(new) {
            let is_late = answered.asked < begin;
            let asked = || clock::boottime() - answered.asked.elapsed().as_nanos() as u64;
            let read = Read {
                line: answered.answer,
                when: if is_late { asked() } else { u64::MAX },
            };
            self.read.insert(answered.question, read);
        }
    }

    /// The command line of a task's process, which is read if it was not. The outer `None`: it
    /// is not known yet, because the process does not let it be read.
    pub fn of(&mut self, pid: u32, start_boottime: u64) -> Option<Option<&str>> {
        self.read([pid]);
        let read = self.read.get(&pid);
        let read = read.filter(|read| start_boottime <= read.when)?;
        Some(read.line.as_deref())
    }

    /// A process that has not let its command line be read for this time.
    pub fn stuck(&self, time: Duration) -> Option<u32> {
        self.inquiries.stuck(time).first().copied()
    }

    /// Ends a refresh: processes may change their command lines.
    pub fn forget(&mut self) {
        self.read = HashMap::new();
    }
}

/// The command line of a process. If its main thread has ended, only the other threads have
/// it.
fn of_process(pid: u32, proc_root: &Path) -> Option<String> {
    let process = proc_root.join(pid.to_string());
    of_directory(process).or_else(|| {
        let threads = threads_of(pid, proc_root).ok()?;
        let mut others = threads.filter(|thread| thread.tid != pid);
        let found = others.by_ref().take(MAX_THREADS);
        found
            .map(|thread| thread.directory(proc_root))
            .find_map(of_directory)
    })
}

/// A command line, with spaces between the arguments. `None` for a process that has none: a
/// kernel thread, or a process that is exiting or that cleared it.
fn of_directory(process: PathBuf) -> Option<String> {
    let mut bytes = [0; MOST + 1];
    // One read returns all that there is, up to the buffer's size.
    let mut file = fs::File::open(process.join("cmdline")).ok()?;
    let length = file.read(&mut bytes).ok()?;
    joined(&bytes[..length], 0)
}

/// Arguments with spaces between them. `None` if there are none. A line that is cut off ends
/// with an ellipsis: `more` says how many bytes it has that were not read.
pub fn joined(arguments: &[u8], more: usize) -> Option<String> {
    let kept = &arguments[..arguments.len().min(MOST)];
    let is_cut = more != 0 || kept.len() < arguments.len();
    let kept = match is_cut {
        true => whole_characters(kept),
        false => kept,
    };
    let end = kept.iter().rposition(|byte| *byte != 0)? + 1;
    let spaced = |byte: &u8| if *byte == 0 { b' ' } else { *byte };
    let spaced: Vec<u8> = kept[..end].iter().map(spaced).collect();
    let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
    let mut line = String::from_utf8(spaced).unwrap_or_else(lossy);
    if is_cut {
        line.push('…');
    }
    Some(line)
}

/// Without the beginning of a character at the end.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    let tail = bytes
        .utf8_chunks()
        .last()
        .map_or(&[][..], |last| last.invalid());
    let is_cut = str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
    &bytes[..bytes.len() - if is_cut { tail.len() } else { 0 }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_joined_and_cut_at_a_character() {
        let line = |arguments: &str, more| joined(arguments.as_bytes(), more);
        assert_eq!(line("dd\0if=a b\0\0", 0).as_deref(), Some("dd if=a b"));
        assert_eq!(line("\0\0", 0), None);
        assert_eq!(line("tar\0", 1).as_deref(), Some("tar…"));
        assert_eq!(
            joined(b"a\xff\xc3", 0).as_deref(),
            Some("a\u{fffd}\u{fffd}")
        );
        assert_eq!(joined(b"a\xff\xc3", 1).as_deref(), Some("a\u{fffd}…"));
        let long = "ä".repeat(MOST);
        let whole = format!("{}…", "ä".repeat(MOST / 2));
        assert_eq!(joined(long.as_bytes(), 0), Some(whole));
        let odd = format!("x{}…", "ä".repeat(MOST / 2 - 1));
        assert_eq!(joined(format!("x{long}").as_bytes(), 0), Some(odd));
    }
}
