//! Settings of the machine that a case changes and restores.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A changed file below /proc/sys or /sys. Dropping it restores the old content.
pub struct Setting {
    path: PathBuf,
    before: String,
}

impl Setting {
    /// Changes a setting of /proc/sys/vm.
    pub fn vm(name: &str, value: u64) -> Result<Setting> {
        let vm = Path::new("/proc/sys/vm");
        // Of two settings that exclude each other, the one in force is restored.
        let other = name.replace("_bytes", "_ratio");
        let in_force = match read(&vm.join(name))?.as_str() {
            "0" => vm.join(other),
            _ => vm.join(name),
        };
        let setting = Setting {
            before: read(&in_force)?,
            path: in_force,
        };
        write(&vm.join(name), &value.to_string())?;
        Ok(setting)
    }

    /// Changes a setting of /proc/sys/kernel.
    pub fn kernel(name: &str, value: u64) -> Result<Setting> {
        Setting::of(Path::new("/proc/sys/kernel").join(name), value)
    }

    /// Changes a setting of all xfs file systems.
    pub fn xfs(name: &str, value: u64) -> Result<Setting> {
        Setting::of(Path::new("/proc/sys/fs/xfs").join(name), value)
    }

    /// Changes a setting of a disk's queue; `disk` is its directory in /sys.
    pub fn queue(disk: &Path, name: &str, value: u64) -> Result<Setting> {
        Setting::of(disk.join("queue").join(name), value)
    }

    /// Puts a CPU into use; `online` is its file in /sys.
    pub fn online(online: &Path) -> Result<Setting> {
        Setting::of(online.to_owned(), 1)
    }

    fn of(path: PathBuf, value: u64) -> Result<Setting> {
        let before = read(&path)?;
        write(&path, &value.to_string())?;
        Ok(Setting { path, before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(problem) = write(&self.path, &self.before) {
            eprintln!("restoring a setting: {problem:#}");
        }
    }
}

/// A cgroup for a case. Dropping it removes it; it must be empty by then.
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Creates a cgroup below the first of these directories that exists.
    pub fn new(hierarchies: &[&str], name: &str) -> Result<Cgroup> {
        let hierarchy = hierarchies.iter().map(Path::new).find(|path| path.exists());
        let path = hierarchy.context("no such hierarchy")?.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Cgroup(path))
    }

    /// Creates a cgroup inside this one, with the memory controller only.
    pub fn inner(&self, name: &str) -> Result<Cgroup> {
        let control = self.0.join("cgroup.subtree_control");
        if control.exists() {
            write(&control, "+memory")?;
        }
        let path = self.0.join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Cgroup(path))
    }

    /// Writes to the first of these files that exists.
    pub fn set(&self, files: &[&str], value: &str) -> Result<()> {
        let mut files = files.iter().map(|file| self.0.join(file));
        let file = files.find(|file| file.exists()).context("no such file")?;
        write(&file, value)
    }

    /// Moves a process into the cgroup.
    pub fn take(&self, pid: u64) -> Result<()> {
        write(&self.0.join("cgroup.procs"), &pid.to_string())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(problem) = fs::remove_dir(&self.0) {
            eprintln!("removing {}: {problem}", self.0.display());
        }
    }
}

fn read(path: &Path) -> Result<String> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {text} to {}", path.display()))
}
