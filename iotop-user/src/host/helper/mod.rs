//! A process of our own that has only the rights of the user who runs the program, and none of
//! root's. It reads and writes the files that the user names, and asks the name service about
//! users. So a path or a symbolic link reaches nothing that the user could not reach anyway,
//! and this process needs neither /etc nor the name service's modules after its start.
//!
//! It is a fork: it has no other program to execute, and no name by which anybody else could
//! start it. The paths are fixed at the fork. Whoever takes over this process can have the
//! user's configuration file read and written, but no other file.

mod child;
mod message;

use std::{
    fmt, io,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use self::message::{Answer, Question};
use super::invoker::Invoker;

/// The largest configuration file.
pub const SETTINGS_LIMIT: u64 = 64 << 10;
/// The largest object of a kernel half.
const OBJECT_LIMIT: u64 = 64 << 20;
/// How long a file may take: it may be on a slow network file system.
const FILE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a user's name may take. The collector waits for it.
const NAME_PATIENCE: Duration = Duration::from_millis(500);

/// The files that the user names, on the command line or by the environment.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// The configuration file.
    pub settings: Option<PathBuf>,
    /// The object of a kernel half.
    pub object: Option<PathBuf>,
}

/// The process. It ends with this one, however that ends.
pub struct Helper {
    talk: Mutex<Talk>,
}

struct Talk {
    stream: UnixStream,
    /// Answers that came too late and are still to be thrown away.
    owed: u32,
}

impl Helper {
    /// Starts the process. Must be called before there are other threads, and before anything
    /// is open that it must not have.
    ///
    /// # Errors
    ///
    /// There is no process to be had, or it can't give up root's rights.
    pub fn start(paths: Paths) -> io::Result<Helper> {
        let invoker = Invoker::find();
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: getpid takes nothing and can't fail.
        let parent = unsafe { libc::getpid() };
        // SAFETY: no other thread holds a lock that the child could wait for, see above.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(ours);
                child::run(theirs, &invoker, &paths, parent)
            }
            _ => {
                drop(theirs);
                let helper = Helper {
                    talk: Mutex::new(Talk {
                        stream: ours,
                        owed: 0,
                    }),
                };
                helper.ready()?;
                Ok(helper)
            }
        }
    }

    /// Waits until the process has given up its rights.
    fn ready(&self) -> io::Result<()> {
        match self.ask(&Question::Ready, FILE_PATIENCE)? {
            Answer::Bytes(_) | Answer::Nothing => Ok(()),
            Answer::Error(error) => Err(error),
        }
    }

    /// The content of the configuration file; `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// The user may not read it, or it is not a regular file of at most [`SETTINGS_LIMIT`].
    pub fn settings(&self) -> io::Result<Option<Vec<u8>>> {
        match self.ask(&Question::Settings, FILE_PATIENCE)? {
            Answer::Bytes(bytes) => Ok(Some(bytes)),
            Answer::Nothing => Ok(None),
            Answer::Error(error) => Err(error),
        }
    }

    /// Replaces the configuration file.
    ///
    /// # Errors
    ///
    /// The user may not write it. It is as it was before.
    pub fn save(&self, content: &[u8]) -> io::Result<()> {
        match self.ask(&Question::Save(content.to_vec()), FILE_PATIENCE)? {
            Answer::Bytes(_) | Answer::Nothing => Ok(()),
            Answer::Error(error) => Err(error),
        }
    }

    /// The content of the kernel half's object file.
    ///
    /// # Errors
    ///
    /// The user may not read it, or it is not a regular file.
    pub fn object(&self) -> io::Result<Vec<u8>> {
        match self.ask(&Question::Object, FILE_PATIENCE)? {
            Answer::Bytes(bytes) => Ok(bytes),
            Answer::Nothing => Err(io::ErrorKind::NotFound.into()),
            Answer::Error(error) => Err(error),
        }
    }

    /// A user's name. `None` if the user has none.
    ///
    /// # Errors
    ///
    /// The name service has not answered in time.
    pub fn user_name(&self, uid: u32) -> io::Result<Option<String>> {
        match self.ask(&Question::UserName(uid), NAME_PATIENCE)? {
            Answer::Bytes(name) => Ok(Some(String::from_utf8_lossy(&name).into_owned())),
            Answer::Nothing => Ok(None),
            Answer::Error(error) => Err(error),
        }
    }

    /// The uid of a user's name. `None` if there is no such user.
    ///
    /// # Errors
    ///
    /// The name service has not answered in time.
    pub fn uid(&self, name: &str) -> io::Result<Option<u32>> {
        match self.ask(&Question::Uid(name.to_owned()), FILE_PATIENCE)? {
            Answer::Bytes(uid) => Ok(<[u8; 4]>::try_from(&*uid).ok().map(u32::from_le_bytes)),
            Answer::Nothing => Ok(None),
            Answer::Error(error) => Err(error),
        }
    }

    fn ask(&self, question: &Question, patience: Duration) -> io::Result<Answer> {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        talk.ask(question, patience)
    }
}

impl Talk {
    fn ask(&mut self, question: &Question, patience: Duration) -> io::Result<Answer> {
        // While it has not even answered the last question, do not wait for it again.
        self.stream
            .set_read_timeout(Some(Duration::from_millis(1)))?;
        while self.owed > 0 {
            self.answer()?;
            self.owed -= 1;
        }
        self.stream.set_read_timeout(Some(patience))?;
        question.write(&mut self.stream)?;
        self.answer().inspect_err(|_| self.owed += 1)
    }

    fn answer(&mut self) -> io::Result<Answer> {
        Answer::read(&mut self.stream).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(
                io::ErrorKind::TimedOut,
                "the file system or the name service does not answer",
            ),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
                io::Error::other("the process that has the user's rights is gone")
            }
            _ => error,
        })
    }
}

impl fmt::Debug for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Helper")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use super::*;

    #[test]
    fn it_reads_and_writes_only_its_own_file_and_knows_the_users() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("iotop-trace/config.toml");
        let paths = Paths {
            settings: Some(path.clone()),
            object: None,
        };
        let helper = Helper::start(paths).expect("started");
        assert_eq!(helper.settings().expect("no file"), None);
        helper.save(b"only = true").expect("saved");
        assert_eq!(fs::read(&path).expect("there"), b"only = true");
        let saved = helper.settings().expect("read");
        assert_eq!(saved.as_deref(), Some(&b"only = true"[..]));
        assert!(helper.object().is_err());
        let root = helper.user_name(0).expect("an answer");
        assert_eq!(root.as_deref(), Some("root"));
        assert_eq!(helper.user_name(3_999_999_999).expect("an answer"), None);
        assert_eq!(helper.uid("root").expect("an answer"), Some(0));
        assert_eq!(helper.uid("no such user").expect("an answer"), None);
        let owner = fs::metadata(&path).expect("there").uid();
        // SAFETY: geteuid takes nothing and can't fail.
        assert_eq!(owner, unsafe { libc::geteuid() });
    }
}
