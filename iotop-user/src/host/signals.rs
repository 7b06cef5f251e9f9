//! SIGINT, SIGTERM and SIGHUP end the program, whatever it is doing.

use std::{
    fs, io,
    mem::MaybeUninit,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level,
};
use tokio::sync::watch;

/// After a signal, the program may be blocked for this long before it is ended by force.
const GRACE: Duration = Duration::from_millis(800);
/// It is ended by force after this time even if it is busy.
const LIMIT: Duration = Duration::from_secs(10);
/// Time between two looks at what the threads do.
const STEP: Duration = Duration::from_millis(20);
/// Signals within this time are one request: when a terminal is closed, both the kernel and
/// the shell send SIGHUP.
const TOGETHER: Duration = Duration::from_millis(200);
/// How long the last action before a forced end may take.
const LAST: Duration = Duration::from_millis(150);
/// Exit status of a forced end while something is left to do.
const UNFINISHED: i32 = 1;

/// The exit status of the program if a signal ends it while it starts; `STARTED` afterwards. A
/// signal handler can reach nothing but statics.
static WHILE_STARTING: AtomicI32 = AtomicI32::new(0);
const STARTED: i32 = -1;
/// What such a signal says.
const NOTHING_YET: &[u8] = b"iotop-trace: ended by a signal before it had anything to print\n";

/// Makes SIGINT, SIGTERM and SIGHUP end the program at once with success, until
/// [`Ending::watch`] takes over. A program that starts has nothing to finish: the kernel detaches
/// the kernel half. To be called first of all.
///
/// A SIGHUP that is ignored, as under nohup(1), stays ignored.
///
/// # Errors
///
/// The signals can't be caught.
pub fn end_while_starting() -> io::Result<()> {
    let signals = [SIGINT, SIGTERM, SIGHUP].into_iter();
    for signal in signals.filter(|signal| *signal != SIGHUP || !is_ignored(SIGHUP)) {
        // SAFETY: the handler loads an atomic, writes a constant and exits. All of that is
        // async-signal-safe (signal-safety(7)).
        unsafe { low_level::register(signal, end_if_starting) }?;
    }
    Ok(())
}

/// Makes such a signal end the program with this status instead.
pub fn status_while_starting(status: u8) {
    WHILE_STARTING.store(status.into(), Ordering::Relaxed);
}

fn end_if_starting() {
    let status = WHILE_STARTING.load(Ordering::Relaxed);
    if status == STARTED {
        return;
    }
    // SAFETY: write(2) reads a constant of this length.
    unsafe {
        let text = NOTHING_YET.as_ptr().cast();
        libc::write(libc::STDERR_FILENO, text, NOTHING_YET.len());
    }
    low_level::exit(status);
}

/// From now on a signal no longer ends a program that starts: somebody else takes it.
pub(super) fn started() {
    WHILE_STARTING.store(STARTED, Ordering::Relaxed);
}

/// Says when the program is to end.
pub struct Ending {
    asked: watch::Receiver<bool>,
    /// Exit status of a forced end.
    status: Arc<AtomicI32>,
}

impl Ending {
    /// Catches the signals from now on. After the first one, the program should end by
    /// itself. A thread ends it if it is blocked then, or at a second signal. `last` is
    /// called before such a forced end.
    ///
    /// A SIGHUP that is ignored, as under nohup(1), stays ignored.
    ///
    /// # Errors
    ///
    /// The signals can't be caught, or the thread can't be created.
    pub fn watch(last: fn()) -> io::Result<Ending> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        // Only now, so that no signal is missed in between.
        started();
        let (ask, asked) = watch::channel(false);
        let status = Arc::new(AtomicI32::new(UNFINISHED));
        let forced = Arc::clone(&status);
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                if signals.forever().next().is_some() {
                    let _ = ask.send(true);
                    outlast(&mut signals, &is_busy);
                    end(last, forced.load(Ordering::Relaxed));
                }
            })?;
        Ok(Ending { asked, status })
    }

    /// Returns once a signal has asked the program to end.
    pub async fn asked(&mut self) {
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            // The thread is gone: no signal will come.
            std::future::pending().await
        }
    }

    /// Nothing is left to do but to release what the program holds. If that blocks, the
    /// program is ended by force, as after a signal, but with success.
    pub fn finish(&self) {
        self.status.store(0, Ordering::Relaxed);
        if !*self.asked.borrow() {
            let _ = low_level::raise(SIGTERM);
        }
    }
}

/// Returns when the program has to be ended: it has been blocked for too long, or a
/// second signal has come. A program that is busy may go on for a while, because the
/// machine may be slow.
fn outlast(signals: &mut Signals, is_busy: &dyn Fn() -> bool) {
    let first = Instant::now();
    let mut busy = first;
    while busy.elapsed() < GRACE && first.elapsed() < LIMIT {
        thread::sleep(STEP);
        if signals.pending().count() > 0 && first.elapsed() > TOGETHER {
            return;
        }
        if is_busy() {
            busy = Instant::now();
        }
    }
}

/// Ends the program without its destructors, which could block.
fn end(last: fn(), status: i32) -> ! {
    let start = Instant::now();
    // Where no thread can be created, it ends without the last action, which could block.
    if let Ok(last) = thread::Builder::new().spawn(last) {
        while !last.is_finished() && start.elapsed() < LAST {
            thread::sleep(STEP / 4);
        }
    }
    low_level::exit(status)
}

/// Whether any other thread of this process has work to do. A blocked thread sleeps.
fn is_busy() -> bool {
    let own = fs::read_link("/proc/thread-self").unwrap_or_default();
    let others = fs::read_dir("/proc/self/task").into_iter().flatten();
    let mut others = others
        .flatten()
        .filter(|other| Some(other.file_name().as_os_str()) != own.file_name());
    others.any(|other| is_running(&other.path()))
}

fn is_running(thread: &Path) -> bool {
    runs(&fs::read_to_string(thread.join("stat")).unwrap_or_default())
}

/// Whether a thread with this stat line runs, or waits for a CPU or for the kernel. An update of
/// a map waits uninterruptibly until no program uses the old value: for more than a second on a
/// machine that is overloaded.
fn runs(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| state.starts_with(['R', 'D']))
}

/// Whether the parent process wants this one to ignore a signal.
pub(super) fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, sigaction only fills in the current one. An
    // all-zero sigaction is valid too, and does not ignore the signal.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_thread_that_the_kernel_works_for_is_not_blocked() {
        assert!(runs("7 (x) R 1 7") && runs("7 (a) S b) D 1 7"));
        assert!(!runs("7 (R) S 1 7") && !runs(""));
    }

    /// How long a program with this work goes on if a second signal comes then, and when it was
    /// last seen busy.
    fn outlasted(work: Duration, second: Duration) -> (Duration, Duration) {
        // Nothing else in the tests' process uses this signal.
        let mut signals = Signals::new([libc::SIGUSR2]).expect("caught");
        let start = Instant::now();
        let (raised, last) = (Cell::new(false), Cell::new(Duration::ZERO));
        outlast(&mut signals, &|| {
            if start.elapsed() > second && !raised.replace(true) {
                low_level::raise(libc::SIGUSR2).expect("raised");
            }
            let now = start.elapsed();
            if now < work {
                last.set(now);
            }
            now < work
        });
        (start.elapsed(), last.get())
    }

    #[test]
    fn a_blocked_program_ends_soon_and_a_busy_one_may_go_on_until_a_second_signal() {
        let (never, work) = (LIMIT, Duration::from_millis(400));
        let (blocked, last) = outlasted(Duration::ZERO, never);
        assert!(blocked >= GRACE && blocked < LIMIT, "{blocked:?}");
        assert_eq!(last, Duration::ZERO);
        let (busy, last) = outlasted(work, never);
        assert!(busy >= last + GRACE && busy < LIMIT, "{last:?} {busy:?}");
        assert!(last > Duration::ZERO);
        let (second, _) = outlasted(LIMIT, work);
        assert!(second >= work && second < LIMIT, "{second:?}");
        let (together, last) = outlasted(work, Duration::ZERO);
        assert!(together >= last + GRACE, "{last:?} {together:?}");
    }

    #[test]
    fn a_thread_that_sleeps_is_not_running() {
        let task = fs::read_link("/proc/thread-self").expect("linux");
        let task = Path::new("/proc").join(task);
        assert!(is_running(&task));
        let (_blocker, blocked) = std::sync::mpsc::channel::<()>();
        let (say, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let _ = say.send(fs::read_link("/proc/thread-self").expect("linux"));
            let _ = blocked.recv();
        });
        let task = Path::new("/proc").join(told.recv().expect("told"));
        while is_running(&task) {
            thread::sleep(STEP);
        }
    }
}
