//! What the two processes say to each other: a length, a kind and bytes.

use std::io::{self, Read, Write};

use super::OBJECT_LIMIT;

/// A question to the process with the user's rights.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// Has it given up its rights?
    Ready,
    /// The configuration file.
    Settings,
    /// A new configuration file.
    Save(Vec<u8>),
    /// The object of the kernel half.
    Object,
    /// The name of a user.
    UserName(u32),
    /// The uid of a name.
    Uid(String),
}

/// Its answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// What was asked for.
    Bytes(Vec<u8>),
    /// There is no such file or user.
    Nothing,
    /// It failed.
    Error(io::Error),
}

impl Question {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Question::Ready => send(to, 0, &[]),
            Question::Settings => send(to, 1, &[]),
            Question::Save(content) => send(to, 2, content),
            Question::Object => send(to, 3, &[]),
            Question::UserName(uid) => send(to, 4, &uid.to_le_bytes()),
            Question::Uid(name) => send(to, 5, name.as_bytes()),
        }
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Question> {
        let (kind, bytes) = receive(from)?;
        let not_valid = || io::Error::from(io::ErrorKind::InvalidData);
        Ok(match kind {
            0 => Question::Ready,
            1 => Question::Settings,
            2 => Question::Save(bytes),
            3 => Question::Object,
            4 => {
                let uid = bytes.try_into().map_err(|_| not_valid())?;
                Question::UserName(u32::from_le_bytes(uid))
            }
            5 => Question::Uid(String::from_utf8(bytes).map_err(|_| not_valid())?),
            _ => return Err(not_valid()),
        })
    }
}

impl Answer {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Answer::Bytes(bytes) => send(to, 0, bytes),
            Answer::Nothing => send(to, 1, &[]),
            // The system's own error keeps its number, so that it reads as usual.
            Answer::Error(error) => match error.raw_os_error() {
                Some(errno) => send(to, 2, &errno.to_le_bytes()),
                None => send(to, 3, error.to_string().as_bytes()),
            },
        }
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Answer> {
        let (kind, bytes) = receive(from)?;
        Ok(match (kind, <[u8; 4]>::try_from(&*bytes)) {
            (0, _) => Answer::Bytes(bytes),
            (1, _) => Answer::Nothing,
            (2, Ok(errno)) => {
                Answer::Error(io::Error::from_raw_os_error(i32::from_le_bytes(errno)))
            }
            (3, _) => Answer::Error(io::Error::other(
                String::from_utf8_lossy(&bytes).into_owned(),
            )),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        })
    }
}

fn send(to: &mut impl Write, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut message = Vec::with_capacity(5 + bytes.len());
    message.extend_from_slice(&length.to_le_bytes());
    message.push(kind);
    message.extend_from_slice(bytes);
    to.write_all(&message)
}

fn receive(from: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let [a, b, c, d, kind] = head;
    let length = u32::from_le_bytes([a, b, c, d]);
    if u64::from(length) > OBJECT_LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    from.take(length.into()).read_to_end(&mut bytes)?;
    match bytes.len() == length as usize {
        true => Ok((kind, bytes)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_arrive_as_they_were_sent() {
        for question in [
            Question::Ready,
            Question::Settings,
            Question::Save(b"x".to_vec()),
            Question::Object,
            Question::UserName(7),
            Question::Uid("root".to_owned()),
        ] {
            let mut bytes = Vec::new();
            question.write(&mut bytes).expect("written");
            assert_eq!(Question::read(&mut &*bytes).expect("read"), question);
            // A part of it is an error.
            bytes.pop();
            assert!(Question::read(&mut &*bytes).is_err());
        }
        let mut bytes = Vec::new();
        let error = io::Error::from_raw_os_error(libc::EACCES);
        Answer::Error(error).write(&mut bytes).expect("written");
        Answer::Error(io::Error::other("too large"))
            .write(&mut bytes)
            .expect("written");
        let mut from = &*bytes;
        let mut error = || match Answer::read(&mut from).expect("read") {
            Answer::Error(error) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error().raw_os_error(), Some(libc::EACCES));
        assert_eq!(error().to_string(), "too large");
    }

    #[test]
    fn a_message_that_is_not_one_is_an_error() {
        for bytes in [
            &b"\xff\xff\xff\xff\x00"[..],
            b"\x00\x00\x00\x00\x09",
            b"\x01\x00\x00\x00\x04x",
            b"\x01\x00\x00\x00\x05\xff",
        ] {
            assert!(Question::read(&mut &*bytes).is_err(), "{bytes:?}");
        }
    }
}
