//! Recordings: samples as NDJSON lines in files, and back.
//!
//! [`lines`] writes every part of a [`Sample`] as lines of the NDJSON contract, and [`restore`]
//! makes the same sample of them. Not in the lines are [`Sample::for_others`], which follows from
//! the facts, and [`Sample::groups`], which a view makes.

mod lines;
mod parts;
mod restore;

pub use lines::lines;
pub use restore::{BadLine, Restorer};

#[cfg(doc)]
use crate::sample::Sample;
#[cfg(test)]
mod drawn;
#[cfg(test)]
mod identity;
