//! The harness: real devices, real writers, the real binary beside them.

pub mod checks;
pub mod command;
pub mod counters;
pub mod deadline;
pub mod device;
pub mod disk;
pub mod format;
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
#[expect(unused_imports, reason = "its own tests run in xtask")]
#[path = "../../xtask/src/bench/stats.rs"]
pub mod stats;
pub mod swap;
pub mod tracer;
pub mod trial;
pub mod writer;
