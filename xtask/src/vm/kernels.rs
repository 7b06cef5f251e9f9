//! The kernels of the matrix, and the distribution's suite that has each.

/// One kernel of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its name in the matrix.
    pub name: &'static str,
    /// The suite whose newest kernel it is.
    pub suite: &'static str,
}

/// From the oldest to the newest.
pub const ALL: [Kernel; 4] = [
    Kernel {
        name: "5.10",
        suite: "bullseye",
    },
    Kernel {
        name: "6.1",
        suite: "bookworm",
    },
    Kernel {
        name: "6.12",
        suite: "trixie",
    },
    Kernel {
        name: "newest",
        suite: "sid",
    },
];

/// The kernel with this name, for the command line.
pub fn named(name: &str) -> Result<Kernel, String> {
    let found = ALL.into_iter().find(|kernel| kernel.name == name);
    found.ok_or_else(|| {
        format!(
            "the kernels are {}",
            ALL.map(|kernel| kernel.name).join(", ")
        )
    })
}
