//! Exit records: the last counters of every task that exits, as far as the
//! receive buffer holds them.

use std::{
    io::{self, Cursor},
    mem,
    os::fd::{AsRawFd as _, RawFd},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use neli::{
    FromBytes as _, ToBytes as _,
    consts::{
        nl::NlmF,
        socket::{Msg, NlFamily},
    },
    nl::NlPayload,
    socket::NlSocket,
    types::Buffer,
    utils::Groups,
};

use super::{
    Taskstats, TaskstatsError,
    socket::{Message, answer, family, message},
};
use crate::kernel::clock;

/// `TASKSTATS_CMD_ATTR_REGISTER_CPUMASK` of include/uapi/linux/taskstats.h.
const REGISTER_CPUMASK: u16 = 3;

/// What the kernel may keep for us: a few thousand records, each of which it
/// counts with its socket buffer.
const RECEIVE_BUFFER: usize = 16 << 20;
/// A record of the thread and one of its group, with room to grow.
const RECORD: usize = 16 * 1024;
/// How soon the thread notices that it should end.
const PATIENCE_MS: libc::c_int = 200;

/// A task that exited.
#[derive(Clone, Copy, Debug)]
pub struct Exit {
    /// Its last counters, and who it was.
    pub stats: Taskstats,
    /// When it started: since boot, ns; not more than it took us to hear of
    /// the exit too late.
    pub start_boottime: Option<u64>,
}

/// What was heard since the last look.
#[derive(Debug, Default)]
pub struct Exits {
    /// In the order of each CPU.
    pub exits: Vec<Exit>,
    /// How often the kernel said that it had lost some (`ENOBUFS`), and how
    /// many could not be read: at least so many records are missing.
    pub lost: u64,
}

/// Listens for exit records, on a thread of its own.
pub struct ExitListener {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    ear: Mutex<Ear>,
    fd: RawFd,
    ends: AtomicBool,
}

struct Ear {
    socket: NlSocket,
    buffer: Vec<u8>,
    heard: Exits,
}

impl ExitListener {
    /// Registers for the exits on all CPUs.
    ///
    /// # Errors
    ///
    /// The kernel has no taskstats, or we may not listen: it takes
    /// CAP_NET_ADMIN, in the first pid namespace.
    pub fn open(sys_root: &Path) -> Result<ExitListener, TaskstatsError> {
        ExitListener::with_buffer(sys_root, RECEIVE_BUFFER)
    }

    fn with_buffer(sys_root: &Path, bytes: usize) -> Result<ExitListener, TaskstatsError> {
        let failed = |call| move |source| TaskstatsError::Socket { call, source };
        let possible = sys_root.join("devices/system/cpu/possible");
        let cpus = std::fs::read_to_string(possible).map_err(failed("reading cpu/possible"))?;
        let socket = NlSocket::connect(NlFamily::Generic, Some(0), Groups::empty())
            .map_err(failed("bind"))?;
        set_receive_buffer(&socket, bytes).map_err(failed("SO_RCVBUF"))?;
        register(&socket, cpus.trim())?;
        let shared = Arc::new(Shared {
            fd: socket.as_raw_fd(),
            ear: Mutex::new(Ear {
                socket,
                buffer: vec![0; RECORD],
                heard: Exits::default(),
            }),
            ends: AtomicBool::new(false),
        });
        let listening = shared.clone();
        let thread = thread::Builder::new()
            .name("exit-records".to_owned())
            .spawn(move || listening.listen())
            .map_err(failed("starting a thread"))?;
        Ok(ExitListener {
            shared,
            thread: Some(thread),
        })
    }

    /// Takes what has arrived, to the last record that was sent by now.
    pub fn take(&self) -> Exits {
        let mut ear = self.shared.ear();
        ear.receive_all();
        mem::take(&mut ear.heard)
    }
}

impl Drop for ExitListener {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ear(&self) -> MutexGuard<'_, Ear> {
        self.ear.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self) {
        while !self.ends.load(Ordering::Relaxed) {
            let mut waiting = libc::pollfd {
                fd: self.fd,
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one pollfd of ours; the socket lives as long as `self`.
            unsafe { libc::poll(&raw mut waiting, 1, PATIENCE_MS) };
            self.ear().receive_all();
        }
    }
}

impl Ear {
    fn receive_all(&mut self) {
        loop {
            match self.socket.recv(&mut self.buffer, Msg::DONTWAIT) {
                // Cut off: longer than any record that we know.
                Ok((length, _)) if length >= RECORD => self.heard.lost += 1,
                Ok((length, _)) => self.heard.add(&self.buffer[..length]),
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOBUFS) => self.heard.lost += 1,
                    Some(libc::EINTR) => {}
                    _ => return,
                },
            }
        }
    }
}

impl Exits {
    fn add(&mut self, record: &[u8]) {
        match answer(record) {
            Ok((_, Some((_, stats)))) => self.exits.push(Exit {
                stats,
                start_boottime: stats
                    .elapsed_us
                    .map(|us| clock::boottime().saturating_sub(us.saturating_mul(1000))),
            }),
            Ok((_, None)) => {}
            Err(_) => self.lost += 1,
        }
    }
}

fn register(socket: &NlSocket, cpus: &str) -> Result<(), TaskstatsError> {
    let unreadable = |error: &dyn std::fmt::Display| TaskstatsError::Message(error.to_string());
    let list = Buffer::from([cpus.as_bytes(), b"\0"].concat());
    let request = message(
        family()?,
        1,
        NlmF::REQUEST | NlmF::ACK,
        REGISTER_CPUMASK,
        list,
    )?;
    let mut bytes = Cursor::new(Vec::new());
    request
        .to_bytes(&mut bytes)
        .map_err(|error| unreadable(&error))?;
    let failed = |call| move |source| TaskstatsError::Socket { call, source };
    socket
        .send(bytes.into_inner(), Msg::empty())
        .map_err(failed("send"))?;
    let mut reply = vec![0; RECORD];
    // The kernel answers within send; somebody's exit may come before it.
    loop {
        let (length, _) = socket
            .recv(&mut reply, Msg::DONTWAIT)
            .map_err(failed("recv"))?;
        let message = Message::from_bytes(&mut Cursor::new(&reply[..length.min(RECORD)]))
            .map_err(|error| unreadable(&error))?;
        let NlPayload::Err(error) = message.nl_payload() else {
            if matches!(message.nl_payload(), NlPayload::Ack(_)) {
                return Ok(());
            }
            continue;
        };
        return match -*error.error() {
            libc::EPERM => Err(TaskstatsError::NotPermitted),
            errno => Err(failed("TASKSTATS_CMD_ATTR_REGISTER_CPUMASK")(
                io::Error::from_raw_os_error(errno),
            )),
        };
    }
}

/// Beyond `net.core.rmem_max` where we may (CAP_NET_ADMIN).
fn set_receive_buffer(socket: &NlSocket, bytes: usize) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the option takes an int, and its size is passed along.
    let forced = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const value).cast(),
            mem::size_of_val(&value) as libc::socklen_t,
        )
    };
    if forced == 0 {
        return Ok(());
    }
    socket.set_recv_buffer_size(bytes)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// `None`: we may not listen here.
    fn listener(bytes: usize) -> Option<ExitListener> {
        match ExitListener::with_buffer(Path::new("/sys"), bytes) {
            Ok(listener) => Some(listener),
            Err(error) if std::env::var_os("IOTOP_TRACE_REQUIRE_EBPF").is_none() => {
                eprintln!("no exit records here: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn run(times: u32) {
        for _ in 0..times {
            let status = Command::new("true").status().expect("started");
            assert!(status.success());
        }
    }

    fn heard(exits: &Exits) -> usize {
        let name = |exit: &&Exit| {
            exit.stats
                .comm
                .is_some_and(|comm| comm.starts_with(b"true\0"))
        };
        exits.exits.iter().filter(name).count()
    }

    #[test]
    fn every_exit_is_heard_with_its_counters() {
        let Some(listener) = listener(RECEIVE_BUFFER) else {
            return;
        };
        run(200);
        let exits = listener.take();
        assert!(heard(&exits) >= 200, "{} of 200", heard(&exits));
        assert_eq!(exits.lost, 0);
        let known = |exit: &Exit| exit.stats.counters(false).read_char.is_some();
        assert!(exits.exits.iter().all(known));
    }

    #[test]
    fn what_finds_no_room_is_counted_as_lost() {
        let Some(listener) = listener(4096) else {
            return;
        };
        // Nobody listens while the lock is held.
        let held = listener.shared.ear();
        run(100);
        drop(held);
        let exits = listener.take();
        assert!(exits.lost > 0 && heard(&exits) < 100, "{}", heard(&exits));
    }
}
