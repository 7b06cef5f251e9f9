//! What keys and the mouse do.

mod actions;
mod answers;
pub mod keys;
mod menu;
mod mouse;
