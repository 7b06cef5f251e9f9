//! An error with its causes, in one line.

use std::error::Error;

/// The error's message, followed by the messages of its causes. A cause that is already
/// part of the text is skipped: some libraries repeat it in their own message.
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

/// The message of the innermost cause.
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
    fn every_cause_appears_once() {
        let error = Nested::Repeats(Box::new(Nested::Hides(Box::new(Nested::Inner))));
        assert_eq!(with_causes(&error), "outer: middle: inner");
        assert_eq!(root(&error), "inner");
    }
}
