//! What this program and the supervisor say to each other: one JSON value a line.

use serde::{Deserialize, Serialize};

use crate::sample::Number;

/// What the supervisor is told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Start the command. The first of these counts.
    Start,
    /// Send this signal to the command, if it has not ended.
    Signal(i32),
    /// Write the file systems on these devices.
    Sync(Vec<Number>),
    /// Write all file systems that are on block devices.
    SyncAll,
}

/// What has happened to the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// It has started, with this PID in our own namespace.
    Started(u32),
    /// It can't be executed, with this error number.
    NotStarted(i32),
    /// It has ended.
    Ended {
        /// As wait(2) has it.
        status: i32,
        /// From before the fork until it was reaped.
        elapsed_ns: u64,
    },
    /// It has ended, and so have all of its descendants.
    AllEnded,
    /// The file systems are written. These could not be: mount point and error.
    Synced(Vec<String>),
}

/// A value as a line.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    // These types have no part that serde_json refuses.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Takes the first whole line out of what was read, as a value. `Some(None)`: it is none.
pub(super) fn take<T: for<'a> Deserialize<'a>>(read: &mut Vec<u8>) -> Option<Option<T>> {
    let end = read.iter().position(|byte| *byte == b'\n')?;
    let line: Vec<u8> = read.drain(..=end).collect();
    Some(serde_json::from_slice(&line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_whole_however_it_is_cut() {
        let sent = [
            Event::Started(7),
            Event::Ended {
                status: 256,
                elapsed_ns: 1 << 40,
            },
            Event::Synced(vec!["/a\nb: it failed".to_owned()]),
        ];
        let bytes: Vec<u8> = sent.iter().flat_map(line).collect();
        let (mut read, mut arrived) = (Vec::new(), Vec::new());
        for byte in bytes {
            read.push(byte);
            arrived.extend(take::<Event>(&mut read));
        }
        assert_eq!(arrived, sent.map(Some));
        assert!(read.is_empty());
    }

    #[test]
    fn a_line_that_is_no_message_is_told_apart_from_half_a_line() {
        let mut read = b"\"Start\"\nnonsense\n\"Sync".to_vec();
        assert_eq!(take(&mut read), Some(Some(Order::Start)));
        assert_eq!(take::<Order>(&mut read), Some(None));
        assert_eq!(take::<Order>(&mut read), None);
    }
}
