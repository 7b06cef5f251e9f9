//! Says what a start that takes long waits for.

use std::{sync::mpsc, thread, time::Duration};

use crate::output::say;

/// After this time it says so.
const LONG: Duration = Duration::from_secs(2);

/// Does some work of the start. If it takes long, a message says what the start waits for.
pub fn on<T>(what: &str, work: impl FnOnce() -> T) -> T {
    on_for(LONG, what, say, work)
}

fn on_for<T>(long: Duration, what: &str, say: impl Fn(&str) + Send, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        // Dropped after the work, which ends the thread.
        let (_done, ended) = mpsc::channel::<()>();
        let wait = move || {
            if ended.recv_timeout(long) == Err(mpsc::RecvTimeoutError::Timeout) {
                say(&format!("still starting: waiting for {what}"));
            }
        };
        // Without a thread there is no message, but the work is done.
        let _ = thread::Builder::new().spawn_scoped(scope, wait);
        work()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn said(long: Duration, work: Duration) -> Vec<String> {
        let said = Mutex::new(Vec::new());
        let say = |text: &str| said.lock().expect("not poisoned").push(text.to_owned());
        on_for(long, "the test", say, || thread::sleep(work));
        said.into_inner().expect("not poisoned")
    }

    #[test]
    fn only_work_that_takes_long_is_named() {
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(60));
        assert_eq!(said(long, short), [""; 0]);
        let said = said(short, 10 * short);
        assert_eq!(said, ["still starting: waiting for the test"]);
    }
}
