//! The programs that keep per-CPU memory.

/// The running program. Each program has its own element in per-CPU maps, because one
/// program may interrupt another on the same CPU. The kernel never runs one program
/// twice at once on one CPU.
///
/// Programs that are never loaded together share a value: `BioSubmitted` is also
/// `bio_of_pages_submitted`, `FolioDirtied` also `page_dirtied`, and `BioOffered` also
/// `bio_held_back`.
#[derive(Clone, Copy)]
pub enum Program {
    FolioDirtied = 0,
    BioSubmitted = 1,
    FlushStarted = 2,
    FlushWritten = 3,
    FlushEnded = 4,
    FlushQueued = 5,
    TaskThrottled = 6,
    InodeFlushed = 7,
    BioSubmittedAgain = 8,
    BioLetThrough = 9,
    BioRemapped = 10,
    BioOffered = 11,
    BioSubmittedAtLast = 12,
    BioOfferedAgain = 13,
    BioLetThroughAgain = 14,
    Ext4DaWriteEnd = 15,
    Ext4WriteEnd = 16,
    Ext4JournalledWriteEnd = 17,
    RangeIterated = 18,
    BtrfsSetExtentBit = 19,
    HandleEnded = 20,
    CommitBegun = 21,
    CommitEnded = 22,
    XfsCommitted = 23,
    XfsBufPinned = 24,
    XfsBufOrdered = 25,
    XfsInodePinned = 26,
    XfsSizeSet = 27,
    XfsConverted = 28,
    XfsInactivated = 29,
    BtrfsExtentAdded = 30,
    BtrfsInodeCreated = 31,
    Ext4SyncFileEnter = 32,
    Ext4SyncFileExit = 33,
    Ext4SyncFs = 34,
    Jbd2Checkpoint = 35,
    XfsLogForce = 36,
    XfsLogGrantSleep = 37,
    BtrfsTransactionCommit = 38,
    BioTurnedAway = 39,
    BioTurnedAwayAgain = 40,
    XfsFileFsync = 41,
    BtrfsSyncFile = 42,
}

impl Program {
    /// The number of programs.
    pub const COUNT: u32 = 43;
    /// The number of those that may send a file's path or begin a flusher's run. They come
    /// first.
    pub const WITH_PATHS: u32 = 20;
}
