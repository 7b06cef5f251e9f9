//! The kernels of the matrix, and the distribution's suite that has each.

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What it is called here.
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

/// For the command line.
pub fn named(name: &str) -> Result<Kernel, String> {
    let found = ALL.into_iter().find(|kernel| kernel.name == name);
    found.ok_or_else(|| format!("there are {}", ALL.map(|kernel| kernel.name).join(", ")))
}
