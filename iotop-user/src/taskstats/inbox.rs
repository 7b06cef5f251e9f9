//! Exit records as they arrive, and the count of those that do not.

use neli::consts::socket::Msg;

use super::{
    Taskstats, TaskstatsError,
    channel::{Channel, MESSAGE, Received},
    message::{self, Content, Message},
};

/// Records kept for [`crate::taskstats::ExitListener::drain`], some 15 MiB of them.
const QUEUE: usize = 64 * 1024;

/// Messages taken in one go, so that even a flood of exits lets go of the lock.
const AT_ONCE: usize = 4096;

/// What has arrived since the last time.
#[derive(Clone, Debug, Default)]
pub struct ExitRecords {
    /// Thread ids and their last counters, in the order of arrival.
    pub records: Vec<(u32, Taskstats)>,
    /// What is missing.
    pub lost: ExitLosses,
}

/// What did not arrive since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitLosses {
    /// Records for which the receive buffer had no room. `None`: the kernel
    /// does not say how many (before 4.12).
    pub dropped: Option<u64>,
    /// How often the kernel told of it (ENOBUFS): at least one record each.
    pub overruns: u64,
    /// Messages that were cut off or can't be read.
    pub unreadable: u64,
    /// Records that came after too many others nobody had fetched.
    pub queue_full: u64,
}

impl ExitLosses {
    /// How many records are missing; where the kernel does not count them, at
    /// least.
    pub fn at_least(&self) -> u64 {
        self.dropped.unwrap_or(self.overruns) + self.unreadable + self.queue_full
    }
}

/// What one receive came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The record of this thread.
    Exit(u32),
    /// A command was answered.
    Answer {
        seq: u32,
        errno: i32,
    },
    /// Something that is of no use here, or counted as lost.
    Passed,
    Nothing,
}

/// Takes what comes.
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

    /// Takes what is there, without waiting for more.
    pub fn receive_all(&mut self, channel: &Channel) -> Result<(), TaskstatsError> {
        for _ in 0..AT_ONCE {
            if self.receive(channel, Msg::DONTWAIT)? == Event::Nothing {
                break;
            }
        }
        Ok(())
    }

    /// Takes one message.
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
    fn records_that_nobody_fetches_are_counted_and_take_no_more_memory() {
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
        // Its TASKSTATS_TYPE_STATS is said to be one of a type we don't know.
        let mut datagram = include_bytes!("recorded/exit-of-a-group.bin").to_vec();
        datagram[34..36].copy_from_slice(&9u16.to_ne_bytes());
        let mut inbox = Inbox::new();
        let event = inbox.take(&Message::parse(&datagram).expect("readable"));
        assert_eq!((event, inbox.arrived.lost.unreadable), (Event::Passed, 1));
    }

    #[test]
    fn overruns_stand_for_records_where_the_kernel_does_not_count_them() {
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
