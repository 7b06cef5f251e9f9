//! Refuses numbers that no interval can have. Views add numbers up, and a foreign file must not make
//! their sums overflow.
//!
//! Every number of a sample is checked, but for those that are only compared or shown: names of
//! things (PIDs, inodes, devices, ids of flushes), and times as [`Duration`]s, whose sums have room
//! for 2^64 seconds.
//!
//! [`Duration`]: std::time::Duration

use super::BadLine;
use crate::sample::{
    BlockFact, BlockTotals, Demand, Disk, Flush, FlushLag, Metadata, Spike, System, Task, Written,
};

/// 64 PiB, or two years in nanoseconds.
const MOST: u64 = 1 << 56;

/// Refuses a number that is too large.
pub(super) fn numbers(numbers: impl IntoIterator<Item = u64>) -> Result<(), BadLine> {
    let too_large = numbers.into_iter().find(|number| *number > MOST);
    too_large.map_or(Ok(()), |number| Err(BadLine::TooLarge(number)))
}

fn metadata(metadata: &Metadata) -> [u64; 3] {
    metadata.parts().map(|(_, bytes)| bytes)
}

pub(super) fn totals(totals: &BlockTotals) -> Result<(), BadLine> {
    let BlockTotals {
        read,
        write,
        attributed,
        shared,
        ..
    } = *totals;
    numbers([read, write, attributed, shared])?;
    numbers(metadata(&totals.metadata))?;
    numbers(totals.unattributed.parts().map(|(_, bytes)| bytes))
}

pub(super) fn system(system: &System) -> Result<(), BadLine> {
    let counters = [
        system.pgpgin_bytes,
        system.pgpgout_bytes,
        system.dirtied_bytes,
        system.written_bytes,
        system.dirty_before_bytes,
        system.dirty_bytes,
        system.background_threshold_bytes,
        system.dirty_threshold_bytes,
        system.writeback_bytes,
        system.tasks_total,
        system.tasks_running_io,
        system.tasks_exited,
        system.self_cpu_ns,
    ];
    numbers(counters.into_iter().flatten())?;
    numbers(system.lost.parts().filter_map(|(_, n)| n))?;
    system.block.as_ref().map_or(Ok(()), totals)
}

pub(super) fn task(task: &Task) -> Result<(), BadLine> {
    numbers(task.stats.fields().into_iter().flatten())?;
    numbers(task.crowd)?;
    let Some(block) = &task.block else {
        return Ok(());
    };
    numbers([
        block.read,
        block.write_self,
        block.write_flushed,
        block.write_shared,
        block.submitted_for_others,
    ])?;
    let counted = [
        block.dirtied,
        block.dirty_pending,
        block.cancelled,
        block.throttled_ns,
        block.throttles,
        block.syncs,
    ];
    numbers(counted.into_iter().flatten())?;
    numbers(block.lag.map(|lag| lag.pages))?;
    numbers(metadata(&block.metadata))
}

pub(super) fn disk(disk: &Disk) -> Result<(), BadLine> {
    numbers([disk.read, disk.write, disk.in_flight])
}

pub(super) fn fact(fact: &BlockFact) -> Result<(), BadLine> {
    numbers([fact.bytes, fact.bios])?;
    numbers(fact.lag.map(|lag| lag.pages))?;
    numbers(fact.lags.pages)
}

fn lag(lag: Option<&FlushLag>) -> Result<(), BadLine> {
    let Some(FlushLag { lag, lags }) = lag else {
        return Ok(());
    };
    numbers(lags.pages.into_iter().chain([lag.pages]))
}

fn written(written: &Written) -> Result<(), BadLine> {
    totals(&written.totals)?;
    numbers([written.bios])?;
    lag(written.lag.as_ref())?;
    for owner in &written.owners {
        numbers([owner.bytes, owner.shared])?;
        numbers(metadata(&owner.metadata))?;
        numbers(owner.files.iter().map(|file| file.bytes))?;
        lag(owner.lag.as_ref())?;
    }
    Ok(())
}

pub(super) fn flush(flush: &Flush) -> Result<(), BadLine> {
    written(&flush.written)?;
    numbers([flush.logged, flush.inodes])?;
    let pages = flush.runs.iter();
    let pages = pages.flat_map(|run| [run.requested_pages, run.written_pages]);
    numbers(pages.flatten())?;
    let Some(commits) = &flush.commits else {
        return Ok(());
    };
    numbers([commits.timer, commits.full])?;
    numbers(commits.commits)?;
    let count = |demand: &Demand| demand.count;
    numbers(commits.asked.iter().map(count))?;
    numbers(commits.waited.iter().map(count))
}

pub(super) fn spike(spike: &Spike) -> Result<(), BadLine> {
    written(&spike.written)?;
    numbers(spike.parts.iter().map(|part| part.bytes))
}
