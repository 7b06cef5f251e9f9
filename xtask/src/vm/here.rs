//! This machine's own kernel, without emulation.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::build::Built;
use super::outcome::Outcome;
use crate::{privilege, process, test};

/// What it is called in the matrix.
pub const NAME: &str = "here";

/// The names of all trials.
pub fn trials(built: &Built) -> Result<Vec<String>> {
    let listed = process::output(Command::new(&built.test).arg("--list"))?;
    let names = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// Asks the doctor, and runs the tests if they are wanted.
pub fn run(built: &Built, tests: Option<&[String]>) -> Result<Outcome> {
    let release = process::output(Command::new("uname").arg("-r"))?;
    let mut outcome = Outcome::of_this_machine(release.trim());
    let mut doctor = privilege::command(&built.program)?;
    let facts = doctor.args(["doctor", "--format", "json"]).output()?;
    outcome.doctor = String::from_utf8(facts.stdout)?;
    let said: Value = serde_json::from_str(&outcome.doctor)?;
    ensure!(said["ebpf"] == true, "no eBPF here: {}", said["missing"]);
    if let Some(arguments) = tests {
        let mut command = privilege::command(&built.test)?;
        command.args(["--format", "json"]).args(arguments);
        command.env(test::REQUIRE_EBPF, "1").env(super::COST, "1");
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("stdout is piped")?);
        for line in lines.lines() {
            if let Some(shown) = outcome.line(line?.trim_end()) {
                println!("{NAME}: {shown}");
            }
        }
        outcome.ended_with(child.wait()?.code().unwrap_or(-1));
    }
    outcome.off();
    Ok(outcome)
}
