//! Reads all sources and merges them into one [`Sample`](crate::sample::Sample) per
//! interval.

mod at_turn;
pub(crate) mod attribution;
mod chosen;
mod collector;
pub(crate) mod commits;
pub(crate) mod flush;
mod flush_watch;
mod going_on;
mod known;
pub(crate) mod live;
mod parents;
pub(crate) mod processes;
pub mod recorded;
mod runs;
pub(crate) mod select;
pub(crate) mod spike;
mod tasks;
mod unchanged;
pub(crate) mod wake;
mod waker;
mod wanted;

use std::time::Duration;

pub use chosen::Chosen;
pub use collector::{CollectError, Collector, Sources};
pub use waker::Waker;
pub use wanted::{Exited, Rows, Wanted};

/// How often exited tasks and new files are read from the kernel half, unless it asks sooner
/// ([`Waker`]). Its ring buffers have room for about 13,000 exited tasks, or 65,000 idle ones,
/// and for some hundred to some thousand files.
pub(crate) const GATHER: Duration = Duration::from_millis(100);
