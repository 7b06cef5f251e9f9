//! Who wrote in a span of time, and in what pattern.

mod period;
mod series;

pub use period::periods;
pub use series::{Point, Room, Series};
