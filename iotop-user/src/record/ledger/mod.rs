//! The daily totals of recordings that have gone: who wrote how much on a day, by unit, container,
//! command, directory and device.
//!
//! # Why no byte is lost or counted twice
//!
//! The frames of a file are the only source of truth as long as the file is there. When it has to
//! go, because it is too old or there is no room, its samples are added to the totals of its day
//! first. The totals of a day are one file, `2026-11-28.7.ledger.zst`: they hold the files 1 to 7
//! of that day. A day's files are removed in their order, so this one number says which of them
//! the totals hold.
//!
//! 1. The totals up to file 6 and the samples of file 7 are added up in memory.
//! 2. They are written to a new file, `….7.ledger.zst`, and synced, and so is the directory.
//! 3. File 7 of the recording is removed.
//! 4. The old totals, `….6.ledger.zst`, are removed.
//!
//! A reader takes the totals with the highest number that are whole (zstd's checksum, and sums
//! that add up), and of the recording the files with a higher number. So before step 2 is done
//! file 7 counts, and after it the totals do, whether or not file 7 is still there. A stop
//! anywhere leaves one of these two states, and the next recorder repeats or finishes the rest.
//! A new file of the day gets a number above both those of its files and that of its totals.
//!
//! If the disk is full, there may be no room for step 2. Then step 3 comes first, and the totals
//! are written from memory into the room that it made. Only a kill between these two steps loses
//! the totals of one file, and nothing can count twice.
//!
//! # How much there is
//!
//! A day has at most [`MOST_ROWS`] rows; the smaller ones are added up by device. Totals of the
//! newest 400 days are kept, in at most a quarter of `--max-size`.

mod files;
mod fold;
mod lines;
mod row;
mod totals;

pub use files::Ledgers;
#[cfg(test)]
pub(super) use files::stop;
pub(super) use files::{Name, read_of_day, remove, write};
pub(super) use fold::Folding;
pub use lines::BadLedger;
pub use row::{Kind, Row, RowKey};
pub use totals::{Between, Ledger};

/// A day's totals have at most this many rows. While they are added up, it may be twice as many.
pub const MOST_ROWS: usize = 1000;

#[cfg(test)]
mod tests;
