//! Packages of Debian and its derivatives.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{privilege, process};

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
    let options = [
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "--no-remove",
    ];
    process::run(apt_get(&options)?.args(packages)).with_context(|| {
        format!(
            "could not install {}: install by hand what is missing of them",
            packages.join(" ")
        )
    })
}

fn apt_get(arguments: &[&str]) -> Result<Command> {
    // `env` carries the variable through a sudo that clears the environment.
    let mut command = privilege::command("env")?;
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(arguments);
    Ok(command)
}
