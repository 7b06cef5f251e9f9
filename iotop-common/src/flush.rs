//! Flushes: the run of a writeback worker, or the system call, in which bytes were
//! submitted.

use crate::Owner;

/// A run's number begins at this bit. The bits below are the reason plus 1.
const NUMBER_SHIFT: u32 = 6;
const REASON_MASK: u32 = (1 << NUMBER_SHIFT) - 1;
const SYSCALL: u32 = 1 << 31;

/// Why a task submits.
///
/// For a writeback worker: the number and the reason of its run. For any other task: the
/// number of the system call that it is in.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct FlushId(pub u32);

impl FlushId {
    /// Not known.
    pub const NONE: FlushId = FlushId(0);

    /// The worker's next run, for a reason (`enum wb_reason`).
    #[inline(always)]
    pub const fn next(self, reason: u32) -> FlushId {
        let number = (self.0 & !REASON_MASK).wrapping_add(1 << NUMBER_SHIFT);
        // A reason that does not fit becomes the largest number, which names no reason.
        let reason = if reason < REASON_MASK {
            reason + 1
        } else {
            REASON_MASK
        };
        FlushId(number & !SYSCALL | reason)
    }

    /// The run has ended. The number stays.
    #[inline(always)]
    pub const fn ended(self) -> FlushId {
        FlushId(self.0 & !REASON_MASK)
    }

    /// The same id while a run is in progress, else [`FlushId::NONE`].
    #[inline(always)]
    pub const fn running(self) -> FlushId {
        if self.0 & REASON_MASK == 0 {
            FlushId::NONE
        } else {
            self
        }
    }

    /// The id of a system call. A negative number means that the task is in none.
    #[inline(always)]
    pub const fn syscall(number: i64) -> FlushId {
        if number < 0 {
            FlushId::NONE
        } else {
            FlushId(SYSCALL | number as u32)
        }
    }

    /// The run's reason (`enum wb_reason`).
    pub const fn reason(self) -> Option<u32> {
        if self.0 & SYSCALL != 0 {
            return None;
        }
        (self.0 & REASON_MASK).checked_sub(1)
    }

    /// The system call's number.
    pub const fn syscall_number(self) -> Option<u32> {
        if self.0 & SYSCALL != 0 {
            Some(self.0 & !SYSCALL)
        } else {
            None
        }
    }
}

/// One run of a writeback worker (`wb_writeback` of fs/fs-writeback.c).
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct FlushRun {
    /// When the run began, ns after boot; 0: before the trace began.
    pub start: u64,
    /// When its last round ended, ns after boot; 0: no round has ended.
    pub end: u64,
    /// `wb_writeback_work.nr_pages` when the run began: the number of pages to write.
    /// `LONG_MAX` means all.
    pub requested: i64,
    /// The same after its last round: the number of pages left.
    pub left: i64,
    /// The cgroup whose inodes the run writes (`bdi_writeback.memcg_css`); 0 where it is
    /// not known.
    pub cgroup_id: u64,
    /// The address of its `wb_writeback_work`.
    pub work: u64,
    /// The worker's `start_boottime`.
    pub worker_start: u64,
    /// The worker's tid.
    pub worker_tid: u32,
    /// The run, a [`FlushId`].
    pub id: u32,
    /// The task that queued the work. `generation` is 0 where no task did.
    pub asker: Owner,
}

impl FlushRun {
    /// The number of bytes before `asker`. A fast device has hundreds of runs a second,
    /// and most have no asker.
    pub const WITHOUT_ASKER: usize = core::mem::offset_of!(FlushRun, asker);
}

/// The run in which an inode was flushed last.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Flushed {
    /// The run, a [`FlushId`].
    pub flush: u32,
    /// The worker's slot.
    pub worker: u32,
    /// That slot's `generation`. If the slot now has another one, it has a new tenant.
    pub generation: u32,
    /// When the inode was flushed, on the tags' clock.
    pub tick: u32,
}

const _: () = assert!(size_of::<Flushed>() == 16);
const _: () = assert!(size_of::<FlushRun>() == 64 + size_of::<Owner>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_of_a_worker_has_an_id_of_its_own() {
        let first = FlushId::NONE.next(3);
        let second = first.ended().next(3);
        assert_eq!(first.reason(), Some(3));
        assert_eq!(second.reason(), Some(3));
        assert_ne!(first, second);
        assert_eq!(first.ended().running(), FlushId::NONE);
        assert_eq!(first.running(), first);
    }

    #[test]
    fn the_numbers_of_runs_wrap_and_never_look_like_a_system_call() {
        let mut last = FlushId((SYSCALL - 1) & !REASON_MASK);
        last = last.next(0);
        assert_eq!((last.reason(), last.syscall_number()), (Some(0), None));
    }

    #[test]
    fn a_reason_too_large_to_be_told_is_not_another_one() {
        assert_eq!(FlushId::NONE.next(u32::MAX).reason(), Some(62));
        assert_eq!(FlushId::NONE.next(61).reason(), Some(61));
    }

    #[test]
    fn a_system_call_is_known_by_its_number() {
        assert_eq!(FlushId::syscall(74).syscall_number(), Some(74));
        assert_eq!(FlushId::syscall(0).syscall_number(), Some(0));
        assert_eq!(FlushId::syscall(-1), FlushId::NONE);
        assert_eq!(FlushId::syscall(74).reason(), None);
    }
}
