//! What the host asks of a virtual machine, and the lines of the answer. Both sides
//! compile this file: the test binary that is the guest's init, and `cargo xtask vm`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where the plan lies in the guest.
pub const FILE: &str = "/plan.json";

/// Starts each line that init itself prints; [`Said`] in JSON follows.
pub const MARK: &str = "=== vm: ";

/// What init has to do.
#[derive(Serialize, Deserialize)]
pub struct Plan {
    /// Modules to load, in this order.
    pub modules: Vec<String>,
    /// Files below /proc/sys and what to write to them.
    pub settings: BTreeMap<String, String>,
    pub environment: BTreeMap<String, String>,
    /// Programs with their arguments, run one after the other.
    pub commands: Vec<Vec<String>>,
}

/// A message of init.
#[derive(Serialize, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// Something failed that may be needed later.
    Note(String),
    /// The command of this number begins.
    Begin(usize),
    /// The command has ended, with this exit status, or with 128 and the signal that
    /// killed it.
    End(usize, i32),
    /// Init could not do what it should.
    Failed(String),
    /// All is done; the machine powers off.
    Over,
}
