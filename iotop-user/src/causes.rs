//! An error with its causes, in one line.

use std::error::Error;

/// The error's message and those of its causes, each once: some libraries
/// repeat the cause in their own message.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let message = next.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = next.source();
    }
    text
}

/// The last of its causes.
pub fn root(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Nested {
        #[error("outer: {0}")]
        Repeats(#[source] Box<Nested>),
        #[error("middle")]
        Hides(#[source] Box<Nested>),
        #[error("inner")]
        Inner,
    }

    #[test]
    fn every_cause_is_said_once() {
        let error = Nested::Repeats(Box::new(Nested::Hides(Box::new(Nested::Inner))));
        assert_eq!(with_causes(&error), "outer: middle: inner");
        assert_eq!(root(&error), "inner");
    }
}
