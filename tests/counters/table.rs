//! The text table adds up, and scripts can parse it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::stage::Stage;
use super::text::{Figure, Frame, batch, frames};

/// Long-lived and short-lived writers: each total is the sum of its column.
pub fn total(stage: &Stage<'_>) -> Result<()> {
    let files = ["one", "two", "many"].map(|name| stage.file(name));
    let mut one = stage.actor(
        "c-one",
        &[&["aside", "c-aside", "steadily", &files[0], "1048576", "5"]],
    )?;
    let mut two = stage.actor(
        "c-two",
        &[&["aside", "c-aside", "steadily", &files[1], "4096", "1"]],
    )?;
    let mut many = stage.actor("c-many", &[&["children", "400", "1", &files[2]]])?;
    stage.step(&mut one)?;
    stage.step(&mut two)?;
    many.go()?;
    for options in [
        ["-k", "-d", "0.4", "-n", "2"].as_slice(),
        &["-o", "-P", "-k", "-d", "0.4", "-n", "2"],
    ] {
        // On a busy machine the writers may get no CPU in an interval. Such a run proves little.
        while !all_write(options)? {
            ensure!(!stage.deadline.left().is_zero(), "no task writes");
        }
    }
    many.done(stage.deadline)?;
    Ok(())
}

/// Checks the totals of each interval of one run. False if an interval has no writes.
fn all_write(options: &[&str]) -> Result<bool> {
    let mut all = true;
    for frame in frames(&batch(options)?)? {
        adds_up(&frame, "Total DISK READ", "DISK_READ")?;
        all &= adds_up(&frame, "Total DISK WRITE", "DISK_WRITE")? > 0.0;
    }
    Ok(all)
}

/// Checks that a total is the sum of its column, and returns it.
fn adds_up(frame: &Frame, total: &str, column: &str) -> Result<f64> {
    let total = frame.total(total)?;
    let at = frame.column(column)?;
    let (mut sum, mut precision) = (0.0, total.precision);
    for row in &frame.rows {
        let word = row.get(at).context("a short row")?;
        if word == "-" {
            continue;
        }
        let figure = Figure::parse(word)?;
        sum += figure.bytes;
        // No task moves less than a sector, so a printed 0 is 0.
        if figure.bytes > 0.0 {
            precision += figure.precision;
        }
    }
    ensure!(
        (total.bytes - sum).abs() <= precision,
        "{column} is {} in total, and {sum} in {} rows",
        total.bytes,
        frame.rows.len()
    );
    Ok(sum)
}

/// Whether tasks are busy or idle and figures large or small: the command is always the
/// same word of its line, counted from the left, as is the name of its column.
pub fn number_of_words(stage: &Stage<'_>) -> Result<()> {
    let files = ["fast", "slow"].map(|name| stage.file(name));
    let actors: [(&str, &[&str]); 3] = [
        (
            "c-fast",
            &["aside", "c-aside", "steadily", &files[0], "1048576", "5"],
        ),
        (
            "c-slow",
            &["aside", "c-aside", "steadily", &files[1], "4096", "150"],
        ),
        ("c-idle", &["aside", "c-aside", "idle"]),
    ];
    let mut running = Vec::new();
    for (comm, step) in actors {
        let mut actor = stage.actor(comm, &[step])?;
        stage.step(&mut actor)?;
        running.push(actor);
    }
    for options in [
        ["-d", "0.4", "-n", "2"].as_slice(),
        &["-a", "-d", "0.4", "-n", "2"],
        &["-k", "-n", "1", "-d", "0.4"],
        &["--no-ebpf", "-n", "1", "-d", "0.4"],
    ] {
        let mut rows = 0;
        for frame in frames(&batch(options)?)? {
            // A later interval may have FOR_OTHERS as well.
            let mut places = BTreeSet::new();
            let named = frame.column("COMMAND")?;
            places.insert(named);
            for row in &frame.rows {
                let figures = row.get(..named).context("a short row")?;
                let alone = figures.iter().find(|word| is_a_unit(word));
                ensure!(alone.is_none(), "{alone:?} is a word of its own in {row:?}");
                if !running
                    .iter()
                    .any(|actor| row[0] == actor.pid().to_string())
                {
                    continue;
                }
                // Every actor is the running binary, and that is its first argument.
                let place = row.iter().position(|word| word.contains("/proc/self/exe"));
                places.insert(place.with_context(|| format!("no command in {row:?}"))?);
                rows += 1;
            }
            ensure!(
                places.len() == 1,
                "{options:?}: the command is word {places:?}"
            );
        }
        ensure!(rows >= 3, "{options:?}: {rows} rows of three actors");
    }
    Ok(())
}

fn is_a_unit(word: &str) -> bool {
    ["B/s", "K/s", "M/s", "G/s", "%", "B", "K", "M"].contains(&word)
}
