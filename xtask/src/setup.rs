//! Installs what building the kernel half and running the tests need.

use anyhow::{Result, bail};

use crate::toolchain::{self, Toolchain};
use crate::{bpf_linker, debian, process, python};

/// A compiler with `core` for eBPF, and LLVM 22 to build bpf-linker with.
const KERNEL_HALF: [&str; 8] = [
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev-bpf",
    "llvm-22",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
];

/// File systems, loop devices, loads and peers for the tests and benchmarks.
const TESTS: [&str; 19] = [
    "e2fsprogs",
    "xfsprogs",
    "btrfs-progs",
    "fio",
    "util-linux",
    "mount",
    "dmsetup",
    "bindfs",
    "iotop-c",
    "tmux",
    // Opens reports in HTML.
    "chromium",
    // The check for aarch64 compiles zstd, which is written in C.
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    // For what reads the exports, see `python`.
    "python3-venv",
    // Other kernels: to fetch them, to unpack them and their modules.
    "debian-archive-keyring",
    "kmod",
    "xz-utils",
    "lz4",
    "zstd",
];

/// Boots other kernels. It conflicts with qemu-utils of another version.
const QEMU: &str = "qemu-system-x86";

/// What the benchmarks compare with, if the distribution has it.
const PEERS: [&str; 2] = ["iotop", "iotop-c"];

/// The programs that show on another distribution that [`TESTS`] are installed.
const TEST_PROGRAMS: [&str; 11] = [
    "mkfs.ext4",
    "mkfs.xfs",
    "mkfs.btrfs",
    "fio",
    "losetup",
    "mount",
    "dmsetup",
    "bindfs",
    "iotop-c",
    "tmux",
    "chromium",
];

/// The loads of the benchmarks, and a peer that records. Debian starts a server as soon as
/// `postgresql` or `atop` is installed, so only `--bench` installs these.
const LOADS: [&str; 5] = ["sqlite3", "git", "postgresql", "stress-ng", "atop"];

#[derive(clap::Args, Default)]
pub struct Options {
    /// Also install the loads of the benchmarks: sqlite3, git, postgresql, stress-ng, atop
    #[arg(long)]
    bench: bool,
}

pub fn run(options: &Options) -> Result<()> {
    if debian::is_here() {
        packages()?;
    } else {
        test_programs()?;
    }
    if options.bench {
        loads()?;
    }
    python::install();
    bpf_linker::install(&Toolchain::find()?)?;
    eprintln!("Everything that the build and the tests need is installed.");
    Ok(())
}

/// Installs the peers that the distribution has.
pub fn peers() -> Result<()> {
    if !debian::is_here() {
        return Ok(());
    }
    let mut missing = debian::missing(&PEERS)?;
    if missing.is_empty() {
        return Ok(());
    }
    debian::update()?;
    missing.retain(|package| debian::offers(&[package]));
    debian::install(&missing)
}

fn loads() -> Result<()> {
    if !debian::is_here() {
        bail!("install sqlite3, git, stress-ng and PostgreSQL with pgbench by hand");
    }
    let missing = debian::missing(&LOADS)?;
    if missing.is_empty() {
        return Ok(());
    }
    debian::update()?;
    debian::install(&missing)
}

fn packages() -> Result<()> {
    let kernel_half = debian::missing(&KERNEL_HALF)?;
    let mut missing = debian::missing(&TESTS)?;
    let qemu = debian::missing(&[QEMU])?;
    let all = [&kernel_half[..], &missing[..], &qemu[..]].concat();
    if all.is_empty() {
        return Ok(());
    }
    eprintln!("Not installed: {}", all.join(" "));
    debian::update()?;
    if debian::offers(&kernel_half) {
        missing.extend(kernel_half);
    } else if let Some(nightly) = toolchain::nightly_with_source()? {
        eprintln!("This distribution has no rustc-web; {nightly} of rustup takes its place.");
    } else {
        bail!(
            "this distribution does not offer all of {}.\n\
             Install a nightly compiler by hand: \
             rustup toolchain install nightly --component rust-src",
            kernel_half.join(" ")
        );
    }
    if !missing.is_empty() {
        debian::install(&missing)?;
    }
    match qemu[..] {
        [qemu] => debian::install_or_backport(qemu),
        _ => Ok(()),
    }
}

fn test_programs() -> Result<()> {
    let missing: Vec<&str> = TEST_PROGRAMS
        .into_iter()
        .filter(|program| process::find(program).is_none())
        .collect();
    if !missing.is_empty() {
        bail!(
            "the tests need {}, and only Debian's packages can be installed from here: \
             install e2fsprogs, xfsprogs, btrfs-progs, fio, util-linux, dmsetup, bindfs, iotop-c, tmux and chromium by hand",
            missing.join(" ")
        );
    }
    Ok(())
}
