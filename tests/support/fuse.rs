//! A directory shown at another place by a process: bindfs, over FUSE.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::deadline::Deadline;
use super::mount::Mount;
use super::process::end;

/// The server's program.
pub const BINDFS: &str = "bindfs";

/// A server with its mount. Dropping it ends both.
pub struct Server {
    child: Child,
    mount: Option<Mount>,
}

impl Server {
    /// Shows the directory `dir` at `shown`, and waits until it is there.
    pub fn start(dir: &str, shown: &str, deadline: Deadline) -> Result<Server> {
        let mut bindfs = Command::new(BINDFS);
        bindfs.args(["-f", dir, shown]);
        // SAFETY: no more than a system call between fork and exec.
        unsafe { bindfs.pre_exec(die_with_us) };
        let child = bindfs.spawn();
        let mut server = Server {
            child: child.with_context(|| format!("cannot start {BINDFS}"))?,
            mount: None,
        };
        // The mount has another device number than the directory it hides.
        let hidden = fs::metadata(dir)?.dev();
        while fs::metadata(shown)?.dev() == hidden {
            let ended = server.child.try_wait()?;
            ensure!(ended.is_none(), "{BINDFS} ended: {ended:?}");
            ensure!(!deadline.left().is_zero(), "{BINDFS} mounts nothing");
            sleep(Duration::from_millis(20));
        }
        server.mount = Some(Mount::made(shown));
        Ok(server)
    }

    /// The server's process id.
    pub fn pid(&self) -> u64 {
        self.child.id().into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server ends by itself when its mount is gone.
        self.mount = None;
        let _ = Deadline::after(Duration::from_secs(5)).wait(&mut self.child);
        end(&mut self.child);
    }
}

/// Lets the server end with this process: it would keep our mounts otherwise.
fn die_with_us() -> io::Result<()> {
    // SAFETY: takes two numbers.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
