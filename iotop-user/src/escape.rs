//! Escapes names. A hostile process can choose its name and files: no name may move the
//! cursor, start a new line, reverse the text, hide a part of itself or fill the disk.

use std::{borrow::Cow, fmt::Write as _};

/// What is printed of a text is at most this long, in bytes of its printed form. A longer one is
/// cut and ends in an ellipsis. It is the length of the longest path and of what is read of a
/// command line, so that only text with many escapes is cut.
pub const LONGEST: usize = 4 * 1024;
const ELLIPSIS: char = '…';
/// No escape has more bytes for each byte of its character.
const WORST: usize = 6;

/// Replaces control characters, characters that change the direction of text, and characters
/// that are not seen, by visible escapes. Cuts what is longer than [`LONGEST`].
pub fn escape(text: &str) -> Cow<'_, str> {
    // Fast path: most texts are plain ASCII, and command lines may be long.
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_plain && text.len() <= LONGEST || is_short(text) && !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let text = cut(text, |c| escaped(c).map_or(c.len_utf8(), |e| e.len()));
    let mut whole = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match escaped(c) {
            Some(escape) => whole.push_str(&escape),
            None => whole.push(c),
        }
    }
    Cow::Owned(whole)
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

/// The escape of a character that has one.
fn escaped(c: char) -> Option<Cow<'static, str>> {
    let mut escape = String::new();
    match c {
        '\n' => return Some("\\n".into()),
        '\r' => return Some("\\r".into()),
        '\t' => return Some("\\t".into()),
        c if !is_dangerous(c) => return None,
        c if u32::from(c) < 0x100 => {
            let _ = write!(escape, "\\x{:02x}", u32::from(c));
        }
        c => {
            let _ = write!(escape, "\\u{{{:04x}}}", u32::from(c));
        }
    }
    Some(escape.into())
}

/// True if the printed form is not too long, whatever the text consists of.
fn is_short(text: &str) -> bool {
    text.len() * WORST <= LONGEST
}

/// Cuts a text whose printed form is longer than [`LONGEST`]. `printed` is the number of bytes of
/// a character's printed form. A text that already ends in an ellipsis may be longer by it.
pub(crate) fn cut(text: &str, printed: impl Fn(char) -> usize) -> Cow<'_, str> {
    if is_short(text) {
        return Cow::Borrowed(text);
    }
    let (mut length, mut end) = (0, 0);
    for (at, c) in text.char_indices() {
        length += printed(c);
        if length <= LONGEST {
            end = at + c.len_utf8();
        }
    }
    match &text[end..] {
        "" => Cow::Borrowed(text),
        rest if rest.starts_with(ELLIPSIS) && rest.len() == ELLIPSIS.len_utf8() => {
            Cow::Borrowed(text)
        }
        _ => format!("{}{ELLIPSIS}", &text[..end]).into(),
    }
}

/// Control characters (C0, DEL, C1), line and paragraph separators, the marks and overrides of
/// the bidirectional algorithm (UAX #9), interlinear annotations, and all characters that are
/// not seen: Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt, such as
/// zero-width spaces and joiners, variation selectors and tags.
pub(crate) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
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
    fn what_is_not_seen_is_escaped() {
        for (hidden, seen) in [
            ('\u{ad}', "\\xad"),
            ('\u{200b}', "\\u{200b}"),
            ('\u{200d}', "\\u{200d}"),
            ('\u{2060}', "\\u{2060}"),
            ('\u{feff}', "\\u{feff}"),
            ('\u{fe0f}', "\\u{fe0f}"),
            ('\u{e0041}', "\\u{e0041}"),
        ] {
            let name = format!("root{hidden}");
            assert_eq!(escape(&name), format!("root{seen}"));
        }
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

    /// Escapes made four bytes of each byte of a command line.
    #[test]
    fn the_printed_form_has_a_bound() {
        let whole = "x".repeat(LONGEST);
        assert_eq!(escape(&whole), whole);
        // As the collector cuts it.
        let cut = format!("{whole}…");
        assert_eq!(escape(&cut), cut);
        assert_eq!(escape(&format!("{whole}yz")), cut);
        let most = LONGEST + ELLIPSIS.len_utf8();
        for hostile in ["\x1b", "\u{ad}", "\u{200b}", "\u{e0041}", "日"] {
            let escaped = escape(&hostile.repeat(LONGEST)).into_owned();
            assert!(escaped.len() <= most, "{hostile:?}: {}", escaped.len());
            assert!(escaped.len() > LONGEST - 9 && escaped.ends_with('…'));
        }
    }
}
