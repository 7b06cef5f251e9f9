//! `struct taskstats` (include/uapi/linux/taskstats.h). It grows at its end, so
//! it is read by the length that was received: what lies beyond is unknown.

use bytes::Buf as _;

use crate::collect::TaskCounters;

/// What is needed of a record. `None`: the record ends before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taskstats {
    /// The record's version.
    pub version: u16,
    /// `ac_pid`: the thread.
    pub tid: Option<u32>,
    /// `ac_tgid`: the process (record version 12).
    pub pid: Option<u32>,
    /// `ac_ppid`: the parent.
    pub ppid: Option<u32>,
    /// `ac_uid`.
    pub uid: Option<u32>,
    /// `ac_comm`, NUL-terminated.
    pub comm: Option<[u8; 16]>,
    /// `ac_etime`: how long the thread has lived, in microseconds.
    pub elapsed_us: Option<u64>,
    counters: TaskCounters,
}

/// A record that can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a taskstats record of {0} bytes, too short to have a version")]
pub struct RecordError(usize);

const AC_COMM: usize = 80;
const AC_UID: usize = 120;
const AC_PID: usize = 128;
const AC_PPID: usize = 132;
const AC_ETIME: usize = 144;
const AC_TGID: usize = 368;
const BLKIO_COUNT: usize = 32;
const BLKIO_DELAY_TOTAL: usize = 40;
const SWAPIN_COUNT: usize = 48;
const SWAPIN_DELAY_TOTAL: usize = 56;
const READ_CHAR: usize = 216;
const WRITE_CHAR: usize = 224;
const READ_SYSCALLS: usize = 232;
const WRITE_SYSCALLS: usize = 240;
const READ_BYTES: usize = 248;
const WRITE_BYTES: usize = 256;
const CANCELLED_WRITE_BYTES: usize = 264;

/// Version 15 (Linux 6.14) put a maximum and a minimum, 16 bytes, behind each
/// delay in the middle of the struct; version 16 moved them to its end. These
/// are the offsets before which they stood.
const INSERTED_IN_15: [usize; 6] = [32, 48, 64, 328, 344, 368];

/// How much further back a field stands in this version.
fn moved(version: u16, offset: usize) -> usize {
    match version {
        15 => 16 * INSERTED_IN_15.iter().filter(|at| **at <= offset).count(),
        _ => 0,
    }
}

impl Taskstats {
    /// Reads a record of any version and length.
    ///
    /// # Errors
    ///
    /// There are not even two bytes.
    pub fn parse(record: &[u8]) -> Result<Taskstats, RecordError> {
        let version = record
            .get(..2)
            .map(|mut bytes| bytes.get_u16_ne())
            .ok_or(RecordError(record.len()))?;
        let field = |offset: usize, length: usize| {
            let at = offset + moved(version, offset);
            record.get(at..at + length)
        };
        let word = |at| field(at, 8).map(|mut bytes| bytes.get_u64_ne());
        let half = |at| field(at, 4).map(|mut bytes| bytes.get_u32_ne());
        Ok(Taskstats {
            version,
            tid: half(AC_PID),
            pid: half(AC_TGID),
            ppid: half(AC_PPID),
            uid: half(AC_UID),
            comm: field(AC_COMM, 16).and_then(|bytes| bytes.try_into().ok()),
            elapsed_us: word(AC_ETIME),
            counters: TaskCounters {
                read_bytes: word(READ_BYTES),
                write_bytes: word(WRITE_BYTES),
                cancelled_write_bytes: word(CANCELLED_WRITE_BYTES),
                read_char: word(READ_CHAR),
                write_char: word(WRITE_CHAR),
                read_syscalls: word(READ_SYSCALLS),
                write_syscalls: word(WRITE_SYSCALLS),
                blkio_count: word(BLKIO_COUNT),
                blkio_delay_ns: word(BLKIO_DELAY_TOTAL),
                swapin_count: word(SWAPIN_COUNT),
                swapin_delay_ns: word(SWAPIN_DELAY_TOTAL),
            },
        })
    }

    /// The counters since the task's start. Delays that the kernel does not
    /// count are unknown, not 0.
    pub fn counters(&self, delays_counted: bool) -> TaskCounters {
        let mut counters = self.counters;
        if !delays_counted {
            counters.blkio_count = None;
            counters.blkio_delay_ns = None;
            counters.swapin_count = None;
            counters.swapin_delay_ns = None;
        }
        counters
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// A record whose every 8-byte word is its own offset.
    fn record(length: usize, version: u16) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..length as u64 / 8 * 8)
            .step_by(8)
            .flat_map(u64::to_ne_bytes)
            .collect();
        bytes.resize(length, 0);
        bytes[..2].copy_from_slice(&version.to_ne_bytes());
        bytes
    }

    #[test]
    fn every_version_is_read_by_its_length() {
        // Sizes of 5.10, 6.1, 6.12, 6.18 and 7.2, and one from the future.
        for (version, length) in [
            (10, 352),
            (13, 416),
            (14, 432),
            (16, 560),
            (17, 688),
            (40, 4096),
        ] {
            let stats = Taskstats::parse(&record(length, version)).expect("long enough");
            let counters = stats.counters(true);
            assert_eq!(stats.version, version);
            assert_eq!(counters.read_bytes, Some(248));
            assert_eq!(counters.cancelled_write_bytes, Some(264));
            assert_eq!(counters.swapin_delay_ns, Some(56));
        }
    }

    #[test]
    fn what_a_short_record_does_not_have_is_unknown() {
        let counters = Taskstats::parse(&record(256, 8))
            .expect("long enough")
            .counters(true);
        assert_eq!(counters.read_bytes, Some(248));
        assert_eq!(counters.write_bytes, None);
    }

    #[test]
    fn delays_that_are_not_counted_are_unknown_not_zero() {
        let counters = Taskstats::parse(&record(560, 16))
            .expect("long enough")
            .counters(false);
        assert_eq!(
            (counters.blkio_delay_ns, counters.swapin_count),
            (None, None)
        );
        assert_eq!(counters.write_char, Some(224));
    }

    #[test]
    fn version_15_has_its_maxima_in_the_middle() {
        let stats = Taskstats::parse(&record(560, 15)).expect("long enough");
        let counters = stats.counters(true);
        assert_eq!((stats.tid, stats.uid), (Some(176), Some(168)));
        assert_eq!(counters.blkio_delay_ns, Some(56));
        assert_eq!(counters.swapin_delay_ns, Some(88));
        assert_eq!(counters.cancelled_write_bytes, Some(312));
    }

    #[test]
    fn who_a_task_was_is_read_where_the_version_has_it() {
        let mut bytes = record(416, 13);
        bytes[AC_COMM..AC_COMM + 3].copy_from_slice(b"dd\0");
        bytes[AC_PID..AC_PID + 4].copy_from_slice(&42u32.to_ne_bytes());
        bytes[AC_TGID..AC_TGID + 4].copy_from_slice(&41u32.to_ne_bytes());
        let stats = Taskstats::parse(&bytes).expect("long enough");
        assert_eq!((stats.tid, stats.pid), (Some(42), Some(41)));
        assert!(stats.comm.is_some_and(|comm| comm.starts_with(b"dd\0")));
        assert_eq!(Taskstats::parse(&bytes[..352]).map(|s| s.pid), Ok(None));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..800)) {
            prop_assert_eq!(Taskstats::parse(&bytes).is_ok(), bytes.len() >= 2);
        }
    }
}
