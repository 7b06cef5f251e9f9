//! The user half's requests.

use iotop_common::Control;

use crate::maps::CONTROL;

/// The user half's current requests. A program reads them once and keeps to the epoch
/// it saw, so that its totals and its facts belong to the same epoch.
#[inline(always)]
pub fn control() -> Control {
    CONTROL.get(0).copied().unwrap_or_default()
}
