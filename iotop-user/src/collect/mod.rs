//! One [`Sample`] per interval, merged from all sources.

mod accumulate;
pub(crate) mod attribution;
mod collector;
pub mod devices;
pub(crate) mod flush;
mod group;
mod live;
pub(crate) mod processes;
mod sample;
pub(crate) mod select;
mod task_io;
mod tasks;
mod totals;
mod vmstat;
mod wanted;

pub use accumulate::{Accumulator, Kept};
pub use collector::{CollectError, Collector, Sources};
pub use flush::{Flush, FlushFile, FlushOwner, Reason};
pub use group::{By, group};
pub use sample::*;
pub use select::on_device;
pub use wanted::{Rows, Wanted};
