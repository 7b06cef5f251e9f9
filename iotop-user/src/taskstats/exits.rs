//! Exit records: the final counters of each thread. The kernel sends them to every
//! listener that has registered for the CPU on which the thread exits.

use std::{
    fs, mem,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::Instant,
};

use caps::CapSet;
use neli::consts::socket::Msg;

use super::{
    ExitRecords, TaskstatsError,
    channel::{Channel, Received, TIMEOUT},
    inbox::{Event, Inbox},
    message::{
        Command, TASKSTATS_CMD_ATTR_DEREGISTER_CPUMASK, TASKSTATS_CMD_ATTR_REGISTER_CPUMASK,
        TASKSTATS_CMD_GET,
    },
    options,
};

/// Below the sys root: the CPUs that can ever be online, as a list.
const POSSIBLE_CPUS: &str = "devices/system/cpu/possible";

/// The kernel doubles this size, and accounts about 2 KiB for each record.
const RECEIVE_BUFFER: libc::c_int = 4 * 1024 * 1024;

// Sequence numbers of our two commands.
const REGISTER: u32 = 1;
const DEREGISTER: u32 = 2;

/// Receives exit records until it is dropped.
pub struct ExitListener {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    cpus: String,
    /// The kernel's count of dropped messages at the last call.
    dropped: Option<u32>,
}

struct Shared {
    channel: Channel,
    inbox: Mutex<Inbox>,
    stop: AtomicBool,
}

impl ExitListener {
    /// [Registers](ExitListener::register), and [starts](ExitListener::start).
    ///
    /// # Errors
    ///
    /// Those of both.
    pub fn open(sys_root: &Path) -> Result<ExitListener, TaskstatsError> {
        let mut listener = ExitListener::register(sys_root)?;
        listener.start()?;
        Ok(listener)
    }

    /// Registers for all CPUs, and checks that records arrive.
    ///
    /// # Errors
    ///
    /// The kernel has no taskstats, we may not register, or no record arrives.
    pub fn register(sys_root: &Path) -> Result<ExitListener, TaskstatsError> {
        let cpus = possible_cpus(sys_root)?;
        let channel = Channel::open(RECEIVE_BUFFER)?;
        let mut inbox = Inbox::new();
        register(&channel, &mut inbox, &cpus)?;
        check_delivery(&channel, &mut inbox)?;

        let shared = Arc::new(Shared {
            channel,
            inbox: Mutex::new(inbox),
            stop: AtomicBool::new(false),
        });
        Ok(ExitListener {
            shared,
            thread: None,
            cpus,
            dropped: Some(0),
        })
    }

    /// Starts a thread that receives the records. Not part of [`ExitListener::register`],
    /// because a thread that exists already keeps the rights that this one gives up.
    ///
    /// # Errors
    ///
    /// The thread can't be created.
    pub fn start(&mut self) -> Result<(), TaskstatsError> {
        let listening = Arc::clone(&self.shared);
        let thread = Builder::new()
            .name("exit-records".to_owned())
            .spawn(move || listen(&listening))
            .map_err(TaskstatsError::Thread)?;
        self.thread = Some(thread);
        Ok(())
    }

    /// Returns all records that have arrived since the last call.
    ///
    /// # Errors
    ///
    /// The socket fails.
    pub fn drain(&mut self) -> Result<ExitRecords, TaskstatsError> {
        let channel = &self.shared.channel;
        let mut inbox = self.shared.inbox();
        inbox.receive_all(channel)?;
        let mut arrived = mem::take(&mut inbox.arrived);
        drop(inbox);
        let dropped = options::dropped(&channel.socket);
        arrived.lost.dropped = dropped
            .zip(self.dropped)
            .map(|(now, before)| now.wrapping_sub(before).into());
        self.dropped = dropped;
        Ok(arrived)
    }
}

impl Drop for ExitListener {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Any answer wakes the thread. Without one, the thread's receive times out.
        let _ = deregister(&self.shared.channel, &self.cpus);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Receives until `stop` is set or the socket fails. If it fails, so does the next
/// `drain`, which reports why.
fn listen(shared: &Shared) {
    // Capabilities belong to a thread, and receiving needs none.
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        let _ = caps::clear(None, set);
    }
    loop {
        // PEEK leaves the message in the socket. Messages are taken only under the lock, so
        // that a drain misses none that has arrived before it.
        let seen = shared.channel.receive(&mut [], Msg::PEEK);
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let mut inbox = shared.inbox();
        let received = match seen {
            Ok(Received::Nothing) => Ok(()),
            Ok(Received::Overrun) => {
                inbox.arrived.lost.overruns += 1;
                inbox.receive_all(&shared.channel)
            }
            Ok(Received::Message(_) | Received::Truncated(_)) => inbox.receive_all(&shared.channel),
            Err(error) => Err(error),
        };
        if received.is_err() {
            return;
        }
    }
}

fn possible_cpus(sys_root: &Path) -> Result<String, TaskstatsError> {
    let path = sys_root.join(POSSIBLE_CPUS);
    match fs::read_to_string(&path) {
        Ok(cpus) => Ok(cpus.trim().to_owned()),
        Err(source) => Err(TaskstatsError::Cpus { path, source }),
    }
}

fn for_cpus<'a>(channel: &Channel, attribute: u16, cpus: &'a str) -> Command<&'a str> {
    Command {
        family: channel.family,
        command: TASKSTATS_CMD_GET,
        attribute,
        payload: cpus,
        ack: true,
    }
}

fn register(channel: &Channel, inbox: &mut Inbox, cpus: &str) -> Result<(), TaskstatsError> {
    let command = for_cpus(channel, TASKSTATS_CMD_ATTR_REGISTER_CPUMASK, cpus);
    channel.send(&command.bytes(REGISTER)?)?;
    // Records may arrive before the answer.
    let answered = wait_for(channel, inbox, |event| match event {
        Event::Answer { seq, errno } if seq == REGISTER => Some(errno),
        _ => None,
    })?;
    match answered {
        Some(0) => Ok(()),
        // `add_del_listener` of kernel/taskstats.c returns this for other namespaces, and
        // for impossible CPUs, which these are not.
        Some(libc::EINVAL) => Err(TaskstatsError::ChildNamespace),
        Some(errno) => Err(TaskstatsError::refused(
            "TASKSTATS_CMD_ATTR_REGISTER_CPUMASK",
            errno,
        )),
        None => Err(TaskstatsError::NoReply),
    }
}

fn deregister(channel: &Channel, cpus: &str) -> Result<(), TaskstatsError> {
    let command = for_cpus(channel, TASKSTATS_CMD_ATTR_DEREGISTER_CPUMASK, cpus);
    channel.send(&command.bytes(DEREGISTER)?)
}

/// Lets a thread of our own exit, and waits for its record. In another network namespace
/// we may register, but no record arrives: `send_cpu_listeners` of kernel/taskstats.c
/// sends to init_net.
fn check_delivery(channel: &Channel, inbox: &mut Inbox) -> Result<(), TaskstatsError> {
    // SAFETY: gettid(2) takes nothing and always succeeds.
    let thread = Builder::new().spawn(|| unsafe { libc::gettid() });
    let ours = thread.map_err(TaskstatsError::Thread)?.join();
    let ours = ours.ok().and_then(|tid| u32::try_from(tid).ok());
    let arrived = wait_for(channel, inbox, |event| match event {
        Event::Exit(tid) => (Some(tid) == ours).then_some(()),
        _ => None,
    })?;
    arrived.ok_or(TaskstatsError::NotDelivered)?;
    inbox.arrived.records.retain(|(tid, _)| Some(*tid) != ours);
    Ok(())
}

/// Receives until an event is `wanted`, or until the time is up.
fn wait_for<T>(
    channel: &Channel,
    inbox: &mut Inbox,
    wanted: impl Fn(Event) -> Option<T>,
) -> Result<Option<T>, TaskstatsError> {
    let start = Instant::now();
    while start.elapsed() < TIMEOUT {
        let event = inbox.receive(channel, Msg::empty())?;
        if let Some(found) = wanted(event) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::{process::Command as Process, thread};

    use super::*;
    use crate::taskstats::needs;

    const SYS: &str = "/sys";

    #[test]
    fn dropped_records_are_counted() {
        const PROCESSES: usize = 100;
        let Some(mut listener) = needs::privilege(ExitListener::open(Path::new(SYS))) else {
            return;
        };
        let socket = &listener.shared.channel.socket;
        options::set_receive_buffer(socket, 1).expect("the smallest there is");
        // The listener's thread takes no message while the lock is held.
        let inbox = listener.shared.inbox();
        let pids: Vec<u32> = (0..PROCESSES)
            .map(|_| {
                let mut child = Process::new("true").spawn().expect("started");
                child.wait().expect("ended");
                child.id()
            })
            .collect();
        drop(inbox);
        let ExitRecords { records, lost } = listener.drain().expect("drained");
        let received = records.iter().filter(|(tid, _)| pids.contains(tid)).count();
        let dropped = lost.dropped.expect("counted since 4.12");
        assert!(dropped >= lost.overruns, "{lost:?}");
        // Other processes of this machine exit too.
        assert!(received < PROCESSES && received as u64 + dropped >= PROCESSES as u64);
        assert_eq!(lost.at_least(), dropped);

        let again = listener.drain().expect("drained").lost;
        assert!(again.at_least() < dropped, "counted twice: {again:?}");
        // The listener's thread may have got the ENOBUFS: it counts it when it has the lock.
        let mut overruns = lost.overruns + again.overruns;
        let start = Instant::now();
        while overruns == 0 && start.elapsed() < TIMEOUT {
            thread::sleep(TIMEOUT / 100);
            overruns = listener.drain().expect("drained").lost.overruns;
        }
        assert!(overruns > 0, "{lost:?}, {again:?}");
    }

    #[test]
    fn dropping_a_listener_ends_its_thread_at_once() {
        let Some(listener) = needs::privilege(ExitListener::open(Path::new(SYS))) else {
            return;
        };
        // The exit of another process must not wake the thread.
        deregister(&listener.shared.channel, &listener.cpus).expect("sent");
        thread::sleep(TIMEOUT / 10);
        let shared = Arc::downgrade(&listener.shared);
        let start = Instant::now();
        drop(listener);
        assert!(start.elapsed() < TIMEOUT / 2, "{:?}", start.elapsed());
        assert!(shared.upgrade().is_none(), "the thread still runs");
    }

    #[test]
    fn an_unreadable_list_of_cpus_is_reported() {
        let root = tempfile::tempdir().expect("a directory");
        let error = ExitListener::open(root.path()).err().expect("no such file");
        assert!(error.to_string().contains(POSSIBLE_CPUS), "{error}");
    }
}
