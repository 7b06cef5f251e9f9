//! Which file a task wrote, while another mount hides it.

use std::any::Any;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::MIB;
use super::stage::{Stage, intervals};
use super::support::command::run;
use super::support::mount::Mount;
use super::support::needs::Feature;
use super::support::tracer::Tracer;
use super::support::trial::LeftOut;

/// A file is written, then another mount hides it, and then its pages are written back. It is
/// neither deleted nor replaced.
pub fn file_below_a_mount(stage: &Stage<'_>) -> Result<()> {
    hidden(stage, |dir, stage| {
        let mount = Mount::new(&["-t", "tmpfs", "none"], dir, stage.deadline)?;
        Ok(Box::new(mount))
    })
}

/// The same, and whoever looks at that mount waits for ever.
pub fn file_below_a_mount_that_hangs(stage: &Stage<'_>) -> Result<()> {
    Feature::Fs("fuse").check()?;
    let fuse = File::options().read(true).write(true).open("/dev/fuse");
    let fuse = fuse.map_err(|error| LeftOut::missing(format!("/dev/fuse: {error}")))?;
    hidden(stage, |dir, _| Ok(Box::new(Hung::new(fuse, dir)?)))
}

fn hidden<'a>(
    stage: &Stage<'a>,
    hide: impl FnOnce(&str, &Stage<'a>) -> Result<Box<dyn Any>>,
) -> Result<()> {
    let dir = stage.file("logs");
    fs::create_dir(&dir)?;
    let file = format!("{dir}/app.log");
    let len = (4 * MIB).to_string();
    let mut actor = stage.actor("c-logger", &[&["write", &file, "0", &len]])?;
    let tracer = Tracer::start(&["-d", "0.3"])?;
    stage.step(&mut actor)?;
    let hidden = hide(&dir, stage)?;
    let device = Path::new(&dir).parent().context("a directory")?;
    run(Command::new("sync").arg("-f").arg(device), stage.deadline)?;
    intervals(2, Duration::from_millis(300));
    let report = stage.report(tracer)?;
    drop(hidden);
    let files = report.files("c-logger", actor.pid())?;
    let right = files.len() == 1 && files.get(&file) == Some(&(4 * MIB));
    ensure!(right, "{files:?}");
    Ok(())
}

/// A FUSE mount whose server never answers.
struct Hung {
    /// The server's end. While it is open, who asks waits.
    _server: File,
    dir: CString,
}

impl Hung {
    fn new(server: File, dir: &str) -> Result<Hung> {
        let dir = CString::new(dir)?;
        let fd = server.as_raw_fd();
        let options = format!("fd={fd},rootmode=40000,user_id=0,group_id=0");
        let options = CString::new(options)?;
        // SAFETY: all pointers are to our own strings.
        let mounted = unsafe {
            let fuse = c"fuse".as_ptr();
            libc::mount(
                c"hung".as_ptr(),
                dir.as_ptr(),
                fuse,
                0,
                options.as_ptr().cast(),
            )
        };
        ensure!(mounted == 0, std::io::Error::last_os_error());
        Ok(Hung {
            _server: server,
            dir,
        })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // SAFETY: the pointer is to our own string. Detached, the mount goes with its server.
        unsafe { libc::umount2(self.dir.as_ptr(), libc::MNT_DETACH) };
    }
}
