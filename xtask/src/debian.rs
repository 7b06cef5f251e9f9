//! Packages of Debian and its derivatives.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{mirror, privilege, process, workspace};

const INSTALL: [&str; 5] = [
    "install",
    "-y",
    "-qq",
    "--no-install-recommends",
    "--no-remove",
];

/// Whether this is a system with Debian packages.
pub fn is_here() -> bool {
    process::find("dpkg-query").is_some() && process::find("apt-get").is_some()
}

/// Those of `packages` that are not installed.
pub fn missing(packages: &[&'static str]) -> Result<Vec<&'static str>> {
    // dpkg-query fails as soon as one name is unknown to it, and still lists
    // the others.
    let list = Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status} ${Package}\n"])
        .args(packages)
        .output()
        .context("could not start dpkg-query")?;
    let list = String::from_utf8_lossy(&list.stdout);
    let installed: Vec<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .collect();
    Ok(packages
        .iter()
        .copied()
        .filter(|package| !installed.contains(package))
        .collect())
}

/// Whether the package lists know every one of `packages`.
pub fn offers(packages: &[&str]) -> bool {
    packages.iter().all(|package| {
        Command::new("apt-cache")
            .args(["show", package])
            .output()
            .is_ok_and(|out| out.status.success() && !out.stdout.is_empty())
    })
}

/// `apt-get update`.
pub fn update() -> Result<()> {
    process::run(&mut apt_get(&["update", "-qq"])?)
}

/// Installs `packages`; fails rather than remove another one for them.
pub fn install(packages: &[&str]) -> Result<()> {
    process::run(apt_get(&INSTALL)?.args(packages)).with_context(|| by_hand(packages))
}

/// Installs one package; from the release's backports if the release's own version does
/// not go together with what is installed from there.
pub fn install_or_backport(package: &str) -> Result<()> {
    let mut simulated = apt_get(&INSTALL)?;
    let Err(refused) = process::output(simulated.args(["--simulate", package])) else {
        return install(&[package]);
    };
    let Some(apt) = Backports::find()? else {
        return Err(refused).with_context(|| by_hand(&[package]));
    };
    eprintln!("{refused:#}\n{package} is taken from {} instead", apt.suite);
    process::run(&mut apt.command(&["update", "-qq", "--error-on=any"])?)?;
    let mut backport = apt.command(&INSTALL)?;
    process::run(backport.args(["-t", &apt.suite, package])).with_context(|| by_hand(&[package]))
}

fn by_hand(packages: &[&str]) -> String {
    format!(
        "could not install {}: install the missing ones by hand",
        packages.join(" ")
    )
}

/// apt with lists of its own, of this release and of its backports; the
/// system's sources stay as they are.
struct Backports {
    suite: String,
    options: [String; 4],
}

impl Backports {
    /// `None` if this is not a release of Debian itself.
    fn find() -> Result<Option<Backports>> {
        let system = fs::read_to_string("/etc/os-release")?;
        let of = |name| system.lines().find_map(|line| line.strip_prefix(name));
        let (Some("debian"), Some(release)) = (of("ID="), of("VERSION_CODENAME=")) else {
            return Ok(None);
        };
        let suite = format!("{release}-backports");
        let dir = workspace::target().join("backports");
        let lists = dir.join("lists");
        fs::create_dir_all(lists.join("partial"))?;
        let sources = dir.join("sources.list");
        let suites = [release, &format!("{release}-updates"), &suite];
        fs::write(&sources, suites.map(mirror::source).concat())?;
        let options = [
            format!("Dir::State::lists={}", lists.display()),
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            // apt's own user may not read there.
            "APT::Sandbox::User=root".to_owned(),
        ];
        Ok(Some(Backports { suite, options }))
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = apt_get(arguments)?;
        for option in &self.options {
            command.args(["-o", option]);
        }
        Ok(command)
    }
}

fn apt_get(arguments: &[&str]) -> Result<Command> {
    // `env` carries the variable through a sudo that clears the environment.
    let mut command = privilege::command("env")?;
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(arguments);
    Ok(command)
}
