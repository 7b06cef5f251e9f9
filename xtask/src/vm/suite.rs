//! Kernel packages: asks apt for a suite's newest, unpacks it, installs nothing.
//!
//! apt works on its own lists and cache; the system's are not touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::kernels::Kernel;
use crate::mirror::{self, KEYRING};
use crate::{debian, process};

/// The package that always depends on the suite's newest kernel.
const NEWEST: &str = "linux-image-cloud-amd64";

/// How long a suite's lists are valid.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// An unpacked kernel.
pub struct Unpacked {
    /// As `uname -r` has it.
    pub release: String,
    /// Its package's version without the distribution's part: the kernel's own.
    pub version: String,
    pub image: PathBuf,
    /// `lib/modules/RELEASE`, with `modules.dep`.
    pub modules: PathBuf,
}

/// The newest kernel of the suite; if that can't be fetched, the one in the cache.
pub fn fetch(kernel: Kernel) -> Result<Unpacked> {
    let dir = cache()?.join("kernels").join(kernel.name);
    match (newest(kernel, &dir), cached(&dir)) {
        (Ok(unpacked), _) => Ok(unpacked),
        (Err(error), Some(unpacked)) => {
            eprintln!(
                "{0}: {error:#}\n{0}: takes {1} from the cache instead",
                kernel.name, unpacked.release
            );
            Ok(unpacked)
        }
        (Err(error), None) => Err(error),
    }
}

/// Where downloads are kept: $XDG_CACHE_HOME or ~/.cache.
fn cache() -> Result<PathBuf> {
    let of = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = of("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(Path::new(&of("HOME")?).join(".cache")));
    let base = base.context(
        "neither XDG_CACHE_HOME nor HOME is set: set one of them, to keep downloads there",
    )?;
    Ok(base.join("iotop-trace"))
}

fn newest(kernel: Kernel, dir: &Path) -> Result<Unpacked> {
    ensure!(
        debian::is_here() && process::find("dpkg-deb").is_some(),
        "kernels come from Debian's packages, and need apt-get and dpkg-deb, which are not installed"
    );
    ensure!(
        Path::new(KEYRING).exists(),
        "{KEYRING} is missing: install debian-archive-keyring"
    );
    let apt = Apt::new(kernel.suite, dir)?;
    apt.update()?;
    let (packages, version) = apt.newest()?;
    let place = dir.join(format!("{}_{version}", packages[0]));
    if !place.exists() {
        eprintln!("{}: fetching {}", kernel.name, packages.join(" "));
        let unpacking = dir.join("unpacking");
        if unpacking.exists() {
            fs::remove_dir_all(&unpacking)?;
        }
        apt.unpack(&packages, &unpacking)?;
        forget_others(dir)?;
        fs::rename(&unpacking, &place)?;
    }
    found_in(&place)
}

/// Removes older kernels.
fn forget_others(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.ends_with("apt") && !path.ends_with("unpacking") {
            fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

fn cached(dir: &Path) -> Option<Unpacked> {
    let entries = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let mut kernels = entries.filter(|entry| entry.file_name().to_string_lossy().contains('_'));
    found_in(&kernels.next()?.path()).ok()
}

/// `lib/modules/RELEASE` and the image, which newer packages put beside them.
fn found_in(place: &Path) -> Result<Unpacked> {
    let all = place.join("lib/modules");
    let mut releases = fs::read_dir(&all).with_context(|| all.display().to_string())?;
    let release = releases.next().context("no modules in the package")??;
    let modules = release.path();
    let release = release.file_name().to_string_lossy().into_owned();
    let image = [
        place.join(format!("boot/vmlinuz-{release}")),
        modules.join("vmlinuz"),
    ];
    let image = image.into_iter().find(|image| image.exists());
    let package = place.file_name().unwrap_or_default().to_string_lossy();
    let version = package.rsplit('_').next().unwrap_or_default();
    let version = version.split(['-', '+']).next().unwrap_or(version);
    Ok(Unpacked {
        version: version.to_owned(),
        image: image.with_context(|| format!("no vmlinuz in {}", place.display()))?,
        modules,
        release,
    })
}

/// apt, with a single suite.
struct Apt {
    suite: &'static str,
    dir: PathBuf,
    config: PathBuf,
}

impl Apt {
    fn new(suite: &'static str, dir: &Path) -> Result<Apt> {
        let dir = dir.join("apt");
        for part in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(dir.join(part)).with_context(|| dir.display().to_string())?;
        }
        let at = dir.display();
        let config = dir.join("apt.conf");
        // Read after the system's own configuration: its proxies are used, its hooks
        // are not.
        fs::write(
            &config,
            format!(
                r#"Dir::State "{at}";
Dir::State::lists "{at}/lists";
Dir::State::status "{at}/status";
Dir::Cache "{at}/archives";
Dir::Cache::archives "{at}/archives";
Dir::Etc::sourcelist "{at}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
APT::Architecture "amd64";
APT::Sandbox::User "root";
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"#
            ),
        )?;
        fs::write(dir.join("status"), "")?;
        fs::write(dir.join("sources.list"), mirror::source(suite))?;
        Ok(Apt { suite, dir, config })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("--config-file").arg(&self.config);
        command
    }

    /// Fetches the suite's lists, unless they are fresh.
    fn update(&self) -> Result<()> {
        let stamp = self.dir.join("updated");
        let age = fs::metadata(&stamp).and_then(|stamp| stamp.modified());
        if age.is_ok_and(|time| time.elapsed().is_ok_and(|age| age < FRESH)) {
            return Ok(());
        }
        let mut update = self.command("apt-get");
        process::output(update.args(["update", "-qq", "--error-on=any"])).with_context(|| {
            format!(
                "cannot ask {} for the kernels of {}: is there a network? \
                 A kernel that has been fetched once needs none: it is kept in {}",
                mirror::uri(),
                self.suite,
                self.dir.with_file_name("").display()
            )
        })?;
        Ok(fs::write(stamp, "")?)
    }

    /// The packages of the suite's newest kernel, its image first, and its version.
    fn newest(&self) -> Result<(Vec<String>, String)> {
        let newest = self.show(NEWEST)?;
        let version = field(&newest, "Version").context("a package without a version")?;
        let mut packages = kernel_packages(&newest);
        let mut next = 0;
        while let Some(package) = packages.get(next) {
            for package in kernel_packages(&self.show(package)?) {
                if !packages.contains(&package) {
                    packages.push(package);
                }
            }
            next += 1;
        }
        packages.sort_by_key(|package| !package.starts_with("linux-image"));
        if packages.is_empty() {
            bail!("{NEWEST} {version} depends on no kernel");
        }
        Ok((packages, version.to_owned()))
    }

    fn show(&self, package: &str) -> Result<String> {
        let mut show = self.command("apt-cache");
        process::output(show.args(["show", "--no-all-versions", package]))
    }

    fn unpack(&self, packages: &[String], place: &Path) -> Result<()> {
        fs::create_dir(place)?;
        let debs = place.join("debs");
        fs::create_dir(&debs)?;
        let mut download = self.command("apt-get");
        download.args(["download", "-qq"]).args(packages);
        process::output(download.current_dir(&debs))?;
        for deb in fs::read_dir(&debs)? {
            let mut unpack = Command::new("dpkg-deb");
            process::output(unpack.arg("-x").arg(deb?.path()).arg(place))?;
        }
        fs::remove_dir_all(&debs)?;
        if !place.join("lib").exists() {
            std::os::unix::fs::symlink("usr/lib", place.join("lib"))?;
        }
        // Packages do this only when they are installed.
        let mut depmod = Command::new(super::program("depmod")?);
        let release = found_in(place)?.release;
        process::output(depmod.arg("-b").arg(place).arg(release))?;
        Ok(())
    }
}

/// The dependencies of a package that are parts of a kernel of one version.
fn kernel_packages(description: &str) -> Vec<String> {
    let depends = field(description, "Depends").unwrap_or_default();
    let names = depends
        .split([',', '|'])
        .filter_map(|one| one.split_whitespace().next());
    let parts = names.filter(|name| {
        ["image", "binary", "modules", "base"].iter().any(|part| {
            let version = name.strip_prefix("linux-");
            let version = version.and_then(|name| name.strip_prefix(part)?.strip_prefix('-'));
            version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        })
    });
    parts.map(str::to_owned).collect()
}

fn field<'a>(description: &'a str, name: &str) -> Option<&'a str> {
    description
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_parts_of_the_kernel_are_taken() {
        let image = "Package: linux-image-7.2.13+deb14-cloud-amd64\n\
            Depends: dracut | initramfs-tools (>= 0.120) | linux-initramfs-tool, \
            linux-base (>= 4.3~), linux-base-7.2.13+deb14-cloud-amd64 (= 7.2.13-1), \
            linux-binary-7.2.13+deb14-cloud-amd64 (= 7.2.13-1)\n";
        assert_eq!(
            kernel_packages(image),
            [
                "linux-base-7.2.13+deb14-cloud-amd64",
                "linux-binary-7.2.13+deb14-cloud-amd64"
            ]
        );
        assert!(kernel_packages("Depends: kmod, linux-base (>= 4.3~)\n").is_empty());
        assert!(kernel_packages("Package: kmod\n").is_empty());
    }
}
