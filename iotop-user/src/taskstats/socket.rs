//! Asking taskstats for many threads at once.

use std::io::{self, Cursor};

use neli::{
    FromBytes as _, Size, ToBytes,
    consts::{
        nl::NlmF,
        socket::{Msg, NlFamily},
    },
    genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, NlattrBuilder},
    nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder},
    router::synchronous::NlRouter,
    socket::NlSocket,
    types::GenlBuffer,
    utils::Groups,
};

use super::{RecordError, Taskstats};

// include/uapi/linux/taskstats.h
const TASKSTATS_CMD_GET: u8 = 1;
const TASKSTATS_CMD_ATTR_PID: u16 = 1;
const TASKSTATS_TYPE_PID: u16 = 1;
const TASKSTATS_TYPE_STATS: u16 = 3;
const TASKSTATS_TYPE_AGGR_PID: u16 = 4;
const VERSION: u8 = 1;

/// Requests in one send: beyond this the gain is gone, and the replies of one
/// batch must fit into the receive buffer.
const BATCH: usize = 64;

/// A reply is one record and a few headers.
const REPLY: usize = 16 * 1024;

pub(super) type Message = Nlmsghdr<u16, Genlmsghdr<u8, u16>>;

/// Why taskstats gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum TaskstatsError {
    /// The kernel has no such family.
    #[error("this kernel has no taskstats (CONFIG_TASKSTATS is off): {0}")]
    NoFamily(String),
    /// We may not ask.
    #[error("taskstats needs CAP_NET_ADMIN: run it with sudo")]
    NotPermitted,
    /// The socket does not work.
    #[error("taskstats, {call}: {source}")]
    Socket {
        /// The call.
        call: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A message is not what taskstats sends.
    #[error("a taskstats message that can't be read: {0}")]
    Message(String),
    /// A record is not what taskstats sends.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// A socket to ask for threads' counters.
pub struct TaskstatsSocket {
    socket: NlSocket,
    family: u16,
    seq: u32,
    reply: Vec<u8>,
}

impl TaskstatsSocket {
    /// Opens a socket and asks for our own counters, to see that we may.
    ///
    /// # Errors
    ///
    /// The kernel has no taskstats, or we may not use it.
    pub fn open() -> Result<TaskstatsSocket, TaskstatsError> {
        let family = family()?;
        let socket =
            NlSocket::connect(NlFamily::Generic, Some(0), Groups::empty()).map_err(|source| {
                TaskstatsError::Socket {
                    call: "bind",
                    source,
                }
            })?;
        let mut opened = TaskstatsSocket {
            socket,
            family,
            seq: 0,
            reply: vec![0; REPLY],
        };
        opened.query(&[std::process::id()])?;
        Ok(opened)
    }

    /// Asks for the threads with these ids. Threads that are gone are missing
    /// from the answer.
    ///
    /// # Errors
    ///
    /// We may not ask, or the socket fails.
    pub fn query(&mut self, tids: &[u32]) -> Result<Vec<(u32, Taskstats)>, TaskstatsError> {
        let mut answers = Vec::with_capacity(tids.len());
        for batch in tids.chunks(BATCH) {
            let requests = self.requests(batch)?;
            self.socket
                .send(&requests, Msg::empty())
                .map_err(|source| TaskstatsError::Socket {
                    call: "send",
                    source,
                })?;
            // Generic netlink answers within send: every reply is there now.
            // What found no room (ENOBUFS) is missing like a thread that is gone.
            loop {
                match self.socket.recv(&mut self.reply, Msg::DONTWAIT) {
                    Ok((length, _)) => {
                        let (seq, answer) = answer(&self.reply[..length.min(REPLY)])?;
                        let is_ours = self.seq.wrapping_sub(seq) < batch.len() as u32;
                        answers.extend(answer.filter(|_| is_ours));
                    }
                    Err(error) => match error.raw_os_error() {
                        Some(libc::EAGAIN) => break,
                        Some(libc::EINTR | libc::ENOBUFS) => {}
                        _ => {
                            return Err(TaskstatsError::Socket {
                                call: "recv",
                                source: error,
                            });
                        }
                    },
                }
            }
        }
        Ok(answers)
    }

    fn requests(&mut self, tids: &[u32]) -> Result<Vec<u8>, TaskstatsError> {
        let mut buffer = Cursor::new(Vec::with_capacity(tids.len() * 28));
        for tid in tids {
            self.seq = self.seq.wrapping_add(1);
            request(self.family, self.seq, *tid)?
                .to_bytes(&mut buffer)
                .map_err(|error| TaskstatsError::Message(error.to_string()))?;
        }
        Ok(buffer.into_inner())
    }
}

/// The number that the kernel gave the family.
pub(super) fn family() -> Result<u16, TaskstatsError> {
    let (router, _) = NlRouter::connect(NlFamily::Generic, None, Groups::empty())
        .map_err(|error| TaskstatsError::NoFamily(error.to_string()))?;
    router
        .resolve_genl_family("TASKSTATS")
        .map_err(|error| TaskstatsError::NoFamily(error.to_string()))
}

fn request(family: u16, seq: u32, tid: u32) -> Result<Message, TaskstatsError> {
    message(family, seq, NlmF::REQUEST, TASKSTATS_CMD_ATTR_PID, tid)
}

/// A request with one attribute.
pub(super) fn message(
    family: u16,
    seq: u32,
    flags: NlmF,
    attribute: u16,
    value: impl Size + ToBytes,
) -> Result<Message, TaskstatsError> {
    let failed = |error: &dyn std::error::Error| TaskstatsError::Message(error.to_string());
    let attribute = NlattrBuilder::default()
        .nla_type(
            AttrTypeBuilder::default()
                .nla_type(attribute)
                .build()
                .map_err(|error| failed(&error))?,
        )
        .nla_payload(value)
        .build()
        .map_err(|error| failed(&error))?;
    let payload = GenlmsghdrBuilder::default()
        .cmd(TASKSTATS_CMD_GET)
        .version(VERSION)
        .attrs(GenlBuffer::from_iter([attribute]))
        .build()
        .map_err(|error| failed(&error))?;
    NlmsghdrBuilder::default()
        .nl_type(family)
        .nl_flags(flags)
        .nl_seq(seq)
        .nl_payload(NlPayload::Payload(payload))
        .build()
        .map_err(|error| failed(&error))
}

/// One reply or exit record, and its sequence number; `None` when the thread is
/// gone.
pub(super) fn answer(bytes: &[u8]) -> Result<(u32, Option<(u32, Taskstats)>), TaskstatsError> {
    let unreadable = |error: &dyn std::fmt::Display| TaskstatsError::Message(error.to_string());
    let message =
        Message::from_bytes(&mut Cursor::new(bytes)).map_err(|error| unreadable(&error))?;
    let seq = *message.nl_seq();
    let payload = match message.nl_payload() {
        NlPayload::Payload(payload) => payload,
        NlPayload::Err(error) => {
            return match -*error.error() {
                libc::ESRCH => Ok((seq, None)),
                libc::EPERM => Err(TaskstatsError::NotPermitted),
                errno => Err(TaskstatsError::Socket {
                    call: "TASKSTATS_CMD_GET",
                    source: io::Error::from_raw_os_error(errno),
                }),
            };
        }
        other => return Err(unreadable(&format!("{other:?}"))),
    };
    let attributes = payload.attrs().get_attr_handle();
    let aggregate = attributes
        .get_nested_attributes::<u16>(TASKSTATS_TYPE_AGGR_PID)
        .map_err(|error| unreadable(&error))?;
    let tid = aggregate
        .get_attr_payload_as::<u32>(TASKSTATS_TYPE_PID)
        .map_err(|error| unreadable(&error))?;
    let record = aggregate
        .get_attr_payload_as_with_len_borrowed::<&[u8]>(TASKSTATS_TYPE_STATS)
        .map_err(|error| unreadable(&error))?;
    Ok((seq, Some((tid, Taskstats::parse(record)?))))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// A reply as the kernel sends it: thread 42, and a record of 352 bytes.
    fn reply() -> Vec<u8> {
        let attribute = |kind: u16, payload: &[u8]| {
            let length = (payload.len() + 4) as u16;
            [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), payload].concat()
        };
        let mut record = vec![0; 352];
        record[..2].copy_from_slice(&10u16.to_ne_bytes());
        record[248..256].copy_from_slice(&4096u64.to_ne_bytes());
        let nested = [
            attribute(TASKSTATS_TYPE_PID, &42u32.to_ne_bytes()),
            attribute(TASKSTATS_TYPE_STATS, &record),
        ];
        let payload = [
            vec![2, 1, 0, 0],
            attribute(TASKSTATS_TYPE_AGGR_PID, &nested.concat()),
        ]
        .concat();
        let length = (payload.len() + 16) as u32;
        let header = [
            &length.to_ne_bytes()[..],
            &[30, 0, 0, 0],
            &7u32.to_ne_bytes(),
            &[0; 4],
        ];
        [&header.concat()[..], &payload].concat()
    }

    #[test]
    fn a_reply_names_its_thread_and_its_request() {
        let (seq, answer) = answer(&reply()).expect("readable");
        let (tid, stats) = answer.expect("an answer");
        assert_eq!((seq, tid), (7, 42));
        assert_eq!(stats.counters(false).read_bytes, Some(4096));
    }

    #[test]
    fn a_truncated_reply_is_an_error() {
        let whole = reply();
        for length in 0..whole.len() {
            assert!(answer(&whole[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = answer(&bytes);
        }

        #[test]
        fn a_damaged_reply_never_panics(at in 0..400usize, byte: u8) {
            let mut bytes = reply();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = answer(&bytes);
        }
    }
}
