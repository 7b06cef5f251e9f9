//! Losses: what the interval's numbers leave out.

use std::ops::{Add, Index, IndexMut};

use super::sum;

/// What can be lost. Each loss is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Records of exited tasks: dropped by netlink (ENOBUFS), or without room in the kernel
    /// half's ring buffer.
    ExitRecords,
    /// How often a task needed an owner slot while none was free. One task may count more than
    /// once.
    OwnerSlots,
    /// Facts that found no room in the table.
    Facts,
    /// Facts that were counted without their inode: with it they found no room.
    FactInodes,
    /// Pages that have no place in the tag table.
    Tags,
    /// Bios with more pages than were walked.
    LongBios,
    /// Kernel memory that could not be read, and audits that the kernel refused.
    Faults,
    /// Runs of flushers that were not reported.
    Flushes,
    /// Bios of cgroups with a limit (`io.max`) whose submitting task was not recorded. If
    /// the limit delays such a bio, a kworker appears as its submitter.
    LimitedBios,
    /// Paths of files that were not reported. A path is reported when its file is next seen.
    Paths,
    /// Cgroups whose creation was not reported. If such a cgroup is removed before the end of
    /// the interval, its path is not known.
    Cgroups,
    /// Command lines that were not reported. If such a process exits before the end of the
    /// interval, its command line is not known.
    Commands,
    /// Causes of commits that found no room in the table.
    Causes,
    /// Events for which the kernel did not run one of our programs, because it was already
    /// running on that CPU.
    MissedEvents,
    /// Whole intervals that were sampled, but not printed, since the one that was printed
    /// before: the output was blocked.
    Intervals,
}

impl Loss {
    /// All losses, in the order of the exports.
    pub const ALL: [Loss; 15] = [
        Loss::ExitRecords,
        Loss::OwnerSlots,
        Loss::Facts,
        Loss::FactInodes,
        Loss::Tags,
        Loss::LongBios,
        Loss::Faults,
        Loss::Flushes,
        Loss::LimitedBios,
        Loss::Paths,
        Loss::Cgroups,
        Loss::Commands,
        Loss::Causes,
        Loss::MissedEvents,
        Loss::Intervals,
    ];

    /// Its name in the exports and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Loss::ExitRecords => "exit_records",
            Loss::OwnerSlots => "owner_slots",
            Loss::Facts => "facts",
            Loss::FactInodes => "fact_inodes",
            Loss::Tags => "tags",
            Loss::LongBios => "long_bios",
            Loss::Faults => "faults",
            Loss::Flushes => "flushes",
            Loss::LimitedBios => "limited_bios",
            Loss::Paths => "paths",
            Loss::Cgroups => "cgroups",
            Loss::Commands => "commands",
            Loss::Causes => "causes",
            Loss::MissedEvents => "missed_events",
            Loss::Intervals => "intervals",
        }
    }
}

impl Loss {
    /// What has no name, reason or the like because of the loss, while all bytes are counted:
    /// one, several, and what they lack. `None` if bytes, or their owners, are missing.
    pub const fn missing_name(self) -> Option<[&'static str; 3]> {
        match self {
            Loss::FactInodes => Some(["write", "writes", "a file"]),
            Loss::Flushes => Some(["flush", "flushes", "a reason"]),
            Loss::LimitedBios => Some(["bio", "bios", "a submitter"]),
            Loss::Paths => Some(["file", "files", "a name"]),
            Loss::Cgroups => Some(["cgroup", "cgroups", "a path"]),
            Loss::Commands => Some(["command", "commands", "arguments"]),
            Loss::Causes => Some(["commit", "commits", "a cause"]),
            _ => None,
        }
    }
}

/// How much was lost in the interval, by [`Loss`]. `None`: not watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost([Option<u64>; Loss::ALL.len()]);

impl Lost {
    /// True if every loss that is watched is 0.
    pub fn is_nothing(&self) -> bool {
        self.0.iter().all(|n| n.unwrap_or(0) == 0)
    }

    /// Every loss and its count.
    pub fn parts(&self) -> impl Iterator<Item = (Loss, Option<u64>)> {
        Loss::ALL.into_iter().zip(self.0)
    }
}

impl Index<Loss> for Lost {
    type Output = Option<u64>;

    fn index(&self, loss: Loss) -> &Option<u64> {
        &self.0[loss as usize]
    }
}

impl IndexMut<Loss> for Lost {
    fn index_mut(&mut self, loss: Loss) -> &mut Option<u64> {
        &mut self.0[loss as usize]
    }
}

impl<const N: usize> From<[(Loss, u64); N]> for Lost {
    fn from(parts: [(Loss, u64); N]) -> Lost {
        let mut lost = Lost::default();
        for (loss, n) in parts {
            lost[loss] = Some(n);
        }
        lost
    }
}

impl Add for Lost {
    type Output = Lost;

    fn add(self, other: Lost) -> Lost {
        Lost(std::array::from_fn(|n| sum(self.0[n], other.0[n])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_has_its_discriminant_as_index() {
        for (n, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, n, "{loss:?}");
        }
    }
}
