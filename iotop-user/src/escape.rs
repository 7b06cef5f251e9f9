//! Escapes names. A hostile process can choose its name and files: no name may move the
//! cursor, start a new line or reverse the text.

use std::{borrow::Cow, fmt::Write as _};

/// Replaces control characters, and characters that change the direction of text, by
/// visible escapes.
pub fn escape(text: &str) -> Cow<'_, str> {
    // Fast path: most texts are plain ASCII, and command lines may be long.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain || !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if is_dangerous(c) && u32::from(c) < 0x100 => {
                let _ = write!(escaped, "\\x{:02x}", u32::from(c));
            }
            c if is_dangerous(c) => {
                let _ = write!(escaped, "\\u{{{:04x}}}", u32::from(c));
            }
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// A task's name as it is shown. A kernel thread's is in brackets, as in ps. A user can give a
/// process any name, also one with brackets: it gets a backslash, so it is not taken for a kernel
/// thread's.
pub fn task_name(comm: &str, kthread: bool) -> Cow<'_, str> {
    match kthread {
        true => format!("[{comm}]").into(),
        false => of_user(comm),
    }
}

/// The name or the command line of a user's task. See [`task_name`].
pub fn of_user(text: &str) -> Cow<'_, str> {
    match text.trim_start().starts_with('[') {
        true => format!("\\{text}").into(),
        false => text.into(),
    }
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and the
/// marks and overrides of the bidirectional algorithm (UAX #9).
pub(crate) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_never_reach_the_terminal() {
        let hostile = "a\x1b[2J\n\r\t\u{9b}31m\u{202e}evil\u{2066}";
        let escaped = escape(hostile);
        assert_eq!(escaped, "a\\x1b[2J\\n\\r\\t\\x9b31m\\u{202e}evil\\u{2066}");
        assert!(!escaped.chars().any(is_dangerous));
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        assert!(matches!(escape("dd if=/ä of=日本"), Cow::Borrowed(_)));
    }

    #[test]
    fn the_brackets_of_a_users_task_are_not_those_of_a_kernel_thread() {
        let name = "jbd2/vda1-8";
        assert_eq!(task_name(name, true), "[jbd2/vda1-8]");
        assert_eq!(task_name(name, false), name);
        for (hostile, shown) in [
            ("[jbd2/vda1-8]", "\\[jbd2/vda1-8]"),
            ("[kworker]", "\\[kworker]"),
            (" [x]", "\\ [x]"),
            ("\u{a0}[x]", "\\\u{a0}[x]"),
            ("[ -f x ]", "\\[ -f x ]"),
            ("\\[x]", "\\[x]"),
        ] {
            assert_eq!(task_name(hostile, false), shown);
        }
    }
}
