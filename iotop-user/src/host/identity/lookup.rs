//! What is at a path now. A file system that does not answer holds nobody up.

use std::{
    iter,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags, open, openat2, statx},
    io::Errno,
};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// An inode with this number.
    Inode(u64),
    /// Nothing.
    Nothing,
    /// The look-up failed, or did not end in time.
    Unknown,
}

/// How long to wait for the look-ups that ask a file system.
const PATIENCE: Duration = Duration::from_millis(100);

/// A thread that only looks up paths needs little. It allocates if a path is long.
const STACK: usize = 64 * 1024;

/// Looks up paths. Asking a file system may block for ever: its server or its disk may be
/// gone. So first only the kernel's cache is asked, which never blocks. A thread looks up the
/// rest.
#[derive(Debug, Default)]
pub struct LookUps {
    thread: Option<SyncSender<Job>>,
}

/// Paths to look up, and who wants to know what is there.
type Job = (Vec<Arc<str>>, Sender<Found>);

impl LookUps {
    /// What is at each path.
    pub fn find(&mut self, paths: &[Arc<str>]) -> Vec<Found> {
        let cached = paths.iter().map(|path| look_up(path, ResolveFlags::CACHED));
        let mut found: Vec<Option<Found>> = cached.collect();
        let is_rest = |n: &usize| found[*n].is_none();
        let rest: Vec<usize> = (0..paths.len()).filter(is_rest).collect();
        if !rest.is_empty() {
            let answers = self.ask(rest.iter().map(|n| paths[*n].clone()).collect());
            for (n, answer) in rest.into_iter().zip(answers) {
                found[n] = Some(answer);
            }
        }
        let found = found.into_iter();
        found.map(|found| found.unwrap_or(Found::Unknown)).collect()
    }

    /// Asks the thread, and returns what it answers in time: one for each path, in order. While
    /// it is stuck in an earlier look-up there is no answer.
    fn ask(&mut self, paths: Vec<Arc<str>>) -> impl Iterator<Item = Found> + use<> {
        let deadline = Instant::now() + PATIENCE;
        let (answer, answers) = mpsc::channel();
        if self.thread.is_none() {
            self.thread = start();
        }
        // If nobody takes the job, its sender is dropped, and waiting for an answer ends.
        if let Some(thread) = &self.thread {
            let _ = thread.try_send((paths, answer));
        }
        let left = move || deadline.saturating_duration_since(Instant::now());
        iter::from_fn(move || answers.recv_timeout(left()).ok())
    }
}

fn start() -> Option<SyncSender<Job>> {
    let (thread, jobs): (_, Receiver<Job>) = mpsc::sync_channel(1);
    let serve = move || {
        for (paths, answer) in jobs {
            for path in paths {
                let found = look_up(&path, ResolveFlags::empty()).unwrap_or(Found::Unknown);
                // Nobody waits any more.
                if answer.send(found).is_err() {
                    break;
                }
            }
        }
    };
    let builder = thread::Builder::new().name("path-lookup".to_owned());
    builder.stack_size(STACK).spawn(serve).ok()?;
    Some(thread)
}

/// What is at a path. `None` if the kernel's cache is not enough to know it, or (before Linux
/// 5.12) if it can't be asked alone. A path from the kernel half has no symbolic links.
fn look_up(path: &str, how: ResolveFlags) -> Option<Found> {
    // With O_PATH the file itself is not opened.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match openat2(
        CWD,
        path,
        flags,
        Mode::empty(),
        how | ResolveFlags::NO_SYMLINKS,
    ) {
        // Refused where there is no Landlock, see the sandbox's filter of system calls. A link
        // that somebody has put on the way since leads to another number.
        Err(Errno::NOSYS) if how.is_empty() => open(path, flags, Mode::empty()),
        Err(Errno::NOSYS) => return None,
        opened => opened,
    };
    let found = opened
        .and_then(|file| {
            // A server is not asked whether the number has changed.
            let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
            statx(file, c"", flags, StatxFlags::INO)
        })
        .map(|stat| stat.stx_ino);
    match found {
        Ok(ino) => Some(Found::Inode(ino)),
        Err(Errno::NOENT) => Some(Found::Nothing),
        Err(Errno::AGAIN | Errno::INVAL) => None,
        Err(_) => Some(Found::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn each_path_has_its_answer() {
        let root = tempfile::tempdir().expect("a directory");
        let path = |name: &str| Arc::from(root.path().join(name).display().to_string());
        fs::write(root.path().join("there"), "").expect("written");
        std::os::unix::fs::symlink("there", root.path().join("link")).expect("made");
        let ino = |name| {
            let metadata = fs::symlink_metadata(root.path().join(name));
            metadata.expect("there").ino()
        };
        let paths = [path("there"), path("gone"), path("link"), path("there/x")];
        let found = LookUps::default().find(&paths);
        let expected = [
            Found::Inode(ino("there")),
            Found::Nothing,
            Found::Inode(ino("link")),
            Found::Unknown,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_thread_that_is_stuck_holds_nobody_up() {
        let (thread, jobs) = mpsc::sync_channel(1);
        let mut look_ups = LookUps {
            thread: Some(thread),
        };
        for _ in 0..3 {
            let begin = Instant::now();
            assert_eq!(look_ups.ask(vec!["/".into()]).count(), 0);
            assert!(begin.elapsed() < Duration::from_secs(2));
        }
        // The first job was taken and not answered; the others were not even taken.
        assert_eq!(jobs.try_iter().count(), 1);
    }
}
