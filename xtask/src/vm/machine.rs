//! One virtual machine: QEMU without hardware support, from power on to off.
//!
//! The first serial line is the kernel's log, the second what init and its
//! commands print.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What to boot and where its logs go.
pub struct Machine {
    pub image: PathBuf,
    pub initramfs: PathBuf,
    /// Further words on the kernel's command line.
    pub append: Vec<String>,
    pub output: PathBuf,
    pub kernel_log: PathBuf,
    /// Where the doctor's facts about this kernel are kept.
    pub facts: PathBuf,
    pub limit: Duration,
    /// Its nice value.
    pub nice: i32,
    /// How many CPUs it has.
    pub cpus: u32,
}

/// How it ended.
pub enum End {
    /// QEMU ended: the guest powered off or crashed.
    Off,
    /// It took too long, and we ended it.
    TooLate,
}

/// An old CPU: what newer ones have takes longest to emulate.
const QEMU: [&str; 14] = [
    "-accel",
    "tcg",
    "-cpu",
    "Westmere",
    "-m",
    "2048",
    "-display",
    "none",
    "-monitor",
    "none",
    "-nic",
    "none",
    "-no-reboot",
    "-nodefaults",
];

/// One CPU: with two emulated ones, 6.12 crashes in half of its boots. A second one stays
/// offline. A kernel that panics reboots at once, which ends QEMU. The limits are high, because
/// an emulated CPU may stall for longer than a lock-up takes on a real one.
const KERNEL: &str = "maxcpus=1 console=ttyS0 panic=-1 oops=panic ignore_loglevel \
    watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120 mitigations=off";

impl Machine {
    /// Boots it, and passes on what its commands print, line by line.
    pub fn run(&self, mut line: impl FnMut(&str)) -> Result<End> {
        let deadline = Instant::now() + self.limit;
        let mut output = File::create(&self.output)
            .with_context(|| format!("cannot create {}", self.output.display()))?;
        let mut qemu = Ended(self.start()?);
        let stream = qemu.0.stdout.take().context("stdout is piped")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut bytes = Vec::new();
            while matches!(stream.read_until(b'\n', &mut bytes), Ok(n) if n > 0) {
                let text = String::from_utf8_lossy(&bytes);
                if sender.send(text.trim_end().to_owned()).is_err() {
                    break;
                }
                bytes.clear();
            }
        });
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(text) => {
                    writeln!(output, "{text}")?;
                    line(&text);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(End::Off),
                Err(RecvTimeoutError::Timeout) => return Ok(End::TooLate),
            }
        }
    }

    fn start(&self) -> Result<Child> {
        // The log begins empty: QEMU fails if there is no file yet.
        fs::write(&self.kernel_log, "")?;
        let mut command = Command::new("qemu-system-x86_64");
        command.args(QEMU).args(["-smp", &self.cpus.to_string()]);
        command.arg("-kernel").arg(&self.image);
        command.arg("-initrd").arg(&self.initramfs);
        command
            .arg("-append")
            .arg(format!("{KERNEL} {}", self.append.join(" ")));
        command
            .arg("-serial")
            .arg(format!("file:{}", self.kernel_log.display()));
        command.args(["-serial", "stdio"]);
        let nice = self.nice;
        // SAFETY: both calls are safe between fork and exec. QEMU ends with the thread
        // that starts it, which lives until the machine is off, and it gets only what
        // other processes leave of the CPUs.
        unsafe {
            command.pre_exec(move || {
                let nice = libc::setpriority(libc::PRIO_PROCESS, 0, nice);
                match nice | libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
        let pipes = command.stdin(Stdio::null()).stdout(Stdio::piped());
        pipes
            .spawn()
            .context("cannot start qemu-system-x86_64: `cargo xtask setup` installs it")
    }
}

/// Ends QEMU when it is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
