//! The types that the kernel half (`iotop-ebpf`) and the user half (`iotop-user`)
//! share.
//!
//! One half writes these types and the other reads them as bytes. So each is
//! `#[repr(C)]`, has no padding (sizes are asserted) and accepts any bit pattern.

#![no_std]

pub mod cgroup;
pub mod commit;
pub mod executed;
pub mod fact;
pub mod file;
pub mod flush;
pub mod journal;
pub mod layout;
pub mod mapping;
pub mod owner;
pub mod retag;
pub mod tag;
pub mod task;
pub mod writing;

pub use cgroup::CgroupPath;
pub use commit::{Cause, CauseKey};
pub use executed::{Executed, ExecutedHead};
pub use fact::{
    BIO_PROGRAMS, Class, Control, EpochPart, Fact, FactKey, LAGS, Lost, Totals, lag_class,
};
pub use file::{FileHead, FileName};
pub use flush::{FlushId, FlushRun, Flushed};
pub use layout::Layout;
pub use mapping::Folios;
pub use owner::{Crowd, CrowdKey, InodeKey, InodeOwner, Owner};
pub use tag::{Tag, Tick};
pub use task::{IdleExit, Seen, TaskRecord};
pub use writing::{Progress, Writing};

#[cfg(feature = "user")]
mod pod {
    use aya::Pod;

    use crate::{
        CauseKey, Control, Crowd, CrowdKey, EpochPart, ExecutedHead, Fact, FactKey, FileHead,
        FlushRun, IdleExit, Layout, Owner, TaskRecord, Totals,
    };

    // SAFETY: each is `#[repr(C)]` without padding and made of integers only.
    unsafe impl Pod for Control {}
    // SAFETY: as above.
    unsafe impl Pod for EpochPart {}
    // SAFETY: as above.
    unsafe impl Pod for ExecutedHead {}
    // SAFETY: as above.
    unsafe impl Pod for Fact {}
    // SAFETY: as above.
    unsafe impl Pod for FactKey {}
    // SAFETY: as above.
    unsafe impl Pod for FileHead {}
    // SAFETY: as above.
    unsafe impl Pod for FlushRun {}
    // SAFETY: as above.
    unsafe impl Pod for Layout {}
    // SAFETY: as above.
    unsafe impl Pod for Owner {}
    // SAFETY: as above.
    unsafe impl Pod for TaskRecord {}
    // SAFETY: as above.
    unsafe impl Pod for Totals {}
    // SAFETY: as above.
    unsafe impl Pod for crate::journal::Journal {}
    // SAFETY: as above.
    unsafe impl Pod for CauseKey {}
    // SAFETY: as above.
    unsafe impl Pod for Crowd {}
    // SAFETY: as above.
    unsafe impl Pod for CrowdKey {}
    // SAFETY: as above.
    unsafe impl Pod for IdleExit {}
}
