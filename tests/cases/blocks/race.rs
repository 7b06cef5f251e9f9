//! Blocks that become dirty while others of their folio are being written.

use anyhow::{Result, ensure};

use super::super::{MIB, owner, together};
use super::{KIB, clean_file};
use crate::support::needs::emulated;
use crate::support::run::Run;

/// However often two tasks rewrite a file that a third one syncs again and again,
/// each byte that is written has its owner.
pub fn beside_syncs(mut run: Run<'_>) -> Result<()> {
    let len = 16 * MIB;
    let seconds = if emulated() { "4" } else { "10" };
    let file = clean_file(&run, len)?;
    run.trace()?;
    let len = len.to_string();
    let rewrites = |which| ["rewrites", &file, &len, which, seconds];
    let (even, odd) = (rewrites("even"), rewrites("odd"));
    let syncs = ["syncs", &file, seconds];
    let writers: [(&str, &[&str]); 3] =
        [("gt-even", &even), ("gt-odd", &odd), ("gt-syncs", &syncs)];
    let pids = together(&run, &writers)?;
    run.flush()?;
    // How often a page was written only the kernel knows.
    run.metadata = u64::MAX / 2;
    let Some(report) = run.finish(MIB, 0)? else {
        return Ok(());
    };
    let written = report.total("block_write_bytes")?;
    let ownerless = report.unattributed("unknown")? + report.unattributed("pre_trace")?;
    ensure!(
        ownerless <= written / 1000,
        "{ownerless} of {written} bytes have no owner"
    );
    let shared = report.total("shared_write_bytes")?;
    ensure!(
        shared <= written / 200,
        "{shared} of {written} bytes are shared"
    );
    for (comm, pid) in &pids[..2] {
        let owner = owner(&report, comm, *pid)?;
        ensure!(owner.pending <= 64 * KIB, "{comm}: {owner:?}");
    }
    Ok(())
}
