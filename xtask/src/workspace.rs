//! Where things are in the repository.

use std::path::{Path, PathBuf};

/// The top of the checkout.
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// The committed object of the kernel half; the program embeds it.
pub fn committed_object() -> PathBuf {
    root().join("iotop-user/src/probe/iotop-trace.bpf.o")
}

/// The target directory of the kernel half: another compiler works there.
pub fn ebpf_target() -> PathBuf {
    root().join("target/ebpf")
}
