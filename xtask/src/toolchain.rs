//! Which compiler builds the kernel half: the first of two that is present.
//!
//! Stable Rust from rustup has no `core` for eBPF. Debian's `rustc-web` brings
//! a precompiled one; a rustup nightly with `rust-src` compiles its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{bpf_linker, process};

/// The target triple of the kernel half.
pub const TARGET: &str = "bpfel-unknown-none";

/// Where Debian's LLVM 22 lives: the LLVM of `rustc-web` and of our bpf-linker.
pub const DEBIAN_LLVM: &str = "/usr/lib/llvm-22";

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// A compiler that can build for [`TARGET`].
#[derive(Debug)]
pub enum Toolchain {
    /// Debian's `rustc-web`, `cargo-web` and `libstd-rust-web-dev-bpf`.
    Debian,
    /// A rustup nightly that has `rust-src`, by its full name.
    Nightly(String),
}

impl Toolchain {
    /// The first toolchain that is present.
    pub fn find() -> Result<Toolchain> {
        if debian_is_present() {
            return Ok(Toolchain::Debian);
        }
        match nightly_with_source()? {
            Some(name) => Ok(Toolchain::Nightly(name)),
            None => bail!(
                "no Rust compiler here can build for {TARGET}.\n\
                 Run `cargo xtask setup`, or install one of these by hand:\n\
                 - Debian: apt-get install rustc-web cargo-web libstd-rust-web-dev-bpf\n\
                 - rustup: rustup toolchain install nightly --component rust-src\n\
                 The object is committed: `cargo build` alone needs none of this."
            ),
        }
    }

    fn rustc(&self) -> Command {
        match self {
            Toolchain::Debian => Command::new(DEBIAN_RUSTC),
            Toolchain::Nightly(name) => {
                let mut rustup = Command::new("rustup");
                rustup.args(["run", name, "rustc"]);
                rustup
            }
        }
    }

    /// `cargo build` for [`TARGET`], without flags or a package yet.
    pub fn cargo_build(&self) -> Result<Command> {
        let mut cargo = match self {
            Toolchain::Debian => {
                let mut cargo = Command::new(DEBIAN_CARGO);
                cargo.env("RUSTC", DEBIAN_RUSTC);
                // aya-ebpf wants `asm_experimental_arch`. Crates are named here
                // because aya-build takes a plain 1 for a nightly compiler and
                // turns on build-std.
                cargo.env(
                    "RUSTC_BOOTSTRAP",
                    "aya_ebpf,iotop_ebpf,iotop_trace_ebpf,yardstick",
                );
                cargo.arg("build");
                cargo
            }
            Toolchain::Nightly(name) => {
                let mut cargo = Command::new("rustup");
                cargo.args(["run", name, "cargo", "build", "-Zbuild-std=core"]);
                cargo.env_remove("RUSTC");
                cargo
            }
        };
        // What `cargo run` and rustup set for this program's own toolchain.
        for variable in ["LD_LIBRARY_PATH", "CARGO", "RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
            cargo.env_remove(variable);
        }
        cargo.env("PATH", process::path_with_cargo_home()?);
        cargo.args(["--locked", "--release", "--target", TARGET]);
        Ok(cargo)
    }

    /// Directories of the compiler's own sources as they appear in an object,
    /// and what to write there instead.
    pub fn source_prefixes(&self) -> Result<Vec<(PathBuf, &'static str)>> {
        Ok(match self {
            // Compiled into Debian's `core` as /usr/src/rustc-VERSION, the
            // same on every machine.
            Toolchain::Debian => vec![],
            Toolchain::Nightly(name) => vec![(source_dir(&sysroot(name)?), "/rust")],
        })
    }

    /// llvm-objcopy, or the same program under the name rustup gives it.
    pub fn objcopy(&self) -> Result<PathBuf> {
        let sysroot = match self {
            Toolchain::Debian => None,
            Toolchain::Nightly(name) => Some(sysroot(name)?),
        };
        let rustup = sysroot
            .iter()
            .map(|s| s.join(format!("lib/rustlib/{}/bin/rust-objcopy", host())));
        [Path::new(DEBIAN_LLVM).join("bin/llvm-objcopy")]
            .into_iter()
            .chain(rustup)
            .find(|file| file.is_file())
            .or_else(|| process::find("llvm-objcopy"))
            .with_context(|| {
                "llvm-objcopy was not found: install llvm-22 with apt-get, \
                 or the llvm-tools component with rustup"
            })
    }

    /// The major version of the LLVM that the compiler emits code with.
    pub fn llvm_major(&self) -> Result<u32> {
        let version = process::output(self.rustc().arg("-vV"))?;
        version
            .lines()
            .find_map(|line| line.strip_prefix("LLVM version: "))
            .and_then(|version| version.split('.').next()?.parse().ok())
            .context("rustc -vV does not tell its LLVM version")
    }

    /// One line that names everything that decides about the object's bytes.
    pub fn version(&self) -> Result<String> {
        let rustc = process::output(self.rustc().arg("-V"))?;
        let linker = bpf_linker::version()?;
        let objcopy = self.objcopy()?;
        let llvm = process::output(Command::new(&objcopy).arg("--version"))?;
        let llvm = llvm
            .lines()
            .find_map(|line| line.split_once("LLVM version "))
            .map(|(_, version)| version.trim())
            .with_context(|| format!("{} does not tell its version", objcopy.display()))?;
        Ok(format!("{rustc}, bpf-linker {linker}, LLVM {llvm}"))
    }
}

/// Whether Debian's compiler is here, with `core` for [`TARGET`].
pub fn debian_is_present() -> bool {
    Path::new(DEBIAN_CARGO).is_file()
        && process::output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]))
            .is_ok_and(|sysroot| has_core(Path::new(&sysroot)))
}

fn has_core(sysroot: &Path) -> bool {
    let lib = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    std::fs::read_dir(lib).is_ok_and(|files| {
        files
            .flatten()
            .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// The first rustup nightly that really has the library's sources.
pub fn nightly_with_source() -> Result<Option<String>> {
    if process::find("rustup").is_none() {
        return Ok(None);
    }
    let list = process::output(Command::new("rustup").args(["toolchain", "list"]))?;
    let nightlies = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with("nightly"));
    for name in nightlies {
        if source_dir(&sysroot(name)?)
            .join("core/src/lib.rs")
            .is_file()
        {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

fn source_dir(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

fn sysroot(toolchain: &str) -> Result<PathBuf> {
    let mut rustc = Command::new("rustup");
    rustc.args(["run", toolchain, "rustc", "--print", "sysroot"]);
    process::output(&mut rustc).map(PathBuf::from)
}

fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}
