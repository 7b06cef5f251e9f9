//! `struct taskstats` (include/uapi/linux/taskstats.h). The struct grows at its end: a
//! field beyond the received length is unknown.

use bytes::Buf as _;

use crate::{host::kernel::counted::Counted, sample::TaskCounters};

/// The fields of a record that we need. `None` if the record ends before the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taskstats {
    /// The record's version.
    pub version: u16,
    /// `ac_pid`: the thread.
    pub tid: Option<u32>,
    /// `ac_tgid`: its process (version 12, Linux 5.19).
    pub tgid: Option<u32>,
    /// `ac_ppid`: its parent's process.
    pub ppid: Option<u32>,
    /// `ac_uid`: the real user id.
    pub uid: Option<u32>,
    /// `ac_btime64` (version 10, Linux 5.7) or else `ac_btime`: its start, in seconds
    /// since 1970. The kernel derives it from the current wall clock, so it moves if the
    /// clock is set.
    pub btime_s: Option<u64>,
    /// `ac_etime`: the time since its start, up to its exit, in microseconds.
    pub etime_us: Option<u64>,
    comm: Option<[u8; TS_COMM_LEN]>,
    counters: TaskCounters,
}

/// A record that can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a taskstats record has only {0} bytes, too few for its version")]
pub struct RecordError(usize);

// Offsets. They are the same in versions 8 to 17, except 15 (see below).
const BLKIO_COUNT: usize = 32;
const BLKIO_DELAY_TOTAL: usize = 40;
const SWAPIN_COUNT: usize = 48;
const SWAPIN_DELAY_TOTAL: usize = 56;
const AC_COMM: usize = 80;
const AC_UID: usize = 120;
const AC_PID: usize = 128;
const AC_PPID: usize = 132;
const AC_BTIME: usize = 136;
const AC_ETIME: usize = 144;
const READ_CHAR: usize = 216;
const WRITE_CHAR: usize = 224;
const READ_SYSCALLS: usize = 232;
const WRITE_SYSCALLS: usize = 240;
const READ_BYTES: usize = 248;
const WRITE_BYTES: usize = 256;
const CANCELLED_WRITE_BYTES: usize = 264;
const AC_BTIME64: usize = 344;
const AC_TGID: usize = 368;

const TS_COMM_LEN: usize = 32;

/// Version 15 (Linux 6.14) inserted a maximum and a minimum (16 bytes) after each delay,
/// in the middle of the struct. Version 16 moved them to its end. Version 15 has them
/// before the fields at these offsets.
const INSERTED_IN_15: [usize; 6] = [32, 48, 64, 328, 344, 368];

impl Taskstats {
    /// Reads a record of any version and length.
    ///
    /// # Errors
    ///
    /// The record has fewer than two bytes.
    pub fn parse(record: &[u8]) -> Result<Taskstats, RecordError> {
        let version = record
            .get(..2)
            .map(|mut bytes| bytes.get_u16_ne())
            .ok_or(RecordError(record.len()))?;
        let field = |offset: usize, length: usize| {
            let at = offset + moved(version, offset);
            record.get(at..at + length)
        };
        let number = |at| field(at, 4).map(|mut bytes| bytes.get_u32_ne());
        let word = |at| field(at, 8).map(|mut bytes| bytes.get_u64_ne());
        Ok(Taskstats {
            version,
            tid: number(AC_PID),
            tgid: number(AC_TGID),
            ppid: number(AC_PPID),
            uid: number(AC_UID),
            btime_s: word(AC_BTIME64).or_else(|| number(AC_BTIME).map(u64::from)),
            etime_us: word(AC_ETIME),
            comm: field(AC_COMM, TS_COMM_LEN).and_then(|bytes| bytes.try_into().ok()),
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

    /// `ac_comm`: the command name. It may hold any byte but NUL.
    pub fn comm(&self) -> Option<&[u8]> {
        self.comm.as_ref()?.split(|byte| *byte == 0).next()
    }

    /// The counters since the task's start. A counter that the kernel does not keep is
    /// unknown, not 0.
    pub fn counters(&self, counted: Counted) -> TaskCounters {
        let known = |counted: bool, value: Option<u64>| value.filter(|_| counted);
        TaskCounters {
            read_bytes: known(counted.bytes, self.counters.read_bytes),
            write_bytes: known(counted.bytes, self.counters.write_bytes),
            cancelled_write_bytes: known(counted.bytes, self.counters.cancelled_write_bytes),
            read_char: known(counted.calls, self.counters.read_char),
            write_char: known(counted.calls, self.counters.write_char),
            read_syscalls: known(counted.calls, self.counters.read_syscalls),
            write_syscalls: known(counted.calls, self.counters.write_syscalls),
            blkio_count: known(counted.delays, self.counters.blkio_count),
            blkio_delay_ns: known(counted.delays, self.counters.blkio_delay_ns),
            swapin_count: known(counted.delays, self.counters.swapin_count),
            swapin_delay_ns: known(counted.delays, self.counters.swapin_delay_ns),
        }
    }
}

/// By how many bytes a field is shifted in this version.
fn moved(version: u16, offset: usize) -> usize {
    match version {
        15 => 16 * INSERTED_IN_15.iter().filter(|at| **at <= offset).count(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Every field that a record may lack, as a number.
    fn fields(stats: &Taskstats) -> [Option<u64>; 18] {
        let counters = stats.counters(Counted::ALL);
        let comm = stats.comm.map(|name| name.into_iter().map(u64::from).sum());
        [
            stats.tid.map(u64::from),
            stats.tgid.map(u64::from),
            stats.ppid.map(u64::from),
            stats.uid.map(u64::from),
            stats.btime_s,
            stats.etime_us,
            comm,
            counters.read_bytes,
            counters.write_bytes,
            counters.cancelled_write_bytes,
            counters.read_char,
            counters.write_char,
            counters.read_syscalls,
            counters.write_syscalls,
            counters.blkio_count,
            counters.blkio_delay_ns,
            counters.swapin_count,
            counters.swapin_delay_ns,
        ]
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
            let counters = stats.counters(Counted::ALL);
            assert_eq!(stats.version, version);
            assert_eq!((stats.tid, stats.uid), (Some(128), Some(120)));
            assert_eq!((stats.btime_s, stats.etime_us), (Some(344), Some(144)));
            assert_eq!(stats.tgid, (version > 11).then_some(368));
            assert_eq!(counters.read_bytes, Some(248));
            assert_eq!(counters.cancelled_write_bytes, Some(264));
            assert_eq!(counters.swapin_delay_ns, Some(56));
        }
    }

    #[test]
    fn version_15_has_its_maxima_in_the_middle() {
        let stats = Taskstats::parse(&record(560, 15)).expect("long enough");
        let counters = stats.counters(Counted::ALL);
        assert_eq!((stats.tid, stats.uid), (Some(176), Some(168)));
        assert_eq!((stats.btime_s, stats.tgid), (Some(424), Some(464)));
        assert_eq!(
            (counters.blkio_count, counters.blkio_delay_ns),
            (Some(48), Some(56))
        );
        assert_eq!(
            (counters.swapin_count, counters.swapin_delay_ns),
            (Some(80), Some(88))
        );
        assert_eq!(
            (counters.read_char, counters.cancelled_write_bytes),
            (Some(264), Some(312))
        );
    }

    #[test]
    fn fields_beyond_the_end_of_a_record_are_unknown() {
        let stats = Taskstats::parse(&record(256, 8)).expect("long enough");
        let counters = stats.counters(Counted::ALL);
        assert_eq!(counters.read_bytes, Some(248));
        assert_eq!(counters.write_bytes, None);
        assert_eq!(stats.tgid, None);
        // Before version 10 there is only the 32-bit `ac_btime`.
        assert_eq!(stats.btime_s, Some(136));
    }

    #[test]
    fn a_name_ends_at_its_nul_and_may_hold_any_byte() {
        let mut bytes = record(560, 16);
        bytes[80..112].fill(b'#');
        bytes[80..84].copy_from_slice(b"a\xff\n\0");
        let stats = Taskstats::parse(&bytes).expect("long enough");
        assert_eq!(stats.comm(), Some(&b"a\xff\n"[..]));
    }

    #[test]
    fn counters_that_are_not_kept_are_unknown_not_zero() {
        let stats = Taskstats::parse(&record(560, 16)).expect("long enough");
        assert_eq!(stats.counters(Counted::NONE), TaskCounters::default());
        let counters = stats.counters(Counted {
            calls: true,
            ..Counted::NONE
        });
        assert_eq!(
            (counters.blkio_delay_ns, counters.write_bytes),
            (None, None)
        );
        assert_eq!(counters.write_char, Some(224));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..800)) {
            prop_assert_eq!(Taskstats::parse(&bytes).is_ok(), bytes.len() >= 2);
        }

        #[test]
        fn fields_of_a_truncated_record_are_right_or_unknown(
            version in 8u16..20,
            cut in 2usize..432,
        ) {
            let whole = record(600, version);
            let parts = Taskstats::parse(&whole[..cut]).map(|stats| fields(&stats));
            let whole = Taskstats::parse(&whole).map(|stats| fields(&stats));
            for (index, (part, whole)) in parts.iter().flatten().zip(whole.iter().flatten()).enumerate() {
                prop_assert!(whole.is_some());
                // Field 4, the start time, may be the 32-bit `ac_btime`.
                prop_assert!(part.is_none() || part == whole || index == 4, "{}", index);
            }
        }

        #[test]
        fn a_longer_record_still_gives_its_fields(
            version in 8u16..20,
            tail in prop::collection::vec(any::<u8>(), 0..500),
        ) {
            let mut longer = record(560, version);
            let whole = Taskstats::parse(&longer);
            longer.extend(tail);
            prop_assert_eq!(Taskstats::parse(&longer), whole);
        }
    }
}
