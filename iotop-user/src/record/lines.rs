//! Writes a sample as lines from which it can be restored.

use std::{io, sync::Arc};

use bytes::BytesMut;

use crate::{
    output::{
        flush_line::{FlushLine, SpikeLine},
        moved_lines::{DeviceLine, DiskLine, FactLine},
        ndjson::{SystemLine, TaskLine, line},
        raw::{Rows, SystemRaw},
    },
    sample::{Number, Sample, rfc3339},
};

/// Appends the lines of a sample: the system, the tasks, the facts, devices and disks, the
/// flushes, and the spikes. `name` returns a device's name.
///
/// # Errors
///
/// Those of serde_json; none is expected.
pub fn lines(
    sample: &Sample,
    mut name: impl FnMut(Number) -> Arc<str>,
    buffer: &mut BytesMut,
) -> io::Result<()> {
    let time = rfc3339(sample.time);
    let mut system = SystemLine::from(&sample.system);
    system.raw = Some(SystemRaw::of(sample));
    line(sample, &time, "system", system, buffer)?;
    for task in &sample.tasks {
        line(sample, &time, "task", TaskLine::recorded(task), buffer)?;
    }
    for fact in &sample.facts {
        let name = name(fact.device);
        let fact = FactLine::of(fact, sample, &name);
        line(sample, &time, "fact", fact, buffer)?;
    }
    for (device, totals) in &sample.devices {
        let name = name(*device);
        let device = DeviceLine::of(*device, &name, totals);
        line(sample, &time, "device", device, buffer)?;
    }
    for disk in &sample.disks {
        line(sample, &time, "disk", DiskLine::from(disk), buffer)?;
    }
    let rows = Rows::of(sample);
    for flush in &sample.flushes {
        let flush = FlushLine::recorded(flush, &sample.system, &rows);
        line(sample, &time, "flush", flush, buffer)?;
    }
    for spike in &sample.spikes {
        line(
            sample,
            &time,
            "spike",
            SpikeLine::recorded(spike, &rows),
            buffer,
        )?;
    }
    Ok(())
}
