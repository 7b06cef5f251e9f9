//! Checks the tags against their pages. A page that is migrated, or cut off a folio that
//! stays, leaves a live tag behind, and no event reports it.

use std::{
    io, mem,
    os::fd::{AsRawFd as _, BorrowedFd},
    time::{Duration, Instant},
};

use aya::maps::MapData;
use iotop_common::{
    Tag,
    tag::{FRAMES_ASKED, SLOTS, TAGS_PER_CHUNK},
};

use super::{bpf, mapped::Mapped, owners::Owners};
use crate::host::kernel::clock;

/// `BPF_PROG_TEST_RUN`. It runs raw tracepoint programs since 5.10.
const PROG_TEST_RUN: libc::c_long = 10;

/// How often an audit runs while nothing is known to have gone wrong.
const EVERY: Duration = Duration::from_secs(10);
/// For how long an audit runs in each interval after something went wrong.
const AFTER_TROUBLE: Duration = Duration::from_secs(20);
/// In the long run, audits take at most 1/200 of a CPU.
const CPU_DIVISOR: u32 = 200;
/// About so many audits may follow one another before that limit applies.
const BURST: u32 = 4;

/// The number of tags that are mapped at a time: 4 MiB.
const WINDOW: usize = 1 << 20;

/// When the last audit ran, and what audits take.
#[derive(Debug)]
pub struct Audit {
    ended: Instant,
    /// Its CPU time.
    took: Duration,
    /// What audits took beyond what they may take.
    owed: Duration,
    trouble_until: Instant,
}

impl Audit {
    /// No audit has run yet: the first one is due after some time.
    pub fn new(now: Instant) -> Audit {
        Audit {
            ended: now,
            took: Duration::ZERO,
            owed: Duration::ZERO,
            trouble_until: now,
        }
    }

    /// Records that events were missed, or that pages were written which had lost their
    /// tag.
    pub fn trouble(&mut self, now: Instant) {
        self.trouble_until = now + AFTER_TROUBLE;
    }

    /// True if an audit is due. `waits` says whether pages were pending at the last look.
    pub fn is_due(&self, now: Instant, waits: bool) -> bool {
        let elapsed = now.saturating_duration_since(self.ended);
        (now < self.trouble_until || waits && elapsed >= EVERY)
            && self.owed.saturating_sub(elapsed / CPU_DIVISOR) <= self.took * BURST
    }

    /// Lifts the limit for the last sample, after which no audit follows.
    pub fn ending(&mut self) {
        self.owed = Duration::ZERO;
    }

    /// Records an audit and its CPU time. On a busy machine the thread waits for a CPU for much
    /// longer than it uses one: that must not put off the next audit.
    fn spent(&mut self, begun: Instant, ended: Instant, took: Duration) {
        let paid = begun.saturating_duration_since(self.ended) / CPU_DIVISOR;
        (self.ended, self.took) = (ended, took);
        self.owed = self.owed.saturating_sub(paid) + self.took;
    }

    /// Removes the live tags of pages that are no longer pending, and counts these pages
    /// as cleaned. Returns how many live tags each slot has left.
    ///
    /// # Errors
    ///
    /// The tags can't be mapped, or the kernel does not run the program that checks the
    /// pages.
    pub fn run(
        &mut self,
        tags: &MapData,
        owners: &Owners,
        program: BorrowedFd<'_>,
    ) -> io::Result<Vec<u32>> {
        let (begun, cpu) = (Instant::now(), clock::thread_cpu());
        let chunks = tags.info().map_or(0, |info| info.max_entries());
        let all = chunks as usize * TAGS_PER_CHUNK as usize;
        let mut live = vec![0; SLOTS as usize];
        // Each mapped page counts as this process's memory.
        let mut windows = (0..all).step_by(WINDOW);
        let looked = windows.try_for_each(|first| {
            let mut batch = Batch {
                tags: &Mapped::part(tags, first, WINDOW.min(all - first))?,
                first,
                owners,
                program,
                frames: Vec::with_capacity(FRAMES_ASKED),
            };
            for (frame, tag) in batch.tags.nonzero() {
                let tag = Tag(tag);
                if tag.is_live() {
                    live[tag.slot() as usize] += 1;
                    batch.add(frame, tag, &mut live)?;
                }
            }
            batch.check(&mut live)
        });
        let ended = Instant::now();
        let took = clock::thread_cpu().zip(cpu);
        let took = took.map_or(ended - begun, |(after, before)| {
            after.saturating_sub(before)
        });
        self.spent(begun, ended, took);
        looked.map(|()| live)
    }
}

/// Live tags whose pages are checked in one call.
struct Batch<'a> {
    tags: &'a Mapped<u32>,
    /// The frame of the first tag.
    first: usize,
    owners: &'a Owners,
    program: BorrowedFd<'a>,
    frames: Vec<(usize, Tag)>,
}

impl Batch<'_> {
    fn add(&mut self, frame: usize, tag: Tag, live: &mut [u32]) -> io::Result<()> {
        self.frames.push((frame, tag));
        match self.frames.len() {
            FRAMES_ASKED => self.check(live),
            _ => Ok(()),
        }
    }

    fn check(&mut self, live: &mut [u32]) -> io::Result<()> {
        let mut frames = [0; FRAMES_ASKED];
        for (place, (frame, _)) in frames.iter_mut().zip(&self.frames) {
            *place = (self.first + frame) as u64;
        }
        let waiting = waiting(self.program, &frames)?;
        for (n, (frame, tag)) in self.frames.drain(..).enumerate() {
            if waiting >> n & 1 == 0 && self.tags.replace(frame, tag.0, Tag::NONE.0) {
                live[tag.slot() as usize] -= 1;
                self.owners.cleaned(tag.slot());
            }
        }
        Ok(())
    }
}

/// `union bpf_attr` for `BPF_PROG_TEST_RUN` (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
}

/// Returns a bit for each frame whose page is still pending.
fn waiting(program: BorrowedFd<'_>, frames: &[u64; FRAMES_ASKED]) -> io::Result<u32> {
    let mut attr = TestRun {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        ctx_size_in: mem::size_of_val(frames) as u32,
        ctx_in: std::ptr::from_ref(frames) as u64,
        ..TestRun::default()
    };
    // SAFETY: the attribute is the struct that the command takes, and the context outlives
    // the call.
    unsafe { bpf::call(PROG_TEST_RUN, &mut attr)? };
    Ok(attr.retval)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In each interval, pages are written that have lost their tag. On ext4, stores into
    /// mappings do that.
    #[test]
    fn audits_stay_within_their_share_of_a_cpu() {
        let start = Instant::now();
        let mut audit = Audit::new(start);
        let took = Duration::from_millis(6);
        let (mut now, mut used) = (start, Duration::ZERO);
        while now < start + Duration::from_secs(1000) {
            now += Duration::from_millis(500);
            audit.trouble(now);
            if audit.is_due(now, true) {
                audit.spent(now, now + took, took);
                used += took;
            }
        }
        let most = Duration::from_secs(1000) / CPU_DIVISOR + took * (BURST + 2);
        assert!(used <= most && used > most / 2, "{used:?}");
    }

    /// Regression: beside builds that kept every CPU busy, exited tasks kept their PENDING for a
    /// minute, because an audit of some milliseconds counted as one of seconds.
    #[test]
    fn an_audit_that_waited_for_a_cpu_does_not_put_off_the_next_one() {
        let mut now = Instant::now();
        let mut audit = Audit::new(now);
        for n in 0..60 {
            now += EVERY;
            assert!(audit.is_due(now, true), "{n}");
            let ended = now + Duration::from_secs(2);
            audit.spent(now, ended, Duration::from_millis(6));
            now = ended;
        }
    }

    /// Regression: on an emulated machine the second audit was not due for half a minute.
    #[test]
    fn slow_audits_may_follow_one_another() {
        let start = Instant::now();
        let mut audit = Audit::new(start);
        let took = Duration::from_millis(200);
        audit.trouble(start);
        for n in 1..=BURST + 1 {
            let now = start + took * 2 * n;
            assert!(audit.is_due(now, false), "{n}");
            audit.spent(now, now + took, took);
        }
        let now = start + took * 2 * (BURST + 2);
        assert!(!audit.is_due(now, false));
        audit.ending();
        assert!(
            audit.is_due(now, false),
            "the last sample ignores the limit"
        );
    }
}
