//! Compiles the kernel half, to the same bytes from any checkout directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::toolchain::{TARGET, Toolchain};
use crate::{check_ebpf, object, process, workspace};

/// The binary of the kernel half that becomes the committed object.
const BINARY: &str = "iotop-trace-ebpf";

#[derive(clap::Args)]
pub struct Options {
    /// Build to another place and fail when the committed object differs
    #[arg(long, conflicts_with = "log")]
    check: bool,
    /// Build with messages through aya-log, to target/ebpf/iotop-trace-log.bpf.o
    #[arg(long)]
    log: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let target = workspace::ebpf_target();
    if options.check {
        let rebuilt = target.join("iotop-trace-check.bpf.o");
        build(BINARY, &[], &rebuilt)?;
        check_ebpf::check(&rebuilt)
    } else if options.log {
        build(BINARY, &["log"], &target.join("iotop-trace-log.bpf.o"))
    } else {
        build(BINARY, &[], &workspace::committed_object())
    }
}

/// Compiles the kernel half, and warns if the committed object is older.
pub fn compare() -> Result<()> {
    let rebuilt = workspace::ebpf_target().join("iotop-trace-check.bpf.o");
    build(BINARY, &[], &rebuilt)?;
    check_ebpf::warn_if_stale(&rebuilt)
}

/// Builds a binary of the kernel half into `object`.
pub fn build(binary: &str, features: &[&str], object: &Path) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let target = workspace::ebpf_target();
    compile(&toolchain, binary, features, &target)?;
    let linked = target.join(TARGET).join("release").join(binary);
    object::finish(&toolchain, &linked, object)?;
    let size = std::fs::metadata(object)?.len();
    eprintln!("{}: {size} bytes", object.display());
    Ok(())
}

fn compile(toolchain: &Toolchain, binary: &str, features: &[&str], target: &Path) -> Result<()> {
    let mut cargo = toolchain.cargo_build()?;
    cargo
        .current_dir(workspace::root())
        .args(["--package", "iotop-ebpf", "--bin", binary])
        .args(["--features", &features.join(",")])
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(toolchain)?);
    process::run(&mut cargo)
}

/// Flags for rustc, as cargo takes them: separated by the byte 0x1f.
fn rustflags(toolchain: &Toolchain) -> Result<OsString> {
    let mut flags = OsString::from(
        [
            r#"--cfg=bpf_target_arch="x86_64""#,
            "-Cdebuginfo=2",
            "-Clinker=bpf-linker",
            "-Clink-arg=--btf",
        ]
        .join("\x1f"),
    );
    // The workspace becomes ".", so that the linker, which runs at its top,
    // still finds our lines and puts them into BTF for the verifier to quote.
    // Of several prefixes that fit rustc takes the last.
    let workspace = (workspace::root().to_owned(), ".");
    let registries = registry_sources()?.into_iter().map(|dir| (dir, "/cargo"));
    let compiler = toolchain.source_prefixes()?;
    for (from, to) in [workspace].into_iter().chain(registries).chain(compiler) {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

/// Where cargo unpacks crates: one directory for each registry. Its name holds
/// a hash of the registry's address, so the crates must be there first.
fn registry_sources() -> Result<Vec<PathBuf>> {
    process::run(workspace::cargo("fetch").args(["--quiet", "--target", TARGET]))?;
    let dir = process::cargo_home().join("registry/src");
    std::fs::read_dir(&dir)
        .with_context(|| format!("could not list {}", dir.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect()
}
