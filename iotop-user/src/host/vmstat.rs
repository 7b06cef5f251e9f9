//! /proc/vmstat: the kernel's own figures for what was read, what was written and what is
//! dirty.

use std::{fs, io, path::Path};

/// The counters that we read, in bytes. `None` if this kernel has no such line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vmstat {
    /// `pgpgin`, counted in KiB by submit_bio (block/blk-core.c).
    pub pgpgin: Option<u64>,
    /// `pgpgout`, likewise.
    pub pgpgout: Option<u64>,
    /// `nr_dirty`, a level.
    pub dirty: Option<u64>,
    /// `nr_dirty_background_threshold`, a level.
    pub background_threshold: Option<u64>,
    /// `nr_dirty_threshold`, a level.
    pub threshold: Option<u64>,
    /// `nr_writeback`, a level.
    pub writeback: Option<u64>,
    /// `nr_dirtied`.
    pub dirtied: Option<u64>,
    /// `nr_written`.
    pub written: Option<u64>,
}

impl Vmstat {
    /// Reads `vmstat` below a proc root.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn read(proc_root: &Path, page_size: u64) -> io::Result<Vmstat> {
        Ok(Vmstat::parse(
            &fs::read_to_string(proc_root.join("vmstat"))?,
            page_size,
        ))
    }

    /// Parses lines of a name and a number. Unknown lines are skipped.
    pub fn parse(text: &str, page_size: u64) -> Vmstat {
        let mut vmstat = Vmstat::default();
        for line in text.lines() {
            let Some((name, number)) = line.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.trim().parse::<u64>() else {
                continue;
            };
            let (field, unit) = match name {
                "pgpgin" => (&mut vmstat.pgpgin, 1024),
                "pgpgout" => (&mut vmstat.pgpgout, 1024),
                "nr_dirty" => (&mut vmstat.dirty, page_size),
                "nr_dirty_background_threshold" => (&mut vmstat.background_threshold, page_size),
                "nr_dirty_threshold" => (&mut vmstat.threshold, page_size),
                "nr_writeback" => (&mut vmstat.writeback, page_size),
                "nr_dirtied" => (&mut vmstat.dirtied, page_size),
                "nr_written" => (&mut vmstat.written, page_size),
                _ => continue,
            };
            *field = Some(number.saturating_mul(unit));
        }
        vmstat
    }

    /// The growth of the counters since `before`, and the levels as they are now.
    pub fn since(&self, before: &Vmstat) -> Vmstat {
        let grown = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
        Vmstat {
            pgpgin: grown(self.pgpgin, before.pgpgin),
            pgpgout: grown(self.pgpgout, before.pgpgout),
            dirtied: grown(self.dirtied, before.dirtied),
            written: grown(self.written, before.written),
            dirty: self.dirty,
            background_threshold: self.background_threshold,
            threshold: self.threshold,
            writeback: self.writeback,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_bytes_and_missing_lines_are_not_zero() {
        let text = "nr_dirty 3\nnr_dirtied 10\npgpgin 7\npgpgout 9\nnr_written x\n";
        let vmstat = Vmstat::parse(text, 4096);
        assert_eq!(vmstat.pgpgout, Some(9 * 1024));
        assert_eq!(vmstat.dirty, Some(3 * 4096));
        assert_eq!((vmstat.written, vmstat.writeback), (None, None));
    }

    #[test]
    fn a_counter_that_falls_gives_zero_and_levels_stay_levels() {
        let before = Vmstat::parse("pgpgout 9\nnr_dirty 3\n", 4096);
        let now = Vmstat::parse("pgpgout 8\nnr_dirty 5\n", 4096);
        let since = now.since(&before);
        assert_eq!((since.pgpgout, since.dirty), (Some(0), Some(5 * 4096)));
        assert_eq!(since.pgpgin, None);
    }
}
