//! The harness: real devices, real writers, the real binary beside them.

pub mod checks;
pub mod command;
pub mod counters;
pub mod deadline;
pub mod device;
pub mod disk;
pub mod fuse;
pub mod init;
pub mod mount;
pub mod ndjson;
pub mod needs;
pub mod plan;
pub mod process;
pub mod run;
pub mod selftest;
pub mod settings;
pub mod tracer;
pub mod writer;
