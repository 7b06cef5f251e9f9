//! Receives exit records, and counts those that are lost.

use neli::consts::socket::Msg;

use super::{
    Taskstats, TaskstatsError,
    channel::{Channel, MESSAGE, Received},
    message::{self, Content, Message},
};

/// How many records are kept for [`crate::taskstats::ExitListener::drain`]: about 15 MiB.
const QUEUE: usize = 64 * 1024;

/// Messages that are received in one go. The limit releases the lock even during a flood
/// of exits.
const AT_ONCE: usize = 4096;

/// What has arrived since the last call.
#[derive(Clone, Debug, Default)]
pub struct ExitRecords {
    /// Thread ids and their last counters, in the order of arrival.
    pub records: Vec<(u32, Taskstats)>,
    /// What was lost.
    pub lost: ExitLosses,
}

/// What was lost since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitLosses {
    /// Records for which the receive buffer had no room. `None` if the kernel does not
    /// count them (before 4.12).
    pub dropped: Option<u64>,
    /// How often the kernel reported a full buffer (ENOBUFS). Each time, at least one record
    /// was lost.
    pub overruns: u64,
    /// Messages that were truncated or can't be read.
    pub unreadable: u64,
    /// Records that arrived while the queue was full.
    pub queue_full: u64,
}

impl ExitLosses {
    /// How many records were lost. If the kernel does not count them, there may be more.
    pub fn at_least(&self) -> u64 {
        self.dropped.unwrap_or(self.overruns) + self.unreadable + self.queue_full
    }
}

/// The result of one receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The record of this thread.
    Exit(u32),
    /// The answer to a command.
    Answer { seq: u32, errno: i32 },
    /// A message that is ignored, or that was counted as lost.
    Passed,
    /// No message came in time.
    Nothing,
}

/// Receives messages, and keeps the records among them.
pub struct Inbox {
    pub arrived: ExitRecords,
    buffer: Vec<u8>,
}

impl Inbox {
    pub fn new() -> Inbox {
        Inbox {
            arrived: ExitRecords::default(),
            buffer: vec![0; MESSAGE],
        }
    }

    /// Receives the messages that have arrived, without waiting for more.
    pub fn receive_all(&mut self, channel: &Channel) -> Result<(), TaskstatsError> {
        for _ in 0..AT_ONCE {
            if self.receive(channel, Msg::DONTWAIT)? == Event::Nothing {
                break;
            }
        }
        Ok(())
    }

    /// Receives one message.
    pub fn receive(&mut self, channel: &Channel, wait: Msg) -> Result<Event, TaskstatsError> {
        Ok(match channel.receive(&mut self.buffer, wait)? {
            Received::Message(length) => match Message::parse(&self.buffer[..length]) {
                Ok(message) => self.take(&message),
                Err(_) => self.unreadable(),
            },
            Received::Truncated(length) => {
                self.buffer.resize(length, 0);
                self.unreadable()
            }
            Received::Overrun => {
                self.arrived.lost.overruns += 1;
                Event::Passed
            }
            Received::Nothing => Event::Nothing,
        })
    }

    fn take(&mut self, message: &Message) -> Event {
        let reply = match &message.content {
            Content::Reply(reply) => reply,
            Content::Errno(errno) => {
                return Event::Answer {
                    seq: message.seq,
                    errno: *errno,
                };
            }
        };
        match message::record(reply) {
            Ok(Some((tid, stats))) => {
                if self.arrived.records.len() < QUEUE {
                    self.arrived.records.push((tid, stats));
                } else {
                    self.arrived.lost.queue_full += 1;
                }
                Event::Exit(tid)
            }
            Ok(None) => Event::Passed,
            Err(_) => self.unreadable(),
        }
    }

    fn unreadable(&mut self) -> Event {
        self.arrived.lost.unreadable += 1;
        Event::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_beyond_the_queues_limit_are_counted_but_not_kept() {
        let recorded = include_bytes!("recorded/exit-of-a-group.bin");
        let message = Message::parse(recorded).expect("recorded");
        let mut inbox = Inbox::new();
        for _ in 0..QUEUE + 3 {
            assert_eq!(inbox.take(&message), Event::Exit(10589));
        }
        let ExitRecords { records, lost } = inbox.arrived;
        assert_eq!((records.len(), lost.queue_full), (QUEUE, 3));
        assert_eq!(lost.at_least(), 3);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_counted_as_lost() {
        // Turns the attribute TASKSTATS_TYPE_STATS into one of an unknown type.
        let mut datagram = include_bytes!("recorded/exit-of-a-group.bin").to_vec();
        datagram[34..36].copy_from_slice(&9u16.to_ne_bytes());
        let mut inbox = Inbox::new();
        let event = inbox.take(&Message::parse(&datagram).expect("readable"));
        assert_eq!((event, inbox.arrived.lost.unreadable), (Event::Passed, 1));
    }

    #[test]
    fn overruns_count_as_records_if_the_kernel_does_not_count_those() {
        let mut lost = ExitLosses {
            overruns: 2,
            unreadable: 1,
            ..ExitLosses::default()
        };
        assert_eq!(lost.at_least(), 3);
        lost.dropped = Some(70);
        assert_eq!(lost.at_least(), 71);
    }
}
