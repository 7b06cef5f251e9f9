//! Who wrote in a span of time, how much it cost, and in what pattern.
//!
//! [`Gather`] adds up samples, one after the other, in bounded memory; its [`Report`] is
//! formatted as text, HTML, CSV or NDJSON. Two reports make a [`Comparison`].
//!
//! The bytes of all rows, those of the smaller rows that were folded into one
//! ([`Report::other`]) and the unattributed bytes add up to the bytes of the system, whatever
//! the rows are.

pub(crate) mod by;
mod changes;
mod clock;
mod compare;
mod csv;
mod gather;
mod head;
mod heavy;
mod html;
mod ledger;
mod lifetime;
mod ndjson;
mod period;
pub(crate) mod rest;
mod rows;
mod series;
mod shown;
mod span;
mod text;
mod times;
mod usage;
mod words;

pub use by::ReportBy;
pub(crate) use by::{directory, lasting};
pub use changes::changes_text;
pub use clock::{Clock, During};
pub use compare::{Change, Changed, Comparison, compare};
pub use csv::{changes_csv, csv};
pub use gather::Gather;
pub use heavy::Kept;
pub use html::Html;
pub use lifetime::{Lifetime, lifetimes};
pub use ndjson::{changes_ndjson, ndjson};
pub use period::periods;
pub(crate) use rest::owned;
pub use rows::{Part, Report, ReportRow, file_size};
pub use series::{Point, Room, Series};
pub use span::{Daily, Span};
pub use text::Text;
pub use times::Times;
pub use usage::{OnOneDevice, Usage};
pub(crate) use words::{bytes, part};

#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
