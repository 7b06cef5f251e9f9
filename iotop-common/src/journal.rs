//! Who joined a file system's transactions.

/// The number of file systems.
pub const JOURNALS: u32 = 128;
/// The number of tasks that a share tells apart.
pub const CELLS: usize = 32;

/// A task's part of a share.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Cell {
    /// The task: its slot, and which of the slot's tenants it is. Only the kernel half reads it.
    pub tenant: u32,
    /// How much it changed.
    pub weight: u32,
}

/// The tasks that joined a transaction.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Share {
    /// The sum of the weights.
    pub total: u64,
    /// The tasks.
    pub cells: [Cell; CELLS],
    /// The cell of the task that joined first, where a draw begins: often it is the only one.
    pub first: u32,
    _pad: u32,
}

/// The value of `JOURNAL_OF`: the running transaction of a file system, and the one before.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct Journal {
    /// Both transactions.
    pub shares: [Share; 2],
    /// The running transaction's share.
    pub running: u32,
    /// Where the last draw was.
    pub cursor: u32,
    /// When a task joined last, on the tags' clock.
    pub joined: u32,
    /// When the share before the running one was closed.
    pub closed: u32,
}

const _: () = assert!(size_of::<Journal>() == 2 * (8 + 8 * CELLS + 8) + 16);
