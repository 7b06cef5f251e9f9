//! `--filter`: tasks by their command.

use std::{fmt, str::FromStr};

use regex::Regex;

use super::fields::command;
use crate::{
    escape::escape,
    sample::{Sample, Task},
};

/// A regular expression that a command's name or line must match somewhere.
#[derive(Clone, Debug)]
pub struct Filter(Regex);

impl Filter {
    /// Leaves out the tasks that do not match. The system's totals stay those
    /// of the whole machine.
    pub fn apply(&self, sample: &mut Sample) {
        let keep: Vec<bool> = sample.tasks.iter().map(|task| self.matches(task)).collect();
        sample.retain_tasks(&keep);
    }

    /// Whether a task's name, or its command as it is shown, matches.
    pub fn matches(&self, task: &Task) -> bool {
        self.0.is_match(&escape(&task.comm)) || self.0.is_match(&escape(&command(task)))
    }
}

impl FromStr for Filter {
    type Err = regex::Error;

    fn from_str(text: &str) -> Result<Filter, regex::Error> {
        Ok(Filter(Regex::new(text)?))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Filter) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Filter {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn left(regex: &str) -> Vec<u32> {
        let mut sample = golden::sample();
        let filter: Filter = regex.parse().expect("a regular expression");
        filter.apply(&mut sample);
        sample.tasks.iter().map(|task| task.tid).collect()
    }

    #[test]
    fn the_name_or_the_line_matches() {
        assert_eq!(left("^dd$"), [1200]);
        assert_eq!(left("of=/srv"), [1200]);
        assert_eq!(left("walwriter"), [901]);
        assert_eq!(left(r"^\[kworker"), [77]);
        assert_eq!(left("^kworker"), [77]);
        assert_eq!(left("(?i)POSTGRES"), [900, 901]);
        assert!(left("nobody").is_empty());
    }

    #[test]
    fn what_is_escaped_matches_as_it_is_shown() {
        assert_eq!(left(r"\\x1b\[2J"), [666]);
    }
}
