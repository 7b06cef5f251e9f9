//! The kernel's word that a block device has come, gone or changed.

use std::io;

use neli::{
    consts::socket::{Msg, NlFamily},
    socket::NlSocket,
    utils::Groups,
};

/// The kernel's own events; udev sends its to the next group
/// (`uevent_net_broadcast` of lib/kobject_uevent.c).
const KERNEL: u32 = 1;

/// `UEVENT_BUFFER_SIZE` of include/linux/kobject.h and the header.
const EVENT: usize = 4096;

/// A socket on which the kernel says so. In a container it may be silent.
pub struct BlockEvents(NlSocket);

impl BlockEvents {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// The kernel gives no such socket.
    pub fn listen() -> io::Result<BlockEvents> {
        let groups = Groups::new_groups(&[KERNEL]);
        let socket = NlSocket::connect(NlFamily::KobjectUevent, Some(0), groups)?;
        Ok(BlockEvents(socket))
    }

    /// Whether there were any since the last call, as far as is known.
    pub fn any(&mut self) -> bool {
        let (mut any, mut event) = (false, [0; EVENT]);
        loop {
            match self.0.recv(&mut event[..], Msg::DONTWAIT) {
                Ok((length, _)) => any |= is_block(&event[..length.min(EVENT)]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return any,
                // Some are lost: nobody knows of which kind.
                Err(_) => return true,
            }
        }
    }
}

/// `add@/devices/virtual/block/dm-0`, `ACTION=add`, `SUBSYSTEM=block` and more, with
/// a zero behind each.
fn is_block(event: &[u8]) -> bool {
    event
        .split(|byte| *byte == 0)
        .any(|field| field == b"SUBSYSTEM=block")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_block_devices_by_its_subsystem() {
        let of = |subsystem: &str| {
            format!("add@/devices/x\0ACTION=add\0SUBSYSTEM={subsystem}\0SEQNUM=7\0").into_bytes()
        };
        assert!(is_block(&of("block")));
        assert!(!is_block(&of("net")) && !is_block(&of("blocks")));
        assert!(!is_block(b"add@/SUBSYSTEM=block") && !is_block(b""));
    }
}
