//! taskstats: the kernel's own counters for each thread, over generic netlink
//! (Documentation/accounting/taskstats.rst).

mod channel;
mod error;
mod exits;
mod inbox;
pub(crate) mod message;
#[cfg(test)]
pub(crate) mod needs;
mod options;
mod record;
mod socket;

pub use error::TaskstatsError;
pub use exits::ExitListener;
pub use inbox::{ExitLosses, ExitRecords};
pub use record::{RecordError, Taskstats};
pub use socket::TaskstatsSocket;
