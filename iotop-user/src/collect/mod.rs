//! One [`Sample`] per interval, merged from all sources.

mod attribution;
mod collector;
mod devices;
mod sample;
mod vmstat;

pub use collector::{CollectError, Collector, Sources};
pub use sample::*;
