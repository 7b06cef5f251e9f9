//! The kernels of the matrix, and the distribution's suite that has each.

/// One kernel of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Its name in the matrix.
    pub name: &'static str,
    /// The suite whose newest kernel it is.
    pub suite: &'static str,
    /// The priority of its machine, a nice value: lower than other processes. The newest kernel's
    /// verifier takes longest, so its machine has a CPU for itself.
    pub nice: i32,
    /// How many CPUs its machine has. Only one of them is in use, unless a case takes another.
    pub cpus: u32,
}

/// The lowest priority.
const NICE: i32 = 19;

/// From the oldest to the newest.
pub const ALL: [Kernel; 4] = [
    Kernel {
        name: "5.10",
        suite: "bullseye",
        nice: NICE,
        cpus: 1,
    },
    Kernel {
        name: "6.1",
        suite: "bookworm",
        nice: NICE,
        cpus: 1,
    },
    Kernel {
        name: "6.12",
        suite: "trixie",
        nice: NICE,
        cpus: 1,
    },
    Kernel {
        name: "newest",
        suite: "sid",
        nice: 10,
        cpus: 2,
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
