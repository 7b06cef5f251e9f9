//! One [`Sample`] per interval, merged from all sources.

mod accumulate;
pub(crate) mod attribution;
mod collector;
pub mod devices;
mod disks;
pub(crate) mod flush;
mod flush_watch;
mod going_on;
pub(crate) mod group;
mod lags;
mod live;
pub(crate) mod processes;
mod runs;
mod sample;
pub(crate) mod select;
pub(crate) mod spike;
mod task_io;
mod tasks;
mod totals;
mod vmstat;
mod wanted;
mod written;

pub use accumulate::{Accumulator, Kept, sum_lost};
pub use collector::{CollectError, Collector, Sources};
pub use disks::Disk;
pub use flush::{Flush, FlushFile, FlushOwner, Reason};
pub use group::{By, group};
pub use lags::{FlushLag, Lags};
pub use runs::{Asker, Run};
pub use sample::*;
pub use select::on_device;
pub use spike::{Spike, SpikePart, SpikeRule};
pub use wanted::{Rows, Wanted};
pub use written::Written;
