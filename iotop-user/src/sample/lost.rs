//! What was lost.

use std::ops::{Add, Index, IndexMut};

use super::sum;

/// What may be lost: events, each of which is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// netlink exit records lost to ENOBUFS, or exits that found no room.
    ExitRecords,
    /// Times a task was met while no owner slot was free.
    OwnerSlots,
    /// Facts that found no room at all.
    Facts,
    /// Facts that were kept without their inode.
    FactInodes,
    /// Pages with no place in the tag table.
    Tags,
    /// Bios with more pages than were walked.
    LongBios,
    /// Kernel memory that could not be read.
    Faults,
    /// Runs of flushers that were not reported.
    Flushes,
    /// Bios of cgroups with a limit (`io.max`) for which it was not recorded who handed
    /// them over, should they be held back.
    LimitedBios,
    /// Paths of files that were not reported. A path is when its file is met again.
    Paths,
    /// Events at which the kernel did not run our programs (recursion).
    MissedEvents,
}

impl Loss {
    /// All of them, in the order of the exports.
    pub const ALL: [Loss; 11] = [
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
        Loss::MissedEvents,
    ];

    /// Its name, in the exports and on screens.
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
            Loss::MissedEvents => "missed_events",
        }
    }
}

/// What was lost in the interval, by [`Loss`]. `None`: not watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost([Option<u64>; Loss::ALL.len()]);

impl Lost {
    /// True when nothing was lost as far as we can know.
    pub fn is_nothing(&self) -> bool {
        self.0.iter().all(|n| n.unwrap_or(0) == 0)
    }

    /// Every loss and how many there were.
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
    fn each_loss_stands_at_its_own_place() {
        for (n, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, n, "{loss:?}");
        }
    }
}
