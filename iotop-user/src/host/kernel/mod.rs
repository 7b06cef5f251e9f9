//! What this kernel offers: its types, its memory, its settings, and what this process may
//! do.

pub mod btf;
pub mod capabilities;
pub mod clock;
pub mod counted;
pub mod frames;
pub mod hooks;
pub mod landlock;
pub mod layout;
pub mod limits;
pub mod memory;
pub mod priority;
pub mod reasons;
pub mod seccomp;
pub mod syscalls;
pub mod sysctls;
pub mod uevents;

#[cfg(test)]
mod recorded;
