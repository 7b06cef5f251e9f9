//! Hostile input: recorded input with a few changes, or arbitrary bytes.

use proptest::{
    prelude::*,
    sample::{Index, select},
};

/// The longest input. What the kernel writes is mostly shorter.
const LONGEST: usize = 128 << 10;

/// Text that formats treat specially, or that a terminal does.
const TEXT: &[&str] = &[
    " ",
    "\n",
    "\t",
    "\0",
    ":",
    "/",
    "\\",
    ",",
    "-",
    ".",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\"",
    "'",
    "#",
    "@",
    "_",
    "..",
    " - ",
    ") ",
    "0::/",
    "\\040",
    "\\777",
    "\\x2d",
    "\\x",
    ".scope",
    ".slice",
    ".service",
    "machine-",
    "lxc.payload.",
    ".libvirt-lxc",
    " (deleted)",
    "\r",
    "\u{1b}[2J",
    "\u{9b}31m",
    "\u{202e}",
    "\u{200b}",
    "é",
    "日本",
];

/// Numbers at the ends of the usual types, and what only looks like a number.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "+1",
    "00000000000000000001",
    "255",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e9",
    "0x10",
    "NaN",
    "inf",
    "",
];

/// The same in four bytes.
const WORDS: &[u32] = &[
    0,
    1,
    2,
    4,
    16,
    0xff,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX - 3,
    u32::MAX,
];

/// One change of an input.
#[derive(Clone, Debug)]
enum Change {
    Byte(Index, u8),
    Insert(Index, &'static str),
    Remove(Index, usize),
    /// Appends a part to itself so many times.
    Repeat(Index, usize, usize),
    End(Index),
    /// Replaces the next number that is written as text.
    Number(Index, &'static str),
    Word(Index, u32),
    /// Goes on as another sample does.
    Splice(Index, Index, Vec<u8>),
}

/// Input that is like one of these samples.
pub fn hostile(samples: Vec<Vec<u8>>) -> BoxedStrategy<Vec<u8>> {
    let arbitrary = prop::collection::vec(any::<u8>(), 0..300);
    let start = prop_oneof![1 => arbitrary, 9 => select(samples.clone())];
    let changes = prop::collection::vec(change(samples), 0..8);
    let changed = (start, changes).prop_map(|(mut bytes, changes)| {
        for change in changes {
            change.make(&mut bytes);
            bytes.truncate(LONGEST);
        }
        bytes
    });
    changed.boxed()
}

fn change(samples: Vec<Vec<u8>>) -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (at(), select(TEXT)).prop_map(|(at, text)| Change::Insert(at, text)),
        (at(), 1..64usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), 1..64usize, prop_oneof![1..4usize, 1..2000usize])
            .prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        at().prop_map(Change::End),
        (at(), select(NUMBERS)).prop_map(|(at, number)| Change::Number(at, number)),
        (at(), select(WORDS)).prop_map(|(at, word)| Change::Word(at, word)),
        (at(), at(), select(samples)).prop_map(|(at, from, other)| Change::Splice(at, from, other)),
    ]
}

impl Change {
    fn make(self, bytes: &mut Vec<u8>) {
        let end = bytes.len();
        let place = |at: Index| at.index(end + 1);
        match self {
            Change::Byte(at, byte) => {
                if let Some(changed) = bytes.get_mut(place(at)) {
                    *changed = byte;
                }
            }
            Change::Insert(at, text) => {
                bytes.splice(place(at)..place(at), text.bytes());
            }
            Change::Remove(at, length) => {
                bytes.drain(place(at)..end.min(place(at) + length));
            }
            Change::Repeat(at, length, times) => {
                let part = bytes[place(at)..end.min(place(at) + length)].repeat(times);
                bytes.splice(place(at)..place(at), part.into_iter().take(LONGEST));
            }
            Change::End(at) => bytes.truncate(place(at)),
            Change::Number(at, number) => {
                let is_digit = |at: &usize| bytes[*at].is_ascii_digit();
                let Some(begin) = (place(at)..end).find(is_digit) else {
                    return;
                };
                let after = (begin..end).find(|at| !is_digit(at)).unwrap_or(end);
                bytes.splice(begin..after, number.bytes());
            }
            Change::Word(at, word) => {
                // Words are mostly aligned.
                let at = place(at) & !3;
                if let Some(changed) = bytes.get_mut(at..at + 4) {
                    changed.copy_from_slice(&word.to_ne_bytes());
                }
            }
            Change::Splice(at, from, other) => {
                bytes.truncate(place(at));
                bytes.extend(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}
