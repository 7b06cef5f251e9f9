//! One [`Sample`] per interval, merged from all sources.

mod sample;

pub use sample::*;
