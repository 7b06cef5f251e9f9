//! What makes a file system's journal commit, and who waits for files to be written.

/// What happened. The kernel half counts each [`CauseKey`].
///
/// jbd2 commits in a thread of its own, mostly because other tasks ask for it. xfs has no
/// commits that an event reports: tasks force its log. btrfs commits in the task that needs
/// the commit.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// jbd2 committed a transaction. No task: see the causes that follow.
    Commit = 0,
    /// The periodic timer did that, or forced xfs's log.
    Timer = 1,
    /// jbd2 committed a transaction because it was so large that the next change found no
    /// room in it.
    Full = 2,
    /// A task asked jbd2 for a commit. One commit may serve several of them.
    Asked = 3,
    /// A task waited because the log had no room.
    Waited = 4,
    /// A task forced xfs's log.
    Forced = 5,
    /// A task committed a transaction of btrfs.
    Committed = 6,
    /// jbd2 committed a transaction that was older than the commit interval when a task asked
    /// for its commit. Any task whose change ends then asks, in place of the timer.
    Old = 7,
    /// A task had a file written to its device and waited for it: fsync, fdatasync, msync, or a
    /// write with `O_SYNC`. Of no file system: [`CauseKey::dev`] is 0.
    Synced = 8,
}

impl Cause {
    /// The cause with this number, if there is one.
    pub fn from_u32(n: u32) -> Option<Cause> {
        let all = [
            Cause::Commit,
            Cause::Timer,
            Cause::Full,
            Cause::Asked,
            Cause::Waited,
            Cause::Forced,
            Cause::Committed,
            Cause::Old,
            Cause::Synced,
        ];
        all.get(n as usize).copied()
    }
}

/// The key of a count.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq, Hash)]
pub struct CauseKey {
    /// The file system (`super_block.s_dev`), as the kernel encodes it (major << 20 | minor).
    pub dev: u32,
    /// The device with its log, in the same form; 0 where it is not known. Another one than
    /// `dev` for an external log.
    pub log: u32,
    /// A [`Cause`].
    pub cause: u32,
    /// The slot of the task; 0 where the cause has no task.
    pub slot: u32,
    /// The system call that the task is in, a [`crate::FlushId`].
    pub call: u32,
}

const _: () = assert!(size_of::<CauseKey>() == 20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_found_by_its_number() {
        for n in 0..9 {
            assert_eq!(Cause::from_u32(n).map(|cause| cause as u32), Some(n));
        }
        assert_eq!(Cause::from_u32(9), None);
    }
}
