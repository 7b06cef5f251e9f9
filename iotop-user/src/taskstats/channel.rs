//! A socket to taskstats on which no call blocks for ever.

use std::{
    io,
    time::{Duration, Instant},
};

use neli::{
    consts::{
        genl::{CtrlAttr, CtrlCmd},
        nl::GenlId,
        socket::{Msg, NlFamily},
    },
    socket::NlSocket,
    utils::Groups,
};

use super::{
    TaskstatsError,
    message::{Command, Content, Message},
    options,
};

const TASKSTATS_GENL_NAME: &str = "TASKSTATS";

/// How long a receive waits. The kernel answers within send(2), so only a lost answer
/// takes longer.
pub const TIMEOUT: Duration = Duration::from_secs(1);

/// Room for one message: two records, a few headers, and the growth of some future
/// versions.
pub const MESSAGE: usize = 16 * 1024;

/// A netlink socket, and the id of the taskstats family.
pub struct Channel {
    pub socket: NlSocket,
    pub family: u16,
}

/// The result of a receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message of this length.
    Message(usize),
    /// The start of a message that needs a buffer of this length.
    Truncated(usize),
    /// ENOBUFS: the receive buffer was full, and messages were lost.
    Overrun,
    /// No message was there, or none came in time.
    Nothing,
}

impl Channel {
    /// Opens a socket. `receive_buffer` is the room, in bytes, for messages that have not
    /// been read yet.
    pub fn open(receive_buffer: libc::c_int) -> Result<Channel, TaskstatsError> {
        let failed = |call| move |source| TaskstatsError::Socket { call, source };
        let socket = NlSocket::connect(NlFamily::Generic, Some(0), Groups::empty())
            .map_err(failed("bind"))?;
        options::set_receive_timeout(&socket, TIMEOUT).map_err(failed("SO_RCVTIMEO"))?;
        options::set_receive_buffer(&socket, receive_buffer).map_err(failed("SO_RCVBUF"))?;
        let mut channel = Channel { socket, family: 0 };
        channel.family = channel.resolve(TASKSTATS_GENL_NAME)?;
        Ok(channel)
    }

    pub fn send(&self, bytes: &[u8]) -> Result<(), TaskstatsError> {
        match self.socket.send(bytes, Msg::empty()) {
            Ok(_) => Ok(()),
            Err(source) => Err(TaskstatsError::Socket {
                call: "send",
                source,
            }),
        }
    }

    /// Receives one message. A signal neither ends the wait nor prolongs it for ever.
    pub fn receive(&self, buffer: &mut [u8], flags: Msg) -> Result<Received, TaskstatsError> {
        let start = Instant::now();
        loop {
            let source = match self.socket.recv(&mut *buffer, flags | Msg::TRUNC) {
                Ok((length, _)) if length > buffer.len() => return Ok(Received::Truncated(length)),
                Ok((length, _)) => return Ok(Received::Message(length)),
                Err(error) => error,
            };
            match (source.kind(), source.raw_os_error()) {
                (io::ErrorKind::Interrupted, _) if start.elapsed() < TIMEOUT => {}
                (io::ErrorKind::Interrupted, _) => return Ok(Received::Nothing),
                (io::ErrorKind::WouldBlock, _) => return Ok(Received::Nothing),
                (_, Some(libc::ENOBUFS)) => return Ok(Received::Overrun),
                _ => {
                    return Err(TaskstatsError::Socket {
                        call: "recv",
                        source,
                    });
                }
            }
        }
    }

    /// Looks up a family's id.
    fn resolve(&self, family: &str) -> Result<u16, TaskstatsError> {
        let request = Command {
            family: GenlId::Ctrl.into(),
            command: CtrlCmd::Getfamily.into(),
            attribute: CtrlAttr::FamilyName.into(),
            payload: family,
            ack: false,
        };
        self.send(&request.bytes(0)?)?;
        let mut buffer = vec![0; MESSAGE];
        let Received::Message(length) = self.receive(&mut buffer, Msg::empty())? else {
            return Err(TaskstatsError::NoReply);
        };
        match Message::parse(&buffer[..length])?.content {
            Content::Errno(libc::ENOENT) => Err(TaskstatsError::NoFamily),
            Content::Errno(errno) => Err(TaskstatsError::refused("CTRL_CMD_GETFAMILY", errno)),
            Content::Reply(reply) => reply
                .attrs()
                .get_attr_handle()
                .get_attr_payload_as(CtrlAttr::FamilyId.into())
                .map_err(TaskstatsError::unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    fn open() -> Channel {
        Channel::open(64 * 1024).expect("asking for a family needs no privilege")
    }

    fn ask_for_the_family(channel: &Channel) {
        let request = Command {
            family: GenlId::Ctrl.into(),
            command: CtrlCmd::Getfamily.into(),
            attribute: CtrlAttr::FamilyName.into(),
            payload: TASKSTATS_GENL_NAME,
            ack: false,
        };
        channel
            .send(&request.bytes(1).expect("a request"))
            .expect("sent");
    }

    /// A kernel without taskstats gives this answer for it.
    #[test]
    fn a_missing_family_is_reported_with_its_kernel_option() {
        let error = open().resolve("NO_SUCH").expect_err("no such family");
        assert!(matches!(error, TaskstatsError::NoFamily), "{error}");
        assert!(error.to_string().contains("CONFIG_TASKSTATS"), "{error}");
    }

    #[test]
    fn a_receive_without_a_message_times_out() {
        let received = open().receive(&mut [0; 100], Msg::empty());
        assert_eq!(received.expect("no error"), Received::Nothing);
    }

    #[test]
    fn signals_neither_end_a_wait_nor_prolong_it_for_ever() {
        extern "C" fn nothing(_: libc::c_int) {}
        let handler = nothing as extern "C" fn(libc::c_int);
        // SAFETY: the handler does nothing, and no other code uses this signal.
        unsafe { libc::signal(libc::SIGURG, handler as libc::sighandler_t) };
        let (sender, receiver) = mpsc::channel();
        let waiting = thread::spawn(move || {
            // SAFETY: pthread_self(3) always succeeds.
            sender.send(unsafe { libc::pthread_self() }).expect("sent");
            let start = Instant::now();
            let received = open().receive(&mut [0; 100], Msg::empty());
            (received.expect("no error"), start.elapsed())
        });
        let thread = receiver.recv().expect("started");
        let start = Instant::now();
        while start.elapsed() < TIMEOUT * 3 && !waiting.is_finished() {
            // SAFETY: the thread has not been joined.
            unsafe { libc::pthread_kill(thread, libc::SIGURG) };
            thread::sleep(Duration::from_millis(20));
        }
        let (received, waited) = waiting.join().expect("ended");
        assert_eq!(received, Received::Nothing);
        assert!(waited >= TIMEOUT && waited < TIMEOUT * 2, "{waited:?}");
    }

    #[test]
    fn a_message_longer_than_the_buffer_is_reported_with_its_length() {
        let channel = open();
        ask_for_the_family(&channel);
        let received = channel.receive(&mut [0; 10], Msg::empty());
        let Ok(Received::Truncated(length)) = received else {
            panic!("{received:?}");
        };
        ask_for_the_family(&channel);
        let received = channel.receive(&mut vec![0; length], Msg::empty());
        assert_eq!(received.expect("room enough"), Received::Message(length));
    }
}
