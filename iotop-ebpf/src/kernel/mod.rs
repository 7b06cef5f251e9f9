//! Reading the running kernel.

pub mod clock;
pub mod constants;
pub mod layout;
pub mod memory;
pub mod syscall;
pub mod typed;
pub mod verifier;
