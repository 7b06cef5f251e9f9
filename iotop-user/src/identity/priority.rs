//! I/O priority as iotop shows it.

/// `IOPRIO_WHO_PROCESS` of include/uapi/linux/ioprio.h.
const IOPRIO_WHO_PROCESS: libc::c_int = 1;
const IOPRIO_CLASS_SHIFT: libc::c_long = 13;

/// `be/4`, `rt/0` or `idle`; `None` when the thread is gone. A thread without
/// a priority of its own gets one from its nice value (block/ioprio.c).
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
        _ => format!("be/{}", by_nice(tid)?),
    })
}

fn by_nice(tid: u32) -> Option<libc::c_long> {
    // SAFETY: getpriority takes plain numbers. The system call itself returns
    // 20 - nice, so that it is never negative but on failure (getpriority(2)).
    let value = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_PROCESS, tid) };
    (value > 0).then(|| (40 - value) / 5)
}
