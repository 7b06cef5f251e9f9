//! Recordings: samples as NDJSON lines in files, and back.
//!
//! [`lines`] writes every part of a [`Sample`] as lines of the NDJSON contract, and a [`Restorer`]
//! makes the same sample of them. Not in the lines are [`Sample::for_others`], which follows from
//! the facts, and [`Sample::groups`], which a view makes.

mod day;
mod frame;
mod gap;
mod ledger;
mod likely;
mod lines;
mod parts;
mod read;
mod recorder;
mod restore;
mod store;
mod timeline;

pub use day::{Day, Index, Placed};
pub use frame::{Entry, Frame};
pub use gap::{Gap, local, start};
pub use ledger::{
    BadLedger, Between, Kind as LedgerKind, Ledger, Ledgers, Row as LedgerRow, RowKey,
};
pub use lines::lines;
pub use read::{Recording, RecordingError, Samples, Skipped, Span, too_early};
pub use recorder::recorder;
pub use restore::{BadLine, Restorer};
pub use store::{Outcome, Retention, Store, StoreError};
pub use timeline::{Decoded, Position, Timeline};

#[cfg(doc)]
use crate::sample::Sample;
#[cfg(test)]
mod drawn;
#[cfg(test)]
mod identity;
