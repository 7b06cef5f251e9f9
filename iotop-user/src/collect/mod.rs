//! One [`Sample`] per interval, merged from all sources.

mod accumulate;
mod attribution;
mod collector;
mod devices;
mod live;
pub(crate) mod processes;
mod sample;
mod select;
mod tasks;
mod vmstat;
mod wanted;

pub use accumulate::Accumulator;
pub use collector::{CollectError, Collector, Sources};
pub use sample::*;
pub use select::select;
pub use wanted::{Rows, Wanted};
