//! What the program does: one command a file.

pub mod batch;
pub mod doctor;
pub mod sources;
