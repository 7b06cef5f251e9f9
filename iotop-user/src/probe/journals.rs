//! Makes room for new file systems in the table of journals. Nothing tells the kernel half that
//! a file system is unmounted.

use std::time::{Duration, Instant};

use aya::maps::{HashMap, MapData, MapError};
use iotop_common::journal::{JOURNALS, Journal};

use super::{ProbeError, ignore_missing, with_map_name};

/// How often to look.
const EVERY: Duration = Duration::from_secs(60);
/// With more journals than this, all are removed. Those in use come back with the next
/// transaction.
const MOST: usize = JOURNALS as usize * 3 / 4;

const MAP: &str = "JOURNAL_OF";

/// The map `JOURNAL_OF`.
pub struct Journals {
    map: HashMap<MapData, u32, Journal>,
    next: Instant,
}

impl Journals {
    pub fn new(map: HashMap<MapData, u32, Journal>, now: Instant) -> Journals {
        let next = now + EVERY;
        Journals { map, next }
    }

    /// Empties the table if it is nearly full.
    ///
    /// # Errors
    ///
    /// A map call failed.
    pub fn make_room(&mut self, now: Instant) -> Result<(), ProbeError> {
        if now < self.next {
            return Ok(());
        }
        self.next = now + EVERY;
        let known: Result<Vec<u32>, MapError> = self.map.keys().collect();
        let known = with_map_name(MAP, known)?;
        if known.len() > MOST {
            for dev in known {
                with_map_name(MAP, ignore_missing(self.map.remove(&dev)))?;
            }
        }
        Ok(())
    }
}
