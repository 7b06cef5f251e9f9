//! Who a task is: its names, looked up once.

mod cache;
mod priority;
mod stat;
mod threads;
mod users;

pub use cache::Identities;
pub use stat::{Stat, StatError};
pub use threads::{Thread, threads};
pub use users::{Users, uid};
