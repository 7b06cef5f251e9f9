//! `iotop-trace report --format parquet` and `perfetto`: a recording as a file of another tool.

use anyhow::Result;

use crate::cli;

/// Writes the file to standard output. A closed pipe ends it.
///
/// # Errors
///
/// A recording can't be read or has nothing in the span, or the output can't be written.
pub(super) fn run(wanted: &cli::Report) -> Result<()> {
    let written: Result<()> = match wanted.format {
        #[cfg(feature = "parquet")]
        cli::SpanFormat::Parquet => files::parquet(wanted),
        #[cfg(feature = "perfetto")]
        cli::SpanFormat::Perfetto => files::perfetto(wanted),
        // The command line refuses what this build lacks.
        _ => Ok(()),
    };
    match written {
        Err(error) if error.chain().any(is_closed) => Ok(()),
        written => written,
    }
}

/// True if the reader closed the pipe.
fn is_closed(cause: &(dyn std::error::Error + 'static)) -> bool {
    let error = cause.downcast_ref::<std::io::Error>();
    error.is_some_and(crate::output::is_closed_pipe)
}

#[cfg(any(feature = "parquet", feature = "perfetto"))]
mod files {
    use std::{
        io::{self, BufWriter, IsTerminal as _, Stdout},
        path::Path,
    };

    use anyhow::{Context as _, Result, bail};

    use crate::{
        cli, commands::replay::nothing, host::devices::DeviceNames, output::say, record::Recording,
        sample::Sample,
    };

    const WRITING: &str = "writing to standard output";

    #[cfg(feature = "parquet")]
    pub fn parquet(wanted: &cli::Report) -> Result<()> {
        use crate::export::parquet::Export;

        let mut out = Some(output()?);
        let mut export = None;
        each_sample(wanted, |sample, names| {
            if let Some(out) = out.take() {
                export = Some(Export::new(out).context(WRITING)?);
            }
            match &mut export {
                Some(export) => export.add(sample, names).context(WRITING),
                None => Ok(()),
            }
        })?;
        export.map_or(Ok(()), |export| export.finish().context(WRITING))
    }

    #[cfg(feature = "perfetto")]
    pub fn perfetto(wanted: &cli::Report) -> Result<()> {
        use jiff::tz::TimeZone;

        use crate::{commands::report, export::perfetto::Export};

        let out = output()?;
        let report = report::gather(wanted, &wanted.directory, wanted.span)?;
        let rows = report.rows.iter().take(wanted.top);
        let rows = rows.filter(|row| row.usage.written() != 0);
        let owners = rows.map(|row| row.name.clone()).collect();
        let (start, zone) = (report.start, TimeZone::system());
        let mut export = Export::new(out, wanted.by, owners, start, zone).context(WRITING)?;
        each_sample(wanted, |sample, names| {
            export.add(sample, names).context(WRITING)
        })?;
        export.finish().context(WRITING)
    }

    fn output() -> Result<BufWriter<Stdout>> {
        let out = io::stdout();
        if out.is_terminal() {
            bail!("a terminal can't show this format; redirect it into a file: `> FILE`");
        }
        Ok(BufWriter::new(out))
    }

    /// Hands over the samples of the span, and the names that devices had.
    fn each_sample(
        wanted: &cli::Report,
        mut add: impl FnMut(&Sample, &mut DeviceNames) -> Result<()>,
    ) -> Result<()> {
        let recording = Recording::open(&wanted.directory)?;
        let mut names = DeviceNames::new(Path::new("/sys"));
        let mut samples = recording.samples(wanted.span);
        let mut is_empty = true;
        while let Some(sample) = samples.next().transpose()? {
            is_empty = false;
            let facts = sample.facts.iter().map(|fact| fact.device);
            let devices = sample.devices.iter().map(|(device, _)| *device);
            for device in devices.chain(facts) {
                names.know(device, samples.device_name(device));
            }
            add(&sample, &mut names)?;
        }
        for message in samples.skipped().messages() {
            say(&message);
        }
        match recording.ledgers()?.days.len() {
            0 => {}
            n => say(&format!(
                "the file has what was recorded, and not the daily totals of {n} earlier days"
            )),
        }
        match is_empty {
            true => Err(nothing(&wanted.directory, wanted.span, &recording)?),
            false => Ok(()),
        }
    }
}
