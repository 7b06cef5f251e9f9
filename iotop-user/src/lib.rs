//! iotop-trace: which task really caused the disk writes.
//!
//! # How data flows
//!
//! ```text
//! kernel half (iotop-ebpf)          the kernel
//!   maps: TAGS OWNERS FACTS ...       netlink taskstats, /proc, /sys
//!        |                                 |
//!     probe/                          taskstats/  host/
//!        |     epochs                      |  counters, names, devices
//!        +----------------+----------------+
//!                         |
//!                      collect/      gathers and merges, once an interval
//!                         |
//!                      sample/       one Sample: plain data
//!                         |
//!                       view/        which rows, of which device, grouped, summed, sorted
//!                         |
//!             output/ ----+---- tui/           report/
//!        text, NDJSON, CSV      the live screen     samples of a long span, added up
//! ```
//!
//! `export/` writes recorded samples as files of other tools: Parquet, Perfetto.
//!
//! `record/` writes samples as lines into files, and makes samples of them again. A view or an
//! output does not know where its sample comes from.
//!
//! `commands/` holds what the command line (`cli/`) can ask for: the batch, `run`, `record`,
//! `replay`, `doctor`. Modules import downwards only: `commands` and `tui` from all others; `cli` from
//! `record`, `output`, `view` and `collect`; `record` from `output`; `export` from `report`; `report` from `output` and
//! `view`; `output` from `view`; `view` from `host`, and from
//! `collect` only [`collect::Wanted`]; `collect` from `probe`, `taskstats` and `host`; all
//! from `sample`.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | owner | the task that dirtied a page first; of direct I/O and reads, the task that submits them |
//! | submitter | the task that hands a bio to the block layer: the owner, a flusher, jbd2, a `sync` |
//! | flusher | a kworker that runs `wb_workfn` (writeback) |
//! | helper | the process that has only the rights of the user who runs the program |
//! | supervisor | the process that starts the command of `run` and becomes the parent of its orphans |
//! | slot | the number of a task among the owners in the kernel half; a page's tag holds it |
//! | tag | four bytes for each page frame: who dirtied the page, when, and what has become of it |
//! | class | how bytes came to their owner: exact, shared, direct, or why they have none |
//! | shared, estimated | with an owner that is not known exactly; `~` in explanations and rows |
//! | home | the final place of metadata on the device, as opposed to its copy in a journal |
//! | fact | bytes of one (owner, submitter, device, inode, class) in an epoch |
//! | epoch | what the kernel half counts between two samples; one of two sets of maps |
//! | lag | the time from dirtying a page to submitting its bio |
//! | run | one `wb_writeback` of a flusher, with its reason |
//! | flush | what one submitter wrote to one device in an interval for one reason |
//! | frame | about a minute of recorded samples, which can be read without any other |
//! | spike | a device was written to much more than usual for some intervals |
//! | wake-up | the first request to a disk after silence: no request in at least one whole interval |
//! | suspect | who made requests in the interval of a wake-up, and may have made the first one |

pub mod causes;
pub mod cli;
pub mod collect;
pub mod commands;
pub mod escape;
pub mod export;
#[cfg(test)]
pub mod golden;
pub mod host;
#[cfg(test)]
mod hostile;
pub mod output;
pub mod probe;
pub mod record;
pub mod report;
pub mod sample;
pub mod taskstats;
pub mod tui;
pub mod view;
