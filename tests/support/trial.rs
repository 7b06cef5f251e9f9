//! How a trial ends: it passed, it failed, or it was left out for a reason.

use std::env;

use anyhow::{Error, Result};
use libtest_mimic::{Completion, Failed};

/// If set (CI), a machine has to be able to run the trials: what is missing is a failure.
pub const REQUIRED: &str = "IOTOP_TRACE_REQUIRE_EBPF";

pub fn required() -> bool {
    env::var_os(REQUIRED).is_some()
}

/// Why a machine can't run a trial. The harness reports the trial as ignored, with this reason.
#[derive(Debug, thiserror::Error)]
pub enum LeftOut {
    /// The machine lacks what one for tests has to have, for example root or a program. In CI
    /// this is a failure.
    #[error("{0}")]
    Missing(String),
    /// The trial is for another kind of machine, for example one with a hybrid cgroup hierarchy.
    #[error("{0}")]
    Elsewhere(String),
}

impl LeftOut {
    /// The machine lacks what one for tests has to have.
    pub fn missing(reason: impl ToString) -> Error {
        LeftOut::Missing(reason.to_string()).into()
    }

    /// The trial is for another kind of machine.
    pub fn elsewhere(reason: impl ToString) -> Error {
        LeftOut::Elsewhere(reason.to_string()).into()
    }
}

/// What the harness is told of a trial that ended like this.
pub fn end(result: Result<()>) -> Result<Completion, Failed> {
    let Err(error) = result else {
        return Ok(Completion::Completed);
    };
    let is_ignored = match error.downcast_ref() {
        Some(LeftOut::Missing(_)) => !required(),
        Some(LeftOut::Elsewhere(_)) => true,
        None => false,
    };
    match is_ignored {
        true => Ok(Completion::ignored_with(format!("{error:#}"))),
        false => Err(format!("{error:#}").into()),
    }
}
