//! iotop-trace: who really caused the disk writes.
//!
//! Data flows one way: the kernel half fills maps, [`collect`] merges them with
//! taskstats and `/proc/vmstat` into one [`collect::Sample`] per interval, and
//! everything downstream only reads Samples.

pub mod batch;
pub mod causes;
pub mod cli;
pub mod collect;
pub mod doctor;
pub mod identity;
pub mod kernel;
pub mod output;
pub mod probe;
pub mod sources;
pub mod taskstats;
pub mod tui;
pub mod view;
