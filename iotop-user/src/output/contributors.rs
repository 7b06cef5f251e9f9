//! Lists of those that contributed to some bytes, largest first. Small ones are folded into
//! one line.

use std::fmt::Write as _;

use super::units;

/// At most this many are named.
const NAMED: usize = 10;
/// At most this many files of each are named.
const FILES: usize = 5;

/// One line of a list.
pub(super) struct Part {
    /// Its bytes.
    pub bytes: u64,
    /// Who it is, or why nobody is.
    pub text: String,
    /// Whether the bytes have an owner.
    pub owned: bool,
    /// All of the bytes are an estimate.
    pub estimated: bool,
    /// Its files and their bytes, largest first.
    pub files: Vec<(u64, String)>,
}

impl Part {
    /// Bytes with an owner and without files.
    pub fn new(bytes: u64, text: String) -> Part {
        Part {
            bytes,
            text,
            owned: true,
            estimated: false,
            files: Vec::new(),
        }
    }

    /// The bytes, with `~` before an estimate.
    fn amount(&self) -> String {
        let mark = if self.estimated { "~" } else { "" };
        format!("{mark}{}", units::bytes(self.bytes as f64, false))
    }
}

/// A line of a list, in words.
pub(crate) struct Entry {
    /// The bytes, with `~` before an estimate.
    pub amount: String,
    /// Their share in percent.
    pub share: String,
    /// Who it is, or why nobody is.
    pub text: String,
    /// Its files and their bytes.
    pub files: Vec<(String, String)>,
}

impl Entry {
    fn of(part: &Part, all: u64) -> Entry {
        Entry {
            amount: part.amount(),
            share: share(part.bytes, all),
            text: part.text.clone(),
            files: files(part),
        }
    }
}

/// Prints a list with the share of each part in `all`.
pub(super) fn list(text: &mut String, parts: Vec<Part>, all: u64) {
    for entry in entries(parts, all) {
        line(text, &entry.amount, &entry.share, &entry.text);
        for (bytes, name) in &entry.files {
            line(text, bytes, "", &format!("  {name}"));
        }
    }
}

/// The lines of a list with the share of each part in `all`.
pub(super) fn entries(mut parts: Vec<Part>, all: u64) -> Vec<Entry> {
    parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    let bytes: Vec<u64> = parts.iter().map(|part| part.bytes).collect();
    let (named, rest) = parts.split_at(named(&bytes, all, NAMED));
    let mut entries: Vec<Entry> = named.iter().map(|part| Entry::of(part, all)).collect();
    let Some((sum, without_owner)) = sums(rest) else {
        return entries;
    };
    let without_owner = match without_owner {
        0 => String::new(),
        n if n == sum => " without an owner".to_owned(),
        n => format!(", {} of it without an owner", units::bytes(n as f64, false)),
    };
    let sum = Part {
        estimated: rest.iter().any(|part| part.estimated),
        ..Part::new(sum, format!("and {} others{without_owner}", rest.len()))
    };
    entries.push(Entry::of(&sum, all));
    entries
}

fn files(part: &Part) -> Vec<(String, String)> {
    let bytes: Vec<u64> = part.files.iter().map(|(bytes, _)| *bytes).collect();
    let (named, rest) = part.files.split_at(named(&bytes, part.bytes, FILES));
    let amount = |bytes: u64| units::bytes(bytes as f64, false);
    let named = named
        .iter()
        .map(|(bytes, name)| (amount(*bytes), name.clone()));
    let mut files: Vec<(String, String)> = named.collect();
    if !rest.is_empty() {
        let sum = rest.iter().map(|(bytes, _)| bytes).sum();
        files.push((amount(sum), format!("and {} other files", rest.len())));
    }
    files
}

fn line(text: &mut String, bytes: &str, share: &str, what: &str) {
    let _ = writeln!(text, "  {bytes:>9} {share:>6}  {what}");
}

/// All bytes of the parts, and those without an owner. `None` if there are no parts.
fn sums(parts: &[Part]) -> Option<(u64, u64)> {
    let sum = |owned: bool| {
        let parts = parts.iter().filter(|part| part.owned || !owned);
        parts.map(|part| part.bytes).sum::<u64>()
    };
    let all = sum(false);
    (!parts.is_empty()).then(|| (all, all - sum(true)))
}

/// How many of these are named, at most about `most`. Those below 1 % are not, unless they are
/// all that there is: something of each half of the bytes is always named.
fn named(bytes: &[u64], all: u64, most: usize) -> usize {
    let mut sum = 0;
    let worth_a_line = |bytes: &&u64| {
        let worth = bytes.saturating_mul(100) >= all || sum < all / 2;
        sum += **bytes;
        worth
    };
    let named = bytes.iter().take(most).take_while(worth_a_line).count();
    // A single one takes no more room than the line that says that there is one more.
    match bytes.len() - named {
        1 => named + 1,
        _ => named,
    }
}

/// A part in percent. What is not 0 is never printed as 0.
pub(crate) fn share(part: u64, all: u64) -> String {
    match part as f64 * 100.0 / all.max(1) as f64 {
        percent if part != 0 && percent < 0.05 => "<0.1%".to_owned(),
        percent => format!("{percent:.1}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    fn part(bytes: u64, text: &str) -> Part {
        Part::new(bytes, text.to_owned())
    }

    fn printed(parts: Vec<Part>) -> Vec<String> {
        let all = parts.iter().map(|part| part.bytes).sum();
        let mut text = String::new();
        list(&mut text, parts, all);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_has_no_owner_is_sorted_among_the_owners() {
        let nobody = Part {
            owned: false,
            ..part(600 * KIB, "no owner")
        };
        let lines = printed(vec![part(300 * KIB, "a"), part(100 * KIB, "b"), nobody]);
        let wanted = [
            "    600.00K  60.0%  no owner",
            "    300.00K  30.0%  a",
            "    100.00K  10.0%  b",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn contributors_below_one_percent_are_one_line() {
        let mut parts = vec![part(9000 * KIB, "dd")];
        parts.extend((0..12).map(|n| part(20 * KIB, &format!("w{n}"))));
        let nobody = Part {
            owned: false,
            ..part(100 * KIB, "no owner")
        };
        parts.push(nobody);
        let lines = printed(parts);
        let wanted = [
            "      8.79M  96.4%  dd",
            "    100.00K   1.1%  no owner",
            "    240.00K   2.6%  and 12 others",
        ];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn folded_bytes_without_an_owner_are_told() {
        let nobody = |bytes| Part {
            owned: false,
            ..part(bytes, "no owner")
        };
        let with = |rest: Vec<Part>| {
            let lines = printed([part(9000 * KIB, "dd")].into_iter().chain(rest).collect());
            lines.last().expect("a line").clone()
        };
        assert_eq!(
            with(vec![part(12 * KIB, "w"), nobody(4 * KIB)]),
            "     16.00K   0.2%  and 2 others, 4.00K of it without an owner"
        );
        assert_eq!(
            with(vec![nobody(12 * KIB), nobody(4 * KIB)]),
            "     16.00K   0.2%  and 2 others without an owner"
        );
    }

    #[test]
    fn a_single_small_one_is_named() {
        let lines = printed(vec![part(1 << 30, "dd"), part(4 * KIB, "w")]);
        assert_eq!(lines[1], "      4.00K  <0.1%  w");
    }

    #[test]
    fn some_of_many_equally_small_ones_are_named() {
        let parts = (0..500).map(|n| part(4 * KIB, &format!("w{n}")));
        let lines = printed(parts.collect());
        assert_eq!(lines.len(), NAMED + 1);
        assert_eq!(lines[NAMED], "      1.91M  98.0%  and 490 others");
    }

    #[test]
    fn the_files_of_one_part_are_folded_too() {
        let mut owner = part(1024 * KIB, "tar");
        owner.files = (0..100).map(|n| (10 * KIB, format!("/f{n}"))).collect();
        owner.files.insert(0, (24 * KIB, "/large".to_owned()));
        let lines = printed(vec![owner]);
        assert_eq!(lines[1], "     24.00K           /large");
        assert_eq!(lines.len(), 1 + FILES + 1);
        assert_eq!(lines[FILES + 1], "    960.00K           and 96 other files");
    }
}
