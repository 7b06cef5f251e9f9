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
}
