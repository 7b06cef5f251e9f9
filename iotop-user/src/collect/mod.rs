//! One [`Sample`] per interval, merged from all sources.

mod attribution;
mod devices;
mod sample;
mod vmstat;

pub use sample::*;
