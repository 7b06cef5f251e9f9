//! What this kernel offers: its types, its memory, its switches, and what we
//! may do with it.

pub mod btf;
pub mod capabilities;
pub mod clock;
pub mod counted;
pub mod frames;
pub mod hooks;
pub mod layout;
pub mod limits;
pub mod memory;
pub mod reasons;
pub mod syscalls;
pub mod sysctls;
pub mod uevents;

#[cfg(test)]
mod recorded;
