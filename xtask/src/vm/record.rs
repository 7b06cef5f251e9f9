//! What the last whole run proved of each kernel, committed in `tests/kernels.json`.
//! The table in docs/kernels.md is made from it, and later runs are compared with its
//! counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::capabilities;
use super::outcome::Outcome;
use crate::workspace;

/// Half of the instructions that the verifier processes before it gives up
/// (`BPF_COMPLEXITY_LIMIT_INSNS` of include/linux/bpf.h).
const MOST_INSTRUCTIONS: u64 = 500_000;
/// A program may have this many percent more instructions than recorded: an update of
/// the kernel changes them a little.
const GROWTH: u64 = 10;

/// The record of one kernel.
#[derive(Serialize, Deserialize, Debug, Default, PartialEq)]
pub struct Proven {
    /// The kernel's name in the matrix.
    pub kernel: String,
    /// Its version, such as 6.1.176.
    pub version: String,
    /// For each capability, the groups whose trials have all passed.
    pub capabilities: BTreeMap<String, Vec<String>>,
    /// Instructions that the verifier processed, by program; unknown before 5.16.
    pub verified_instructions: BTreeMap<String, Option<u64>>,
    /// Mean time of a program's run in ns, by tracepoint, with the statistics' own
    /// cost; on an emulated machine, except for this machine's own kernel.
    pub mean_ns: BTreeMap<String, u64>,
}

impl Proven {
    /// What a run without a failure proved. Of a capability of which it did not run all of
    /// `trials`, and of costs that it did not measure, the record is as `before`.
    pub fn by(
        kernel: &str,
        outcome: &Outcome,
        trials: &[String],
        before: Option<Proven>,
    ) -> Result<Proven> {
        ensure!(outcome.is_good(), "{kernel}: only a good run is recorded");
        let facts = facts(outcome)?;
        let mut proven = Proven {
            kernel: kernel.to_owned(),
            version: outcome.version.clone(),
            verified_instructions: instructions(&facts),
            ..before.unwrap_or_default()
        };
        let new = capabilities::of(outcome, &facts)?;
        for name in capabilities::all_tried(outcome, trials)? {
            match new.get(name) {
                Some(groups) => _ = proven.capabilities.insert(name.to_owned(), groups.clone()),
                None => _ = proven.capabilities.remove(name),
            }
        }
        let means = outcome.cost.as_object().into_iter().flatten();
        let means =
            means.filter_map(|(name, cost)| Some((name.clone(), cost["mean_ns"].as_u64()?)));
        let means: BTreeMap<_, _> = means.collect();
        if !means.is_empty() {
            proven.mean_ns = means;
        }
        Ok(proven)
    }
}

/// What the doctor said.
fn facts(outcome: &Outcome) -> Result<Value> {
    serde_json::from_str(&outcome.doctor).context("the doctor's facts")
}

fn instructions(facts: &Value) -> BTreeMap<String, Option<u64>> {
    let hooks = facts["hooks"].as_array().into_iter().flatten();
    hooks
        .filter_map(|hook| {
            let program = hook["program"].as_str()?.to_owned();
            Some((program, hook["verified_instructions"].as_u64()))
        })
        .collect()
}

fn file() -> PathBuf {
    workspace::root().join("tests/kernels.json")
}

/// The record as it is committed.
pub fn read() -> Result<Vec<Proven>> {
    let path = file();
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

pub fn write(record: &[Proven]) -> Result<()> {
    let path = file();
    let mut text = serde_json::to_string_pretty(record)?;
    text.push('\n');
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// `6.1` of `6.1.176`. The verifier of another series processes more or fewer
/// instructions.
fn series(version: &str) -> Option<&str> {
    let (second, _) = version.match_indices('.').nth(1)?;
    version.get(..second)
}

/// Programs that have come near the verifier's limit, or that have grown.
pub fn grown(record: &[Proven], kernel: &str, outcome: &Outcome) -> Result<Vec<String>> {
    let recorded = record
        .iter()
        .find(|one| one.kernel == kernel && series(&one.version) == series(&outcome.version));
    let mut problems = Vec::new();
    for (program, now) in instructions(&facts(outcome)?) {
        let Some(now) = now else { continue };
        if now > MOST_INSTRUCTIONS {
            problems.push(format!(
                "{program}: the verifier processes {now} instructions, \
                 more than half of its limit of one million"
            ));
        }
        let before = recorded.and_then(|one| *one.verified_instructions.get(&program)?);
        if let Some(before) = before
            && now > before + before * GROWTH / 100
        {
            problems.push(format!(
                "{program}: the verifier processes {now} instructions, and {before} when it was \
                 recorded; if that has to be, run `cargo xtask vm --record`"
            ));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(instructions: u64) -> Outcome {
        let hook = json!({"program": "bio_submitted", "verified_instructions": instructions});
        let mut outcome = Outcome::new("6.1.0");
        outcome.doctor = json!({"hooks": [hook]}).to_string();
        outcome
    }

    fn record(instructions: u64) -> Vec<Proven> {
        vec![Proven {
            kernel: "6.1".to_owned(),
            version: "6.1.7".to_owned(),
            verified_instructions: instructions_of(instructions),
            ..Proven::default()
        }]
    }

    fn instructions_of(count: u64) -> BTreeMap<String, Option<u64>> {
        BTreeMap::from([("bio_submitted".to_owned(), Some(count))])
    }

    #[test]
    fn a_run_of_some_cases_records_what_it_tried_as_a_whole() -> Result<()> {
        let trials = [
            "ext4::journal_x",
            "xfs::journal_x",
            "ext4::direct_io",
            "xfs::direct_io",
        ];
        let trials = trials.map(str::to_owned);
        let tried = &trials[..3];
        let doctor = outcome(7).doctor;
        let mut outcome = Outcome::of_this_machine("6.1.7");
        outcome.doctor = doctor;
        for name in tried {
            outcome.line(&json!({"type": "test", "event": "ok", "name": name}).to_string());
        }
        outcome.ended_with(0);
        let mut before = record(5).remove(0);
        let direct = ("direct".to_owned(), vec!["btrfs".to_owned()]);
        before.capabilities = BTreeMap::from([direct.clone()]);
        before.mean_ns = BTreeMap::from([("block_bio_queue".to_owned(), 3)]);
        let after = Proven::by("6.1", &outcome, &trials, Some(before))?;
        let journals = ["ext4", "xfs"].map(str::to_owned).to_vec();
        let expected = BTreeMap::from([direct, ("journals".to_owned(), journals)]);
        assert_eq!(after.capabilities, expected);
        assert_eq!(after.verified_instructions, instructions_of(7));
        assert_eq!(after.mean_ns["block_bio_queue"], 3);
        Ok(())
    }

    #[test]
    fn a_program_that_grows_is_a_problem() -> Result<()> {
        assert!(grown(&record(1000), "6.1", &outcome(1100))?.is_empty());
        assert_eq!(grown(&record(1000), "6.1", &outcome(1101))?.len(), 1);
        assert!(grown(&record(1000), "5.10", &outcome(2000))?.is_empty());
        let mut another = outcome(2000);
        another.version = "6.12.1".to_owned();
        assert!(grown(&record(1000), "6.1", &another)?.is_empty());
        Ok(())
    }

    #[test]
    fn half_of_the_verifiers_limit_is_the_end() -> Result<()> {
        assert_eq!(grown(&record(500_000), "6.1", &outcome(500_001))?.len(), 1);
        assert_eq!(grown(&[], "6.1", &outcome(500_001))?.len(), 1);
        Ok(())
    }

    /// The committed record itself.
    #[test]
    fn no_recorded_program_comes_near_the_limit() -> Result<()> {
        for proven in read()? {
            for (program, count) in proven.verified_instructions {
                let kernel = &proven.kernel;
                assert!(
                    count.is_none_or(|count| count <= MOST_INSTRUCTIONS),
                    "{kernel} {program}"
                );
            }
        }
        Ok(())
    }
}
