//! The commands to taskstats and its answers: one generic netlink message in each
//! datagram.

use std::io::Cursor;

use bytes::Buf as _;
use neli::{
    FromBytesWithInput as _, Size, ToBytes,
    consts::nl::NlmF,
    genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, NlattrBuilder},
    nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder},
    types::GenlBuffer,
};

use super::{Taskstats, TaskstatsError};

// include/uapi/linux/taskstats.h
pub const TASKSTATS_CMD_GET: u8 = 1;
pub const TASKSTATS_CMD_ATTR_PID: u16 = 1;
pub const TASKSTATS_CMD_ATTR_REGISTER_CPUMASK: u16 = 3;
pub const TASKSTATS_CMD_ATTR_DEREGISTER_CPUMASK: u16 = 4;
const TASKSTATS_TYPE_PID: u16 = 1;
const TASKSTATS_TYPE_STATS: u16 = 3;
const TASKSTATS_TYPE_AGGR_PID: u16 = 4;
const TASKSTATS_GENL_VERSION: u8 = 1;

// include/uapi/linux/netlink.h
const NLMSG_HDRLEN: usize = 16;
const NLMSG_ERROR: u16 = 2;

/// A generic netlink header and its attributes.
pub type Reply = Genlmsghdr<u8, u16>;

/// A message as the kernel sends it.
#[derive(Debug)]
pub struct Message {
    /// The sequence number of the request. For exit records it is a counter of the CPU.
    pub seq: u32,
    pub content: Content,
}

#[derive(Debug)]
pub enum Content {
    /// The errno of a command that failed, or 0 if it succeeded and an acknowledgement was
    /// asked for.
    Errno(i32),
    Reply(Reply),
}

impl Message {
    /// Reads the first message of a datagram. neli trusts the lengths in headers, so it
    /// gets only bytes that were checked here.
    pub fn parse(datagram: &[u8]) -> Result<Message, TaskstatsError> {
        let short =
            |_| TaskstatsError::unreadable(format!("it ends after {} bytes", datagram.len()));
        let mut header = datagram;
        let length = header.try_get_u32_ne().map_err(short)? as usize;
        let kind = header.try_get_u16_ne().map_err(short)?;
        let _flags = header.try_get_u16_ne().map_err(short)?;
        let seq = header.try_get_u32_ne().map_err(short)?;
        let mut payload = datagram.get(NLMSG_HDRLEN..length).ok_or_else(|| {
            let received = datagram.len();
            TaskstatsError::unreadable(format!(
                "its header says {length} bytes, {received} arrived"
            ))
        })?;
        let content = if kind == NLMSG_ERROR {
            let errno = payload.try_get_i32_ne().map_err(short)?;
            Content::Errno(errno.saturating_neg())
        } else {
            let mut cursor = Cursor::new(payload);
            Reply::from_bytes_with_input(&mut cursor, payload.len())
                .map(Content::Reply)
                .map_err(TaskstatsError::unreadable)?
        };
        Ok(Message { seq, content })
    }
}

/// The thread's record in a reply. `None` if the reply has only a thread group's record,
/// in which the kernel sums delays but no I/O.
pub fn record(reply: &Reply) -> Result<Option<(u32, Taskstats)>, TaskstatsError> {
    let attributes = reply.attrs().get_attr_handle();
    let Some(aggregate) = attributes.get_attribute(TASKSTATS_TYPE_AGGR_PID) else {
        return Ok(None);
    };
    let aggregate = aggregate
        .get_attr_handle::<u16>()
        .map_err(TaskstatsError::unreadable)?;
    let tid = aggregate
        .get_attr_payload_as::<u32>(TASKSTATS_TYPE_PID)
        .map_err(TaskstatsError::unreadable)?;
    let record = aggregate
        .get_attr_payload_as_with_len_borrowed::<&[u8]>(TASKSTATS_TYPE_STATS)
        .map_err(TaskstatsError::unreadable)?;
    Ok(Some((tid, Taskstats::parse(record)?)))
}

/// A command to a generic netlink family.
pub struct Command<P> {
    pub family: u16,
    pub command: u8,
    pub attribute: u16,
    pub payload: P,
    /// True if the kernel is to acknowledge success too.
    pub ack: bool,
}

impl<P: Size + ToBytes> Command<P> {
    /// Appends the command to a buffer of commands to send.
    pub fn put(self, seq: u32, buffer: &mut Cursor<Vec<u8>>) -> Result<(), TaskstatsError> {
        let attribute = NlattrBuilder::default()
            .nla_type(
                AttrTypeBuilder::default()
                    .nla_type(self.attribute)
                    .build()
                    .map_err(TaskstatsError::unreadable)?,
            )
            .nla_payload(self.payload)
            .build()
            .map_err(TaskstatsError::unreadable)?;
        let payload = GenlmsghdrBuilder::<u8, u16>::default()
            .cmd(self.command)
            .version(TASKSTATS_GENL_VERSION)
            .attrs(GenlBuffer::from_iter([attribute]))
            .build()
            .map_err(TaskstatsError::unreadable)?;
        let flags = if self.ack { NlmF::ACK } else { NlmF::empty() };
        let message: Nlmsghdr<u16, _> = NlmsghdrBuilder::default()
            .nl_type(self.family)
            .nl_flags(NlmF::REQUEST | flags)
            .nl_seq(seq)
            .nl_payload(NlPayload::Payload(payload))
            .build()
            .map_err(TaskstatsError::unreadable)?;
        message.to_bytes(buffer).map_err(TaskstatsError::unreadable)
    }

    /// The bytes of this command alone.
    pub fn bytes(self, seq: u32) -> Result<Vec<u8>, TaskstatsError> {
        let mut buffer = Cursor::new(Vec::new());
        self.put(seq, &mut buffer)?;
        Ok(buffer.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::host::kernel::counted::Counted;

    // Recorded on Linux 6.18 on x86-64, which is little endian.
    const REPLY: &[u8] = include_bytes!("recorded/reply.bin");
    const NO_SUCH_THREAD: &[u8] = include_bytes!("recorded/esrch.bin");
    const ACK: &[u8] = include_bytes!("recorded/ack.bin");
    /// The exit of the last thread of a group: its own record and the group's.
    const EXIT_OF_A_GROUP: &[u8] = include_bytes!("recorded/exit-of-a-group.bin");
    const ALL: [&[u8]; 4] = [REPLY, NO_SUCH_THREAD, ACK, EXIT_OF_A_GROUP];

    fn read(datagram: &[u8]) -> Result<Option<(u32, Taskstats)>, TaskstatsError> {
        match Message::parse(datagram)?.content {
            Content::Reply(reply) => record(&reply),
            Content::Errno(errno) => Err(TaskstatsError::refused("asking", errno)),
        }
    }

    fn errno(datagram: &[u8]) -> Option<i32> {
        match Message::parse(datagram).ok()?.content {
            Content::Errno(errno) => Some(errno),
            Content::Reply(_) => None,
        }
    }

    #[test]
    fn a_reply_has_a_record_and_the_sequence_number_of_its_request() {
        let message = Message::parse(REPLY).expect("recorded");
        assert_eq!(message.seq, 7);
        let (tid, stats) = read(REPLY).expect("recorded").expect("a thread's record");
        assert_eq!((tid, stats.tid), (10588, Some(10588)));
        assert_eq!((stats.tgid, stats.ppid), (Some(10588), Some(10547)));
        assert_eq!(stats.uid, Some(0));
        assert_eq!(stats.comm(), Some(&b"sleep"[..]));
        let counters = stats.counters(Counted::ALL);
        assert_eq!(
            (counters.read_char, counters.write_char),
            (Some(6144), Some(0))
        );
    }

    #[test]
    fn an_exit_gives_the_threads_record_not_the_groups() {
        let (tid, stats) = read(EXIT_OF_A_GROUP)
            .expect("recorded")
            .expect("a thread's record");
        assert_eq!((tid, stats.tid), (10589, Some(10589)));
        assert_eq!(stats.comm(), Some(&b"python3"[..]));
        // 300,000 bytes, in KiB; a group's record has none.
        assert_eq!(stats.counters(Counted::ALL).write_char, Some(299_008));
    }

    #[test]
    fn a_reply_with_only_a_groups_record_is_ignored() {
        // Turns the thread's attribute into TASKSTATS_TYPE_NULL, which is never used.
        let mut datagram = EXIT_OF_A_GROUP.to_vec();
        datagram[22..24].copy_from_slice(&6u16.to_ne_bytes());
        assert!(read(&datagram).expect("readable").is_none());
    }

    #[test]
    fn refusals_are_distinguished_by_their_errno() {
        assert_eq!(errno(NO_SUCH_THREAD), Some(libc::ESRCH));
        assert_eq!(errno(ACK), Some(0));
        let mut refused = NO_SUCH_THREAD.to_vec();
        refused[16..20].copy_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert!(matches!(read(&refused), Err(TaskstatsError::NotPermitted)));
        refused[16..20].copy_from_slice(&i32::MIN.to_ne_bytes());
        assert_eq!(errno(&refused), Some(i32::MAX));
    }

    #[test]
    fn a_truncated_message_is_an_error() {
        for datagram in ALL {
            for length in 0..datagram.len() {
                assert!(Message::parse(&datagram[..length]).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn a_length_below_the_headers_is_an_error() {
        for datagram in ALL {
            for length in 0u32..20 {
                let mut datagram = datagram.to_vec();
                datagram[..4].copy_from_slice(&length.to_ne_bytes());
                assert!(read(&datagram).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn a_command_has_the_bytes_of_a_recorded_request() {
        let command = Command {
            family: 31,
            command: TASKSTATS_CMD_GET,
            attribute: TASKSTATS_CMD_ATTR_PID,
            payload: 10588u32,
            ack: false,
        };
        // The kernel sends a refused request back. Its port id is cleared here.
        let mut recorded = NO_SUCH_THREAD[20..].to_vec();
        recorded[12..16].fill(0);
        assert_eq!(command.bytes(8).expect("a command"), recorded);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn damaged_messages_do_not_panic(
            which in 0..ALL.len(),
            damage in prop::collection::vec((0usize..80, any::<u8>()), 1..8),
        ) {
            let mut datagram = ALL[which].to_vec();
            for (at, byte) in damage {
                if let Some(hit) = datagram.get_mut(at) {
                    *hit = byte;
                }
            }
            let _ = read(&datagram);
        }

        #[test]
        fn bytes_after_a_message_are_ignored(
            tail in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let longer = [REPLY, tail.as_slice()].concat();
            prop_assert_eq!(read(&longer).ok(), read(REPLY).ok());
        }
    }
}
