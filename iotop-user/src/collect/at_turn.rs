//! /proc/vmstat as of the moment at which the kernel half began a new epoch.

use iotop_common::Totals;

use crate::host::vmstat::Vmstat;

/// How often to read it, at most.
const TRIES: usize = 4;

/// Reads /proc/vmstat and takes off what was submitted since the epoch began: the kernel half
/// counts that in the new epoch. So `pgpgin` and `pgpgout` are about the same interval as the
/// kernel half's bytes, however long this task had to wait for its CPU.
///
/// `submitted` is what the new epoch has so far. If that grows while the file is read, the file
/// is read again. If it always grows, the shortest reading counts, and half of its growth.
///
/// # Errors
///
/// Those of `submitted` and `read`.
pub fn vmstat_at_turn<E>(
    mut submitted: impl FnMut() -> Result<Totals, E>,
    mut read: impl FnMut() -> Result<Vmstat, E>,
) -> Result<Vmstat, E> {
    let mut best = Reading::between(submitted()?, read()?, submitted()?);
    for _ in 1..TRIES {
        if best.uncertain == 0 {
            break;
        }
        let next = Reading::between(submitted()?, read()?, submitted()?);
        if next.uncertain < best.uncertain {
            best = next;
        }
    }
    Ok(best.vmstat)
}

/// A reading, with what was submitted since the epoch began taken off.
struct Reading {
    vmstat: Vmstat,
    /// Bytes that were submitted while the file was read.
    uncertain: u64,
}

impl Reading {
    fn between(before: Totals, vmstat: Vmstat, after: Totals) -> Reading {
        let take_off = |counter: Option<u64>, before: u64, after: u64| {
            Some(counter?.saturating_sub(before.midpoint(after)))
        };
        let reads = (before.read_bytes, after.read_bytes);
        let writes = (before.write_bytes, after.write_bytes);
        Reading {
            vmstat: Vmstat {
                pgpgin: take_off(vmstat.pgpgin, reads.0, reads.1),
                pgpgout: take_off(vmstat.pgpgout, writes.0, writes.1),
                ..vmstat
            },
            uncertain: (reads.1 - reads.0) + (writes.1 - writes.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    const PAGE: u64 = 4096;

    /// What `vmstat_at_turn` returns for `pgpgout`, if that was 100 pages at the turn and each
    /// step writes so many pages. Each call is a step.
    fn pgpgout(steps: &[u64]) -> u64 {
        let written = std::cell::Cell::new(0);
        let left = std::cell::RefCell::new(steps.iter());
        let step = || {
            let pages = left.borrow_mut().next().copied().unwrap_or(0);
            written.set(written.get() + pages * PAGE);
            written.get()
        };
        let submitted = || -> Result<Totals, Infallible> {
            Ok(Totals {
                write_bytes: step(),
                ..Totals::default()
            })
        };
        let read = || {
            Ok(Vmstat {
                pgpgout: Some(100 * PAGE + step()),
                ..Vmstat::default()
            })
        };
        let Ok(vmstat) = vmstat_at_turn(submitted, read);
        vmstat.pgpgout.expect("a counter") / PAGE
    }

    #[test]
    fn what_was_submitted_before_the_reading_is_taken_off() {
        assert_eq!(pgpgout(&[]), 100);
        assert_eq!(pgpgout(&[7]), 100);
    }

    /// This task lost its CPU between two steps, and others wrote meanwhile.
    #[test]
    fn a_reading_during_which_much_was_submitted_is_repeated() {
        assert_eq!(pgpgout(&[1, 5000]), 100);
        assert_eq!(pgpgout(&[1, 0, 5000]), 100);
        assert_eq!(pgpgout(&[1, 3000, 4000, 0, 5000, 5000]), 100);
    }

    #[test]
    fn the_shortest_of_some_readings_counts_if_writing_never_stops() {
        assert_eq!(
            pgpgout(&[40, 90, 20, 40, 1, 1, 60, 50, 50, 60, 50, 50]),
            100
        );
        assert_eq!(pgpgout(&[0, 4, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9]), 102);
    }
}
