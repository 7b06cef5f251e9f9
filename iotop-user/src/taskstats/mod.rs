//! taskstats: the kernel's counters of each thread, through generic netlink.

mod exits;
mod record;
mod socket;

pub use exits::{Exit, ExitListener, Exits};
pub use record::{RecordError, Taskstats};
pub use socket::{TaskstatsError, TaskstatsSocket};
