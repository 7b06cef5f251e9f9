//! Compiles the kernel half, the same bytes from any checkout directory.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::toolchain::Toolchain;
use crate::{object, process, toolchain, workspace};

/// The kernel half's binary.
const BINARY: &str = "iotop-trace-ebpf";

#[derive(clap::Args)]
pub struct Options {
    /// Build with messages through aya-log, to target/ebpf/iotop-trace-log.bpf.o
    #[arg(long)]
    log: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let toolchain = Toolchain::find()?;
    let object = if options.log {
        workspace::ebpf_target().join("iotop-trace-log.bpf.o")
    } else {
        workspace::committed_object()
    };
    build(&toolchain, options.log, &object)?;
    let size = std::fs::metadata(&object)?.len();
    eprintln!("{}: {size} bytes", object.display());
    Ok(())
}

/// Builds the kernel half into `object`.
fn build(toolchain: &Toolchain, log: bool, object: &Path) -> Result<()> {
    let features: &[&str] = if log { &["log"] } else { &[] };
    let target_dir = workspace::ebpf_target();
    compile(toolchain, BINARY, features, &target_dir)?;
    object::finish(toolchain, &object::linked(&target_dir, BINARY), object)
}

fn compile(
    toolchain: &Toolchain,
    binary: &str,
    features: &[&str],
    target_dir: &Path,
) -> Result<()> {
    let mut cargo = toolchain.cargo_build()?;
    cargo
        .current_dir(workspace::root())
        .args(["--package", "iotop-ebpf", "--bin", binary])
        .args(["--features", &features.join(",")])
        .arg("--target-dir")
        .arg(target_dir)
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
    let registries = registry_sources()?.into_iter().map(|dir| (dir, "/cargo"));
    // The workspace becomes ".", so that the linker, which runs at its top,
    // still finds our lines and puts them into BTF for the verifier to quote.
    let workspace = (workspace::root().to_owned(), ".");
    for (from, to) in toolchain
        .source_prefixes()?
        .into_iter()
        .chain(registries)
        .chain([workspace])
    {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}

/// Where cargo unpacks crates: one directory for each registry. Its name holds
/// a hash of the registry's address, so the crates must be there first.
fn registry_sources() -> Result<Vec<std::path::PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    process::run(Command::new(cargo).current_dir(workspace::root()).args([
        "fetch",
        "--locked",
        "--quiet",
        "--target",
        toolchain::TARGET,
    ]))?;
    let dir = process::cargo_home().join("registry/src");
    std::fs::read_dir(&dir)
        .with_context(|| format!("could not list {}", dir.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect()
}
