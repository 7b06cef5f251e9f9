//! The Python packages that the tests of exports read files with, below the target directory.

use std::{fs, process::Command};

use anyhow::Result;

use crate::{process, workspace};

/// Pinned: another version may answer otherwise.
const PACKAGES: [&str; 3] = ["duckdb==2.0.1", "perfetto==0.59.1", "protobuf==7.36.2"];

/// Installs them where PyPI can be reached. Tests say that they lack them otherwise.
pub fn install() {
    let installed = try_install();
    if let Err(error) = installed {
        eprintln!("Exports are not tested with the tools that read them: {error:#}");
    }
}

fn try_install() -> Result<()> {
    let directory = workspace::target().join("python");
    let stamp = directory.join("installed");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("installing {}", PACKAGES.join(", "));
    let mut venv = Command::new("python3");
    process::run(venv.args(["-m", "venv", "--clear"]).arg(&directory))?;
    let mut pip = Command::new(directory.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet"]);
    pip.args(["--disable-pip-version-check", "--only-binary", ":all:"]);
    process::run(pip.args(PACKAGES))?;
    Ok(fs::write(stamp, wanted)?)
}
