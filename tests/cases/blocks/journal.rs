//! A journal that also holds the data.

use anyhow::{Result, ensure};

use super::super::{MIB, owner, sized};
use crate::support::run::Run;

/// A writer owns its data in the journal and in its final place, even if the journal is
/// too small to wait for the flusher.
pub fn logged(mut run: Run<'_>) -> Result<()> {
    let (len, journal) = (sized(32 * MIB).max(16 * MIB), 4 * MIB);
    run.trace()?;
    let file = run.file("file");
    let pid = run.to_end("gt-logged", &["write", &file, "0", &len.to_string()])?;
    run.flush()?;
    // The last data may be only in the journal.
    let twice = 2 * len - journal;
    run.metadata = len;
    let (dev, Some(report)) = (run.device_name(), run.finish(twice, 0)?) else {
        return Ok(());
    };
    let owner = owner(&report, "gt-logged", pid)?;
    let own = owner.written + owner.shared;
    ensure!(own >= twice, "{own} bytes, not twice {len}: {owner:?}");
    let (metadata, all) = (
        report.unattributed_on(&dev, "metadata")?,
        report.written_to(&dev)?,
    );
    ensure!(metadata <= all / 10, "{metadata} of {all} are metadata");
    Ok(())
}
