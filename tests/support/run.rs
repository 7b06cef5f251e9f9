//! One trial's run: its directory, its writers, its tracer, and the counters
//! read around it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::checks::{
    conservation, copied, every_interval_adds_up, flushes_are, near, owners_are_writers,
};
use super::command::run;
use super::counters::{DeviceStat, Vmstat};
use super::deadline::Deadline;
use super::device::{Device, Fs, TRIAL, settle};
use super::ndjson::Report;
use super::needs::truth_only;
use super::process::Writer;
use super::tracer::Tracer;

/// How long a trial may take.
const LIMIT: Duration = Duration::from_secs(60);

const CLEANUP: Duration = Duration::from_secs(10);

/// What a file system usually writes besides the data, at most.
const METADATA: u64 = 4 << 20;

/// The kernel wrote back before the case was ready. That proves nothing: try again.
#[derive(Debug, thiserror::Error)]
#[error("the kernel wrote back {0} bytes too early")]
pub struct Spoiled(pub u64);

/// A running trial.
pub struct Run<'a> {
    /// The names of the group and the case.
    name: String,
    device: &'a Device,
    dir: PathBuf,
    /// When the trial has to be over.
    pub deadline: Deadline,
    /// What the file system may write besides the data: journal, trees, inodes.
    pub metadata: u64,
    /// What it may read besides the data, from its trees.
    pub metadata_reads: u64,
    /// `pgpgout` also counts bios that a device turns away, which the report leaves out.
    pub vmstat_counts_more: bool,
    /// What the tracer may lose, by the names in `lost`. Bytes must still be right.
    pub may_lose: &'static [&'static str],
    traced: Option<Traced>,
}

/// Name of the file that keeps a trial's lines.
pub fn kept_as(name: &str) -> String {
    name.replace("::", "-")
}

struct Traced {
    tracer: Option<Tracer>,
    outer: Vmstat,
    inner: Vmstat,
    outer_device: DeviceStat,
    device: DeviceStat,
    /// Bytes that were written to the devices below.
    lower: u64,
}

impl<'a> Run<'a> {
    /// Creates an empty directory on a device with nothing left to write.
    pub fn new(device: &'a Device, name: &str) -> Result<Run<'a>> {
        let deadline = Deadline::after(LIMIT);
        device.mount_again(deadline)?;
        let dir = device.dir().join(TRIAL);
        run(Command::new("rm").arg("-rf").arg(&dir), deadline)?;
        run(Command::new("mkdir").arg(&dir), deadline)?;
        let run = Run {
            name: kept_as(name),
            device,
            dir,
            deadline,
            metadata: METADATA,
            metadata_reads: 0,
            vmstat_counts_more: false,
            may_lose: &[],
            traced: None,
        };
        run.flush()?;
        Ok(run)
    }

    pub fn fs(&self) -> Fs {
        self.device.fs
    }

    /// The path of a file of this trial.
    pub fn file(&self, name: &str) -> String {
        self.dir.join(name).to_string_lossy().into_owned()
    }

    /// Lets a writer do its work and exit. Returns its process id.
    pub fn to_end(&self, comm: &str, args: &[&str]) -> Result<u64> {
        let mut writer = Writer::start(comm, args)?;
        writer.go()?;
        writer.done(self.deadline)?;
        writer.exit(self.deadline)
    }

    /// Lets another process, `gt-flush`, write back all that is dirty here, and then
    /// what that makes dirty below. Returns its process id.
    pub fn flush(&self) -> Result<u64> {
        let dir = self.file("");
        let below = self
            .device
            .below()
            .map(|below| below.dir().to_string_lossy());
        let mut work = vec!["syncfs", &dir];
        work.extend(below.as_deref());
        self.to_end("gt-flush", &work)
    }

    /// Lets the trial take this much longer.
    pub fn allow(&mut self, more: Duration) {
        self.deadline = Deadline::after(LIMIT + more);
    }

    /// The tracer's process id, if there is a tracer.
    pub fn tracer_pid(&self) -> Result<Option<u32>> {
        Ok(self.traced()?.tracer.as_ref().map(Tracer::pid))
    }

    /// Has everything written that is left to write: not only what is dirty, but also
    /// what is so far only in the journal. Freezing a file system does that.
    pub fn settle(&self) -> Result<()> {
        settle(self.device.dir())
    }

    /// Lets another process, `gt-umount`, unmount the file system. Returns its process
    /// id. The next run mounts it again.
    pub fn unmount(&self) -> Result<u64> {
        let unmount = |dir: &str| self.to_end("gt-umount", &["umount", dir]);
        self.device.unmounted_by(unmount)
    }

    /// The same, and then makes and mounts another file system on its second disk.
    pub fn unmount_for_another(&self, fs: Fs) -> Result<()> {
        self.unmount()?;
        self.device.mount_another(fs, self.deadline)
    }

    /// Lets another process, `gt-umount`, unmount that one.
    pub fn unmount_the_other(&self) -> Result<u64> {
        let dir = self.device.dir().to_string_lossy();
        self.to_end("gt-umount", &["umount", &dir])
    }

    /// Starts the tracer. All that the case checks happens after this.
    pub fn trace(&mut self) -> Result<()> {
        self.trace_with(&["-d", "0.5"])
    }

    /// The same with other options.
    pub fn trace_with(&mut self, options: &[&str]) -> Result<()> {
        let outer = Vmstat::now()?;
        let outer_device = self.device.stat()?;
        let tracer = match truth_only() {
            true => None,
            false => Some(Tracer::start(options)?),
        };
        self.traced = Some(Traced {
            tracer,
            outer,
            inner: Vmstat::now()?,
            outer_device,
            device: self.device.stat()?,
            lower: self.device.written_below()?,
        });
        Ok(())
    }

    fn traced(&self) -> Result<&Traced> {
        self.traced.as_ref().context("the case does not trace")
    }

    /// Whether at least `len` bytes were written since the trace began.
    pub fn has_written(&self, len: u64) -> Result<bool> {
        Ok(self.written()? >= len)
    }

    /// Bytes that were written since the trace began.
    pub fn written(&self) -> Result<u64> {
        Ok(self.device.stat()?.since(self.traced()?.device).written)
    }

    /// The device's name.
    pub fn device_name(&self) -> String {
        self.device.name().to_owned()
    }

    /// The names of all devices that the file system writes to.
    pub fn device_names(&self) -> Vec<String> {
        self.device.names().map(str::to_owned).collect()
    }

    /// The name of the device that has its backing file.
    pub fn name_below(&self) -> Result<String> {
        let below = self.device.below().context("nothing is below")?;
        Ok(below.name().to_owned())
    }

    /// Fails as [`Spoiled`] if data has been written since the trace began.
    pub fn nothing_written_yet(&self) -> Result<()> {
        self.less_written_than(1 << 20)
    }

    /// The same with another limit.
    pub fn less_written_than(&self, limit: u64) -> Result<()> {
        let written = self.written()?;
        ensure!(written < limit, Spoiled(written));
        Ok(())
    }

    /// Ends the trace. Checks that the device wrote and read what the case intended,
    /// and that the report accounts for every byte. `None` if the harness runs without
    /// a tracer.
    pub fn finish(mut self, written: u64, read: u64) -> Result<Option<Report>> {
        let mut traced = self.traced.take().context("the case does not trace")?;
        let device = self.device.stat()?.since(traced.device);
        let inner = Vmstat::now()?.since(traced.inner);
        let copies = self.device.written_below()? - traced.lower;
        ensure!(
            (written..=written + self.metadata).contains(&device.written),
            "the case is wrong: the device wrote {}, not {written} and metadata",
            device.written
        );
        let data = device.read - device.read.saturating_sub(read).min(self.metadata_reads);
        near("the case is wrong: the device's reads", data, read)?;
        let all = inner.written >= written && inner.read >= read;
        ensure!(all, "vmstat has less than the device: {inner:?}");
        let Some(tracer) = traced.tracer.take() else {
            return Ok(None);
        };
        let report = tracer.stop(&self.name)?;
        let outer = Vmstat::now()?.since(traced.outer);
        match self.vmstat_counts_more {
            true => every_interval_adds_up(&report, self.may_lose)?,
            false => conservation(&report, self.may_lose, inner, outer)?,
        }
        let lower: Vec<&str> = self.device.lower().collect();
        if lower.is_empty() {
            let outer = self.device.stat()?.since(traced.outer_device);
            let names: Vec<&str> = self.device.names().collect();
            flushes_are(&report, &names, device.written..=outer.written)?;
        } else {
            copied(&report, &lower, copies)?;
            owners_are_writers(&report, self.device.name())?;
        }
        Ok(Some(report))
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // The tracer ends first: it may still use what it watches.
        self.traced = None;
        if !self.device.is_mounted() {
            return;
        }
        let removed = run(
            Command::new("rm").arg("-rf").arg(&self.dir),
            Deadline::after(CLEANUP),
        );
        if let Err(problem) = removed {
            eprintln!("cleaning up: {problem:#}");
        }
    }
}
