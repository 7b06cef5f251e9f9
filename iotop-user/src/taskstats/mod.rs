//! taskstats: the kernel's own counters for each thread, over generic netlink
//! (Documentation/accounting/taskstats.rst).

mod record;
mod socket;

pub use record::{RecordError, Taskstats};
pub use socket::{TaskstatsError, TaskstatsSocket};
