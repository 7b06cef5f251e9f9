//! I/O priority as iotop shows it and sets it.

use std::{fmt, io, str::FromStr};

/// `IOPRIO_WHO_PROCESS` of include/uapi/linux/ioprio.h.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_CLASS_SHIFT: libc::c_long = 13;

/// A thread's priority: `be/4`, `rt/0` or `idle`. `None` if the thread is gone. A thread
/// without a priority of its own gets one from its scheduling policy and nice value
/// (`task_nice_ioclass` and `task_nice_ioprio` of include/linux/ioprio.h).
pub fn of(tid: u32) -> Option<String> {
    // SAFETY: ioprio_get takes plain numbers.
    let value = unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid) };
    if value < 0 {
        return None;
    }
    let level = value & 7;
    Some(match value >> IOPRIO_CLASS_SHIFT & 7 {
        1 => format!("rt/{level}"),
        2 => format!("be/{level}"),
        3 => "idle".to_owned(),
        _ => match policy(tid)? {
            libc::SCHED_IDLE => "idle".to_owned(),
            libc::SCHED_FIFO | libc::SCHED_RR | libc::SCHED_DEADLINE => {
                format!("rt/{}", by_nice(tid)?)
            }
            _ => format!("be/{}", by_nice(tid)?),
        },
    })
}

/// A priority to set (ioprio_set(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Derived from the nice value.
    None,
    /// Served before all others. 0 is the highest level.
    RealTime(u8),
    /// The normal class. 0 is the highest level.
    BestEffort(u8),
    /// Served only if no other task has I/O.
    Idle,
}

/// The text is not a priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an I/O priority is none, idle, be/0 to be/7 or rt/0 to rt/7")]
pub struct NoPriority;

impl FromStr for Priority {
    type Err = NoPriority;

    fn from_str(text: &str) -> Result<Priority, NoPriority> {
        let level = |level: &str| match level.parse() {
            Ok(level @ 0..=7) => Ok(level),
            _ => Err(NoPriority),
        };
        match text.trim() {
            "none" => Ok(Priority::None),
            "idle" => Ok(Priority::Idle),
            text => match text.split_once('/') {
                Some(("be", n)) => Ok(Priority::BestEffort(level(n)?)),
                Some(("rt", n)) => Ok(Priority::RealTime(level(n)?)),
                _ => Err(NoPriority),
            },
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Priority::None => f.write_str("none"),
            Priority::RealTime(level) => write!(f, "rt/{level}"),
            Priority::BestEffort(level) => write!(f, "be/{level}"),
            Priority::Idle => f.write_str("idle"),
        }
    }
}

/// Sets a thread's priority.
///
/// # Errors
///
/// The kernel refused: the thread is gone, or it belongs to another user and we lack
/// `CAP_SYS_NICE` (block/ioprio.c).
pub fn set(tid: u32, priority: Priority) -> io::Result<()> {
    let (class, level) = match priority {
        Priority::None => (0, 0),
        Priority::RealTime(level) => (1, level),
        Priority::BestEffort(level) => (2, level),
        Priority::Idle => (3, 0),
    };
    let value = class << IOPRIO_CLASS_SHIFT | libc::c_long::from(level);
    // SAFETY: ioprio_set takes plain numbers.
    let set = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, value) };
    match set {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A thread's scheduling policy (sched_getscheduler(2)).
fn policy(tid: u32) -> Option<libc::c_int> {
    // SAFETY: sched_getscheduler takes a plain number.
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, tid) };
    let policy = libc::c_int::try_from(policy).ok()?;
    (policy >= 0).then_some(policy & !libc::SCHED_RESET_ON_FORK)
}

fn by_nice(tid: u32) -> Option<libc::c_long> {
    // SAFETY: getpriority takes plain numbers. The system call itself returns 20 - nice, so
    // the result is negative only on failure (getpriority(2)).
    let value = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, tid) };
    (value > 0).then(|| (40 - value) / 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_parsed_as_it_is_shown() {
        for text in ["none", "idle", "be/0", "be/7", "rt/3"] {
            let priority: Priority = text.parse().expect(text);
            assert_eq!(priority.to_string(), text);
        }
        for text in ["", "be", "be/8", "rt/-1", "idle/1", "4"] {
            assert_eq!(text.parse::<Priority>(), Err(NoPriority), "{text}");
        }
    }

    #[test]
    fn a_thread_has_the_priority_that_was_set() {
        let thread = std::thread::spawn(|| {
            // SAFETY: gettid takes nothing and can't fail.
            let tid = unsafe { libc::gettid() } as u32;
            set(tid, Priority::BestEffort(6)).expect("our own");
            let first = of(tid);
            set(tid, Priority::Idle).expect("our own");
            (first, of(tid))
        });
        let (first, second) = thread.join().expect("ended");
        assert_eq!(first.as_deref(), Some("be/6"));
        assert_eq!(second.as_deref(), Some("idle"));
        assert!(set(u32::MAX >> 1, Priority::Idle).is_err());
    }

    /// Sets the policy of a new thread, and returns the priority that follows from it.
    fn of_policy(policy: libc::c_int, level: libc::c_int) -> Option<String> {
        let thread = std::thread::spawn(move || {
            let param = libc::sched_param {
                sched_priority: level,
            };
            // SAFETY: the pointer is to our own parameters, and 0 is this thread.
            let set =
                unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const param) };
            // SAFETY: gettid takes nothing and can't fail.
            (set == 0).then(|| of(unsafe { libc::gettid() } as u32))?
        });
        thread.join().expect("ended")
    }

    #[test]
    fn a_thread_without_a_priority_has_that_of_its_scheduling_class() {
        assert_eq!(of_policy(libc::SCHED_IDLE, 0).as_deref(), Some("idle"));
        // SAFETY: gettid takes nothing and can't fail.
        let level = by_nice(unsafe { libc::gettid() } as u32).expect("our own");
        let batch = of_policy(libc::SCHED_BATCH, 0).expect("its own");
        assert_eq!(batch, format!("be/{level}"));
        // This needs a privilege.
        for policy in [libc::SCHED_FIFO, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK] {
            if let Some(priority) = of_policy(policy, 10) {
                assert_eq!(priority, format!("rt/{level}"));
            }
        }
    }
}
