//! What the live view knows and shows: it draws nothing and reads no key.

pub mod app;
pub mod branch;
pub mod busy;
pub mod columns;
pub mod detail;
pub mod fold;
pub mod gone;
pub mod history;
pub mod lately;
pub mod log;
pub mod menu;
pub mod order;
pub mod pages;
pub mod places;
pub mod prompt;
pub mod recent;
pub mod replaying;
pub mod rows;
pub mod settings;
pub mod shown;
pub mod tree;
pub mod waited;
pub mod wakes;
pub mod whom;
