//! Parses the text output of a batch.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::support::deadline::Deadline;
use super::support::tracer::BINARY;

/// One interval of the table.
#[derive(Debug, Default)]
pub struct Frame {
    /// The lines above the column names.
    pub head: Vec<String>,
    /// The column names, a word each.
    pub names: Vec<String>,
    /// One row per task, a word for each column.
    pub rows: Vec<Vec<String>>,
}

/// Standard output of a batch run that must succeed.
pub fn batch(options: &[&str]) -> Result<String> {
    let output = Deadline::after(Duration::from_secs(30))
        .output(Command::new(BINARY).arg("-b").args(options))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// All frames of a batch without `-q` and `-t`.
pub fn frames(text: &str) -> Result<Vec<Frame>> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("Total DISK READ") {
            frames.push(Frame::default());
        }
        let frame = frames.last_mut().context("a line before the first total")?;
        let words = line.split_whitespace().map(str::to_owned);
        if !frame.names.is_empty() {
            frame.rows.push(words.collect());
        } else if line.contains("COMMAND") {
            frame.names = words.collect();
        } else {
            frame.head.push(line.to_owned());
        }
    }
    ensure!(!frames.is_empty(), "no interval in {text:?}");
    Ok(frames)
}

impl Frame {
    /// Where a column is. Its name is one word, like its values.
    pub fn column(&self, name: &str) -> Result<usize> {
        let at = self.names.iter().position(|word| word == name);
        at.with_context(|| format!("no column {name} in {:?}", self.names))
    }

    /// The row of a task.
    pub fn row(&self, tid: u64) -> Result<&[String]> {
        let at = self.column("TID")?;
        let tid = tid.to_string();
        let row = self.rows.iter().find(|row| row.get(at) == Some(&tid));
        Ok(row.with_context(|| format!("no row of task {tid}"))?)
    }

    /// The figure after these words above the table.
    pub fn total(&self, words: &str) -> Result<Figure> {
        let figure = self.head.iter().find_map(|line| {
            let (_, rest) = line.split_once(words)?;
            let rest = rest.trim_start_matches(':');
            rest.split('|').next()
        });
        Figure::parse(
            &figure
                .with_context(|| format!("no {words} in {:?}", self.head))?
                .replace(' ', ""),
        )
    }
}

/// A printed number of bytes and how far the real one may be from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    pub bytes: f64,
    pub precision: f64,
}

impl Figure {
    /// `17.34K/s`, `0B/s`, `12M`: half of the last digit is the precision.
    pub fn parse(word: &str) -> Result<Figure> {
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (digits, unit) = word.split_at(end.unwrap_or(word.len()));
        let unit = unit.trim_end_matches("/s").trim_end_matches(['B', 'i']);
        let power = match unit {
            "" => 0,
            "K" => 1,
            "M" => 2,
            "G" => 3,
            "T" => 4,
            _ => anyhow::bail!("{word} is not a number of bytes"),
        };
        let scale = 1024_f64.powi(power);
        let decimals = digits
            .split_once('.')
            .map_or(0, |(_, decimals)| decimals.len());
        let value: f64 = digits
            .parse()
            .with_context(|| format!("{word} is not a number"))?;
        Ok(Figure {
            bytes: value * scale,
            precision: scale * 0.5 / 10_f64.powi(i32::try_from(decimals)?),
        })
    }
}

/// Checks the parser itself.
pub fn selftest() -> Result<()> {
    let text = "Total DISK READ: 1.50 K/s | Total DISK WRITE: 0B/s\nTID DISK_WRITE COMMAND\n\
                7 2M/s a b\nTotal DISK READ: 0B/s | Total DISK WRITE: 0B/s\nTID COMMAND\n";
    let frames = frames(text)?;
    ensure!(frames.len() == 2 && frames[1].rows.is_empty());
    let first = &frames[0];
    let total = first.total("Total DISK READ")?;
    ensure!(total.bytes == 1536.0 && (total.precision - 5.12).abs() < 1e-9);
    let row = first.row(7)?;
    let figure = Figure::parse(&row[first.column("DISK_WRITE")?])?;
    ensure!(figure.bytes == 2_097_152.0 && figure.precision == 524_288.0);
    ensure!(first.row(8).is_err() && first.column("IO").is_err());
    ensure!(Figure::parse("-").is_err() && Figure::parse("0.00%").is_err());
    Ok(())
}
