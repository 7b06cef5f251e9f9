//! Names and figures as parts of a page.

use maud::{Markup, html};

use crate::{escape::escape, output::units::UNKNOWN, report::words::bytes};

/// A longer name is cut in its middle: a hostile one must not fill the page. Both ends of a path
/// say what it is.
const LONGEST: usize = 120;

/// A name that was chosen by others. It can't change the direction of the text around it.
pub(super) fn name(text: &str) -> Markup {
    html! { bdi { (cut(&escape(text), LONGEST)) } }
}

/// The start and the end of a text, together at most `most` characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let (start, end) = (most / 2, most - most / 2 - 1);
    let start: String = text.chars().take(start).collect();
    let end: String = text.chars().skip(length - end).collect();
    format!("{start}…{end}")
}

/// The text with a capital letter first.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next();
    let first = first.into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect()
}

/// A number of bytes, also for programs.
pub(super) fn value(n: u64) -> Markup {
    html! { data value=(n) { (bytes(n)) } }
}

/// The same, or a dash.
pub(super) fn known(n: Option<u64>) -> Markup {
    match n {
        Some(n) => value(n),
        None => html! { (UNKNOWN) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_long_name_are_kept() {
        assert_eq!(cut("/srv/db/wal", 11), "/srv/db/wal");
        assert_eq!(cut("/srv/db/base/é1", 9), "/srv…e/é1");
        assert_eq!(cut(&"é".repeat(500), LONGEST).chars().count(), LONGEST);
    }
}
