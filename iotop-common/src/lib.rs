//! The types that cross the border between the kernel half (`iotop-ebpf`) and
//! the user half (`iotop-user`).
//!
//! Everything here is `#[repr(C)]`, has no padding (sizes are asserted), and
//! accepts any bit pattern: it is written by one side and read as bytes by the
//! other.

#![no_std]

pub mod fact;
pub mod owner;
pub mod tag;

pub use fact::{Class, Fact, FactKey, Lost, Totals};
pub use owner::{InodeKey, InodeOwner, Owner, OwnerRef};
pub use tag::Tag;
