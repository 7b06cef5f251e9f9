//! A program that a task executes, with its arguments.

/// The bytes of the arguments that are kept. Most command lines are shorter, and a process
/// with a longer one mostly lives long enough to be found in /proc.
pub const ARGUMENTS: usize = 512;

/// A process that has just executed a program. A record ends after the arguments that were
/// read.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Executed {
    /// Which process, and how long its arguments are.
    pub head: ExecutedHead,
    /// The arguments, one after the other, each with its NUL.
    pub arguments: [u8; ARGUMENTS],
}

/// The beginning of a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecutedHead {
    /// `task_struct.start_boottime`, ns. With `pid` the process's identity.
    pub start_boottime: u64,
    /// Thread group id. The other threads are gone: execve ends them.
    pub pid: u32,
    /// The parent's thread group id.
    pub ppid: u32,
    /// The length of all arguments. More than the record has if they were cut off.
    pub length: u32,
    /// The thread group id of the parent's own parent. A shell's subshell executes no
    /// program, and has often exited before anyone looks.
    pub grandparent: u32,
    /// `task_struct.comm`, NUL-terminated: the program's name.
    pub comm: [u8; 16],
    /// The same of the parent's group leader.
    pub parent_comm: [u8; 16],
}

const _: () = assert!(size_of::<ExecutedHead>() == 56);
const _: () = assert!(size_of::<Executed>() == 56 + ARGUMENTS);
