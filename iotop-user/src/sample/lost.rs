//! What was lost.

/// Events that were lost in the interval. `None`: not watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// netlink exit records lost to ENOBUFS.
    pub exit_records: Option<u64>,
    /// Times a task was met while no owner slot was free.
    pub owner_slots: Option<u64>,
    /// Facts that found no room at all.
    pub facts: Option<u64>,
    /// Facts that were kept without their inode.
    pub fact_inodes: Option<u64>,
    /// Pages with no place in the tag table.
    pub tags: Option<u64>,
    /// Bios with more pages than were walked.
    pub long_bios: Option<u64>,
    /// Kernel memory that could not be read.
    pub faults: Option<u64>,
    /// Runs of writeback workers that were not told of.
    pub flushes: Option<u64>,
    /// Bios of cgroups with a limit (`io.max`) of which nobody remembers who handed
    /// them over, should they be held back.
    pub limited_bios: Option<u64>,
    /// Paths of files that were not told; one is when its file is met the next time.
    pub paths: Option<u64>,
    /// Events at which the kernel did not run our programs (recursion).
    pub missed_events: Option<u64>,
}

impl Lost {
    /// True when nothing was lost as far as we can know.
    pub fn is_nothing(&self) -> bool {
        self.named().iter().all(|(_, n)| n.unwrap_or(0) == 0)
    }

    /// Every counter with its name in the exports.
    pub fn named(&self) -> [(&'static str, Option<u64>); 11] {
        [
            ("exit_records", self.exit_records),
            ("owner_slots", self.owner_slots),
            ("facts", self.facts),
            ("fact_inodes", self.fact_inodes),
            ("tags", self.tags),
            ("long_bios", self.long_bios),
            ("faults", self.faults),
            ("flushes", self.flushes),
            ("limited_bios", self.limited_bios),
            ("paths", self.paths),
            ("missed_events", self.missed_events),
        ]
    }
}
