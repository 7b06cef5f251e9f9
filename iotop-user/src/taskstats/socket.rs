//! Queries taskstats for many threads at once.

use std::io::Cursor;

use neli::consts::socket::Msg;

use super::{
    Taskstats, TaskstatsError,
    channel::{Channel, MESSAGE, Received},
    message::{self, Command, Content, Message, TASKSTATS_CMD_ATTR_PID, TASKSTATS_CMD_GET},
};

/// Requests in one send. A larger batch gains nothing.
const BATCH: usize = 64;

/// Room for all replies of a batch. The kernel accounts about 2 KiB for each reply, and
/// doubles the size that is asked for.
const RECEIVE_BUFFER: libc::c_int = 256 * 1024;

/// A socket for queries of threads' counters.
pub struct TaskstatsSocket {
    channel: Channel,
    seq: u32,
    buffer: Vec<u8>,
}

impl TaskstatsSocket {
    /// Opens a socket, and queries our own counters to check the permission.
    ///
    /// # Errors
    ///
    /// The kernel has no taskstats, or we may not use it.
    pub fn open() -> Result<TaskstatsSocket, TaskstatsError> {
        let mut opened = TaskstatsSocket {
            channel: Channel::open(RECEIVE_BUFFER)?,
            seq: 0,
            buffer: vec![0; MESSAGE],
        };
        opened.query(&[std::process::id()])?;
        Ok(opened)
    }

    /// Queries the threads with these ids. The result lacks threads that have exited, and
    /// threads whose reply was lost twice.
    ///
    /// # Errors
    ///
    /// The permission is missing, the kernel does not answer, or its answer can't be read.
    /// The error does not affect the next call.
    pub fn query(&mut self, tids: &[u32]) -> Result<Vec<(u32, Taskstats)>, TaskstatsError> {
        let mut answers = Vec::with_capacity(tids.len());
        for batch in tids.chunks(BATCH) {
            for tid in self.ask(batch, &mut answers)? {
                self.ask(&[tid], &mut answers)?;
            }
        }
        Ok(answers)
    }

    /// Queries all these threads in one send. Returns those whose reply was lost.
    fn ask(
        &mut self,
        tids: &[u32],
        answers: &mut Vec<(u32, Taskstats)>,
    ) -> Result<Vec<u32>, TaskstatsError> {
        let first = self.seq.wrapping_add(1);
        let requests = self.requests(tids)?;
        self.channel.send(&requests)?;
        let mut unanswered: Vec<Option<u32>> = tids.iter().copied().map(Some).collect();
        let mut left = tids.len();
        // The kernel answers within send(2): once a reply is known to be lost, waiting is
        // useless.
        let mut wait = Msg::empty();
        while left > 0 {
            let length = match self.channel.receive(&mut self.buffer, wait)? {
                Received::Message(length) => length,
                Received::Overrun => {
                    wait = Msg::DONTWAIT;
                    continue;
                }
                Received::Truncated(length) => {
                    self.buffer.resize(length, 0);
                    wait = Msg::DONTWAIT;
                    continue;
                }
                Received::Nothing if wait == Msg::DONTWAIT => break,
                Received::Nothing => return Err(TaskstatsError::NoReply),
            };
            let message = Message::parse(&self.buffer[..length])?;
            // Any other message is a reply that an earlier call did not wait for.
            let ours = unanswered.get_mut(message.seq.wrapping_sub(first) as usize);
            if ours.and_then(Option::take).is_none() {
                continue;
            }
            left -= 1;
            match message.content {
                Content::Reply(reply) => answers.extend(message::record(&reply)?),
                Content::Errno(libc::ESRCH) => {}
                Content::Errno(errno) => {
                    return Err(TaskstatsError::refused("TASKSTATS_CMD_GET", errno));
                }
            }
        }
        Ok(unanswered.into_iter().flatten().collect())
    }

    fn requests(&mut self, tids: &[u32]) -> Result<Vec<u8>, TaskstatsError> {
        let mut buffer = Cursor::new(Vec::with_capacity(tids.len() * 28));
        for tid in tids {
            self.seq = self.seq.wrapping_add(1);
            let request = Command {
                family: self.channel.family,
                command: TASKSTATS_CMD_GET,
                attribute: TASKSTATS_CMD_ATTR_PID,
                payload: *tid,
                ack: false,
            };
            request.put(self.seq, &mut buffer)?;
        }
        Ok(buffer.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taskstats::{needs, options};

    fn tids(answers: &[(u32, Taskstats)]) -> Vec<u32> {
        answers.iter().map(|(tid, _)| *tid).collect()
    }

    #[test]
    fn replies_that_were_dropped_are_asked_for_again() {
        let Some(mut socket) = needs::privilege(TaskstatsSocket::open()) else {
            return;
        };
        options::set_receive_buffer(&socket.channel.socket, 1).expect("the smallest there is");
        let wanted = [std::process::id(); 2 * BATCH];
        let answers = socket.query(&wanted).expect("answers");
        assert_eq!(tids(&answers), wanted);
        assert_ne!(options::dropped(&socket.channel.socket), Some(0));
    }

    #[test]
    fn a_reply_longer_than_the_buffer_is_asked_for_again() {
        let Some(mut socket) = needs::privilege(TaskstatsSocket::open()) else {
            return;
        };
        socket.buffer = vec![0; 64];
        let wanted = [std::process::id(); 3];
        let answers = socket.query(&wanted).expect("answers");
        assert_eq!(tids(&answers), wanted);
    }

    #[test]
    fn replies_to_an_earlier_call_are_not_mixed_up() {
        let Some(mut socket) = needs::privilege(TaskstatsSocket::open()) else {
            return;
        };
        let (init, ours) = (1, std::process::id());
        let earlier = socket.requests(&[init, init, 0]).expect("requests");
        socket.channel.send(&earlier).expect("sent");
        let answers = socket.query(&[ours]).expect("answers");
        assert_eq!(tids(&answers), [ours]);
    }

    #[test]
    fn sequence_numbers_may_wrap() {
        let Some(mut socket) = needs::privilege(TaskstatsSocket::open()) else {
            return;
        };
        socket.seq = u32::MAX - 2;
        let wanted = [std::process::id(); 5];
        assert_eq!(tids(&socket.query(&wanted).expect("answers")), wanted);
    }
}
