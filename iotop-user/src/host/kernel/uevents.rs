//! The kernel's events: a block device was added, was removed or has changed.

use std::io;

use neli::{
    consts::socket::{Msg, NlFamily},
    socket::NlSocket,
    utils::Groups,
};

/// The group of the kernel's own events (`uevent_net_broadcast` of lib/kobject_uevent.c).
/// udev sends its events to the next group.
const KERNEL: u32 = 1;

/// `UEVENT_BUFFER_SIZE` of include/linux/kobject.h, and room for the header.
const EVENT: usize = 4096;

/// A socket that receives these events. In a container there may be none.
pub struct BlockEvents(NlSocket);

impl BlockEvents {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// The kernel refuses the socket.
    pub fn listen() -> io::Result<BlockEvents> {
        let groups = Groups::new_groups(&[KERNEL]);
        let socket = NlSocket::connect(NlFamily::KobjectUevent, Some(0), groups)?;
        Ok(BlockEvents(socket))
    }

    /// True if there was an event since the last call, or events were lost.
    pub fn any(&mut self) -> bool {
        let (mut any, mut event) = (false, [0; EVENT]);
        loop {
            match self.0.recv(&mut event[..], Msg::DONTWAIT) {
                Ok((length, _)) => any |= is_block(&event[..length.min(EVENT)]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return any,
                // Events were lost, and some may have been of block devices.
                Err(_) => return true,
            }
        }
    }
}

/// True if an event is of a block device. An event is `add@/devices/virtual/block/dm-0`,
/// `ACTION=add`, `SUBSYSTEM=block` and more fields, each with a NUL after it.
pub(crate) fn is_block(event: &[u8]) -> bool {
    event
        .split(|byte| *byte == 0)
        .any(|field| field == b"SUBSYSTEM=block")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_events_are_recognized_by_their_subsystem() {
        let of = |subsystem: &str| {
            format!("add@/devices/x\0ACTION=add\0SUBSYSTEM={subsystem}\0SEQNUM=7\0").into_bytes()
        };
        assert!(is_block(&of("block")));
        assert!(!is_block(&of("net")) && !is_block(&of("blocks")));
        assert!(!is_block(b"add@/SUBSYSTEM=block") && !is_block(b""));
    }
}
