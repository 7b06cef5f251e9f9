//! The result of one kernel: the trials' results, as libtest-mimic prints them in JSON,
//! and how the machine ended.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::plan::{MARK, Said};

/// A trial that has ended.
pub struct Trial {
    pub name: String,
    pub passed: bool,
    /// It was ignored because this kernel lacks something, and that is allowed.
    pub lacking: bool,
    pub message: String,
}

/// The number of the command that is `iotop-trace doctor --format json`.
pub const DOCTOR: usize = 0;

/// Gathered while the machine runs.
pub struct Outcome {
    /// As `uname -r` has it.
    pub release: String,
    /// The kernel's own version.
    pub version: String,
    /// Whether trials may be left out.
    may_lack: bool,
    pub trials: Vec<Trial>,
    /// The trial that has begun, and when.
    running: Option<(String, Instant)>,
    /// The command that runs.
    command: usize,
    /// The exit status of the command that was asked for.
    end: Option<i32>,
    over: bool,
    /// What went wrong beside the trials.
    pub problems: Vec<String>,
    /// What `iotop-trace doctor --format json` printed.
    pub doctor: String,
    /// What the programs cost, by tracepoint.
    pub cost: Value,
    begun: Instant,
    pub time: Duration,
}

impl Outcome {
    pub fn new(release: &str) -> Outcome {
        let version = release.split(['-', '+']).next().unwrap_or(release);
        Outcome {
            release: release.to_owned(),
            version: version.to_owned(),
            may_lack: false,
            trials: Vec::new(),
            running: None,
            command: DOCTOR,
            end: None,
            over: false,
            problems: Vec::new(),
            doctor: String::new(),
            cost: Value::Null,
            begun: Instant::now(),
            time: Duration::ZERO,
        }
    }

    /// For tests that run on this machine and not in a guest. They may be ignored for
    /// what its kernel lacks: the guests' kernels have that.
    pub fn of_this_machine(release: &str) -> Outcome {
        Outcome {
            may_lack: true,
            command: DOCTOR + 1,
            over: true,
            ..Outcome::new(release)
        }
    }

    /// Adds a line. Returns what to show of it.
    pub fn line(&mut self, line: &str) -> Option<String> {
        if let Some(said) = said(line) {
            return self.said(said);
        }
        if self.command == DOCTOR {
            self.doctor.push_str(line);
            return None;
        }
        let Ok(Value::Object(event)) = serde_json::from_str(line) else {
            return (!line.is_empty()).then(|| line.to_owned());
        };
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        match (text("type"), text("event")) {
            ("test", "started") => {
                self.running = Some((text("name").to_owned(), Instant::now()));
                None
            }
            ("test", event) => Some(self.ended(text("name"), event, text("stdout"))),
            ("suite", _) => None,
            ("cost", _) => {
                self.cost = event.get("programs").cloned().unwrap_or_default();
                None
            }
            _ => Some(line.to_owned()),
        }
    }

    fn said(&mut self, said: Said) -> Option<String> {
        match said {
            Said::Note(text) => return Some(format!("note: {text}")),
            Said::Begin(command) => self.command = command,
            // The doctor's facts say whether something is missing.
            Said::End(DOCTOR, _) => {}
            Said::End(_, status) => self.end = Some(status),
            Said::Failed(why) => self.problems.push(format!("init: {why}")),
            Said::Over => self.over = true,
        }
        None
    }

    fn ended(&mut self, name: &str, event: &str, stdout: &str) -> String {
        let begun = self.running.take().map(|(_, begun)| begun);
        let time = begun.map(|begun| begun.elapsed()).unwrap_or_default();
        let message = stdout
            .trim_end()
            .trim_start_matches("Error: ")
            .trim_matches('"');
        self.trials.push(Trial {
            name: name.to_owned(),
            passed: event == "ok",
            lacking: event == "ignored" && self.may_lack,
            message: match event {
                "ignored" => "ignored, and nothing may be left out here".to_owned(),
                _ => message.to_owned(),
            },
        });
        format!("{name}: {event}, {:.1} s", time.as_secs_f64())
    }

    /// Records that the tests ended with this status.
    pub fn ended_with(&mut self, status: i32) {
        self.end = Some(status);
    }

    /// Evaluates the run once the machine is off.
    pub fn off(&mut self) {
        self.time = self.begun.elapsed();
        if let Some((name, _)) = self.running.take() {
            self.problems.push(format!("the machine ended in {name}"));
        } else if !self.over {
            self.problems
                .push("the machine ended before its commands were over".to_owned());
        }
        match self.end {
            Some(status) if status != 0 && self.failed().count() == 0 => {
                let problem = format!("the command ended with status {status}");
                self.problems.push(problem);
            }
            _ => {}
        }
    }

    pub fn failed(&self) -> impl Iterator<Item = &Trial> {
        self.trials
            .iter()
            .filter(|trial| !trial.passed && !trial.lacking)
    }

    pub fn is_good(&self) -> bool {
        self.problems.is_empty() && self.failed().count() == 0
    }

    /// Passed and all trials of some groups, such as `ext4`.
    pub fn of_groups(&self, groups: &[&str]) -> (usize, usize) {
        let of_them = |trial: &&Trial| {
            let group = trial.name.split("::").next();
            group.is_some_and(|group| groups.contains(&group))
        };
        let all = self.trials.iter().filter(of_them);
        (
            all.clone().filter(|trial| trial.passed).count(),
            all.count(),
        )
    }
}

/// What a line of the guest's output says, if init said it.
fn said(line: &str) -> Option<Said> {
    serde_json::from_str(line.strip_prefix(MARK)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(said: &Said) -> String {
        let said = serde_json::to_string(said).unwrap_or_default();
        format!("{MARK}{said}")
    }

    const TESTS: usize = 1;

    /// Without a command, these are the tests' lines.
    fn fed(lines: &[&str]) -> Outcome {
        let mut outcome = Outcome::new("6.1.0");
        outcome.command = TESTS;
        for line in lines {
            outcome.line(line);
        }
        outcome.off();
        outcome
    }

    const PASSED: [&str; 2] = [
        r#"{ "type": "test", "event": "started", "name": "ext4::a" }"#,
        r#"{ "type": "test", "name": "ext4::a", "event": "ok" }"#,
    ];

    #[test]
    fn a_run_that_goes_to_its_end_is_good() {
        let said = [
            Said::Begin(DOCTOR),
            Said::Begin(TESTS),
            Said::End(TESTS, 0),
            Said::Over,
        ];
        let [doctor, tests, end, over] = said.map(|said| line_of(&said));
        let facts = ["{", r#""kernel":"6.1"}"#];
        let outcome = fed(&[
            &doctor, facts[0], facts[1], &tests, PASSED[0], PASSED[1], &end, &over,
        ]);
        assert!(outcome.is_good(), "{:?}", outcome.problems);
        assert_eq!(outcome.of_groups(&["ext4", "xfs"]), (1, 1));
        assert_eq!(outcome.doctor, r#"{"kernel":"6.1"}"#);
    }

    #[test]
    fn a_failure_has_its_message() {
        let failed = r#"{ "type": "test", "name": "xfs::b", "event": "failed", "stdout": "Error: \"1 is not 2\"\n" }"#;
        let outcome = fed(&[
            failed,
            &line_of(&Said::End(TESTS, 101)),
            &line_of(&Said::Over),
        ]);
        assert!(outcome.problems.is_empty() && !outcome.is_good());
        assert_eq!(
            outcome.failed().next().map(|trial| trial.message.as_str()),
            Some("1 is not 2")
        );
    }

    #[test]
    fn a_machine_that_crashes_is_reported_with_its_trial() {
        let outcome = fed(&PASSED[..1]);
        assert_eq!(outcome.problems, ["the machine ended in ext4::a"]);
        assert!(!fed(&PASSED).is_good());
    }

    #[test]
    fn a_command_that_fails_without_a_failed_trial_is_a_problem() {
        let outcome = fed(&[&line_of(&Said::End(TESTS, 139)), &line_of(&Said::Over)]);
        assert_eq!(outcome.problems, ["the command ended with status 139"]);
    }
}
