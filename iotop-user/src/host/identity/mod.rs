//! Who a task is: its command line, user, cgroup, unit, container and priority.

mod btrfs;
pub(crate) mod cgroup;
pub(crate) mod cmdline;
pub(crate) mod container;
mod executed;
mod files;
mod inquiries;
mod interned;
pub(crate) mod kthread;
mod lookup;
mod mounts;
mod names;
mod place;
pub mod priority;
mod start_times;
mod stat;
mod task_cgroups;
mod threads;
pub(crate) mod unit;
mod users;

pub use cgroup::{CgroupIds, Cgroups};
pub use executed::Executed;
pub use files::Files;
pub use mounts::Mounts;
pub use names::Names;
pub use stat::{Stat, StatError};
pub use threads::{Thread, threads, threads_of};
pub use users::{Users, uid};
