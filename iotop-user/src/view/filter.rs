//! Selects tasks by their command (`--filter`).

use std::{fmt, str::FromStr};

use regex::Regex;

use super::fields::command;
use crate::{
    escape::escape,
    sample::{Sample, Task},
};

/// A regular expression. It must match somewhere in a task's name or command line.
#[derive(Clone, Debug)]
pub struct Filter(Regex);

impl Filter {
    /// Drops the tasks that do not match. The system's totals remain those of the whole
    /// machine.
    pub fn apply(&self, sample: &mut Sample) {
        let keep: Vec<bool> = sample.tasks.iter().map(|task| self.matches(task)).collect();
        sample.retain_tasks(&keep);
    }

    /// True if the task's name, or its command as it is shown, matches.
    pub fn matches(&self, task: &Task) -> bool {
        self.matches_names(&task.comm, &command(task))
    }

    /// True if a task with this name, and this command as it is shown, matches.
    pub fn matches_names(&self, comm: &str, command: &str) -> bool {
        self.0.is_match(&escape(comm)) || self.0.is_match(&escape(command))
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

    fn kept(regex: &str) -> Vec<u32> {
        let mut sample = golden::sample();
        let filter: Filter = regex.parse().expect("a regular expression");
        filter.apply(&mut sample);
        sample.tasks.iter().map(|task| task.tid).collect()
    }

    #[test]
    fn the_name_or_the_command_line_matches() {
        assert_eq!(kept("^dd$"), [1200]);
        assert_eq!(kept("of=/srv"), [1200]);
        assert_eq!(kept("walwriter"), [901]);
        assert_eq!(kept(r"^\[kworker"), [77]);
        assert_eq!(kept("^kworker"), [77]);
        assert_eq!(kept("(?i)POSTGRES"), [900, 901]);
        assert!(kept("nobody").is_empty());
    }

    #[test]
    fn escaped_text_matches_as_it_is_shown() {
        assert_eq!(kept(r"\\x1b\[2J"), [666]);
    }
}
