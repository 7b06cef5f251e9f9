//! What the kernel half knows, and the rules for it.
//!
//! | about    | files                                                                 |
//! |----------|-----------------------------------------------------------------------|
//! | requests | [`control`]                                                           |
//! | tasks    | [`program`], [`slot`], [`current`], [`task`]                          |
//! | files    | [`inode`], [`known_inode`], [`last_dirtier`], [`read_file`], [`path`] |
//! | mappings | [`mapping`], [`mapping_kind`], [`tagged_mapping`]                     |
//! | pages    | [`folio`], [`page_cache`], [`frame`], [`any_page`]                    |
//! | tags     | [`retag`] sets, [`page_charge`] takes, [`dropped`] clears them        |
//! | writes   | [`write_range`], [`folio_walk`]                                       |
//! | bios     | [`bio`], [`submitter`], [`partition`], [`held_back`], [`nowait`]      |
//! | flushes  | [`flusher_run`]; [`flushed`] for btrfs                                |
//! | metadata | [`journal`] deals; [`commit`], [`acts_for`], [`logged`], [`metadata`] find whose |
//! | commits  | [`cause`] counts what makes a journal commit; [`at_journal`] for what a task began |
//! | records  | [`record`]                                                            |
//! | counting | [`page_kind`], [`charge`], [`page_charge`], [`epoch`], [`facts`]      |

pub mod acts_for;
pub mod any_page;
pub mod at_journal;
pub mod bio;
pub mod cause;
pub mod charge;
pub mod commit;
pub mod control;
pub mod crowd;
pub mod current;
pub mod dropped;
pub mod epoch;
pub mod facts;
pub mod flushed;
pub mod flusher_run;
pub mod folio;
pub mod folio_walk;
pub mod frame;
pub mod held_back;
pub mod inode;
pub mod journal;
pub mod known_inode;
pub mod last_dirtier;
pub mod logged;
pub mod mapping;
pub mod mapping_kind;
pub mod metadata;
pub mod nowait;
pub mod numbered;
pub mod page_cache;
pub mod page_charge;
pub mod page_kind;
pub mod partition;
pub mod path;
pub mod program;
pub mod read_file;
pub mod record;
pub mod retag;
pub mod slot;
pub mod submitter;
pub mod tagged_mapping;
pub mod task;
pub mod tenant;
pub mod wake;
pub mod write_range;
