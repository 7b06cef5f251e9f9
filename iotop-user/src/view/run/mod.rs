//! What a command really cost: what it and all of its descendants did, added up over samples.

mod cost;
mod descendants;
mod tally;

pub use cost::{Cost, FileCost};
pub use descendants::{Descendants, Side};
pub use tally::Tally;
