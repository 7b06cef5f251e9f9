//! What this machine is: its kernel, its devices, its tasks' identities.

pub mod devices;
pub mod disks;
pub mod helper;
pub mod hidepid;
pub mod identity;
pub mod invoker;
pub mod io_max;
pub mod kernel;
pub(crate) mod loadavg;
mod notice;
pub(crate) mod replace;
pub mod room;
pub mod sandbox;
pub mod signals;
pub mod smart;
pub mod supervisor;
pub(crate) mod task_io;
pub(crate) mod user_file;
pub(crate) mod vmstat;

pub use notice::Notice;
