//! What a cgroup's path names.

use std::sync::Arc;

use super::{container, unit};

/// The unit and the container of a cgroup.
#[derive(Clone, Debug)]
pub struct Place {
    /// The systemd unit.
    pub unit: Option<Arc<str>>,
    /// The innermost container.
    pub container: Option<Arc<str>>,
}

impl Place {
    /// What this path names.
    pub fn of(cgroup: &str) -> Place {
        Place {
            unit: unit::of(cgroup).map(Arc::from),
            container: container::of(cgroup).map(Arc::from),
        }
    }
}
