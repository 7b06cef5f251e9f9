//! One [`Sample`](crate::sample::Sample) per interval, merged from all sources.

pub(crate) mod attribution;
mod collector;
pub(crate) mod flush;
mod flush_watch;
mod going_on;
mod known;
mod live;
pub(crate) mod processes;
mod runs;
pub(crate) mod select;
pub(crate) mod spike;
mod tasks;
mod wanted;

use std::time::Duration;

pub use collector::{CollectError, Collector, Sources};
pub use wanted::{Rows, Wanted};

/// How often the tasks that exited, and the files that are new, are taken in:
/// the kernel half has room for seven thousand, and for some hundred to some thousand.
pub(crate) const GATHER: Duration = Duration::from_millis(100);
