//! What the program can be asked to do: one command per file, and the sources that they
//! open.

pub mod batch;
mod covered;
pub mod doctor;
mod export;
pub mod record;
pub mod replay;
pub mod report;
pub mod run;
pub mod sources;
pub mod waiting;
mod woken;
