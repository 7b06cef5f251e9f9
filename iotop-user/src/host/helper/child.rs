//! The process with the user's rights: it gives up all others, then answers questions.

use std::{
    fs, io,
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, net::UnixStream},
    },
    path::{Path, PathBuf},
};

use caps::CapsHashSet;
use uzers::{get_user_by_name, get_user_by_uid};

use super::{
    OBJECT_LIMIT, Paths, SETTINGS_LIMIT,
    message::{Answer, Question},
};
use crate::host::{
    invoker::Invoker,
    kernel::{capabilities, landlock, seccomp},
    replace::replace,
    user_file,
};

/// Its name, so that it is not taken for the program itself.
const NAME: &std::ffi::CStr = c"iotop-helper";

/// Runs until the other process is gone.
pub(super) fn run(mut stream: UnixStream, invoker: &Invoker, paths: &Paths, parent: i32) -> ! {
    let given_up = give_up(&stream, invoker, paths, parent);
    while let Ok(question) = Question::read(&mut stream) {
        let answer = match &given_up {
            Ok(()) => answer(question, paths),
            // It must not do anything with root's rights.
            Err(error) => {
                let text = format!("giving up root's rights: {error}");
                Answer::Error(io::Error::other(text))
            }
        };
        if answer.write(&mut stream).is_err() || given_up.is_err() {
            break;
        }
    }
    // SAFETY: _exit takes a number. It runs no destructors and flushes nothing: what the fork
    // copied belongs to the other process.
    unsafe { libc::_exit(0) }
}

fn answer(question: Question, paths: &Paths) -> Answer {
    let content = |path: &Option<PathBuf>, limit| match path {
        Some(path) => match user_file::read(path, limit) {
            Ok(bytes) => Answer::Bytes(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Answer::Nothing,
            Err(error) => Answer::Error(error),
        },
        None => Answer::Nothing,
    };
    match question {
        Question::Ready => Answer::Nothing,
        Question::Settings => content(&paths.settings, SETTINGS_LIMIT),
        Question::Object => content(&paths.object, OBJECT_LIMIT),
        Question::Save(content) => match &paths.settings {
            Some(path) => match replace(path, &content) {
                Ok(()) => Answer::Nothing,
                Err(error) => Answer::Error(error),
            },
            None => Answer::Error(io::ErrorKind::Unsupported.into()),
        },
        Question::UserName(uid) => match get_user_by_uid(uid) {
            Some(user) => Answer::Bytes(user.name().as_bytes().to_vec()),
            None => Answer::Nothing,
        },
        Question::Uid(name) => match get_user_by_name(&name) {
            Some(user) => Answer::Bytes(user.uid().to_le_bytes().to_vec()),
            None => Answer::Nothing,
        },
    }
}

/// Leaves the terminal and every right but the user's.
fn give_up(stream: &UnixStream, invoker: &Invoker, paths: &Paths, parent: i32) -> io::Result<()> {
    // SAFETY: all take plain numbers; the string is a constant.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, NAME.as_ptr());
        // In a session of its own it gets no signals from the terminal: it must live until
        // the other process has asked its last question.
        libc::setsid();
        // Neither must a service manager that asks every process to end make it go first.
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
    let nothing = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for standard in 0..=2 {
        // Whoever reads our output waits until all who could write have closed it.
        // SAFETY: dup2 takes plain numbers, and both descriptors are open.
        check(unsafe { libc::dup2(nothing.as_raw_fd(), standard) })?;
    }
    debug_assert!(stream.as_raw_fd() > 2);
    capabilities::never_regain()?;
    if invoker.is_behind_root {
        invoker.take_rights()?;
    }
    capabilities::keep_only(&CapsHashSet::new()).map_err(io::Error::other)?;
    // A change of rights clears it, so it comes afterwards.
    // SAFETY: prctl takes plain numbers, getppid takes nothing.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        if libc::getppid() != parent {
            libc::_exit(0);
        }
    }
    let writable = paths
        .settings
        .as_deref()
        .map(existing)
        .into_iter()
        .flatten();
    landlock::write_only_below(writable).map_err(io::Error::other)?;
    seccomp::refuse_escapes()
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The directories in which the file can be written: its own, or the nearest that exists, and
/// where a symbolic link leads.
fn existing(file: &Path) -> impl Iterator<Item = PathBuf> {
    let nearest = file.ancestors().skip(1).find(|above| above.is_dir());
    let target = fs::canonicalize(file).ok();
    let target = target.and_then(|target| Some(target.parent()?.to_owned()));
    nearest.map(Path::to_owned).into_iter().chain(target)
}
