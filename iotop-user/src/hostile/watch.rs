//! Ends the tests if a parser does not return. A thread that hangs can't be ended otherwise.

use std::{
    io::{self, Write as _},
    process,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::corpus;

/// No parser takes a hundredth of this, but the machine may be busy.
const LIMIT: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(500);

/// The input that is read now, and since when.
type Reading = Mutex<Option<(Instant, Vec<u8>)>>;

/// Watches one parser until it is dropped.
pub struct Watch(Arc<Reading>);

impl Watch {
    /// Starts to watch a parser.
    pub fn start(parser: &'static str) -> Watch {
        let watch = Watch(Arc::default());
        let watched = Arc::downgrade(&watch.0);
        thread::spawn(move || {
            while let Some(reading) = watched.upgrade() {
                let now = reading.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((since, input)) = &*now
                    && since.elapsed() > LIMIT
                {
                    let path = corpus::save(parser, input);
                    // `eprintln` would be captured.
                    let path = path.display();
                    let _ = writeln!(io::stderr(), "{parser} does not return: {path}");
                    process::abort();
                }
                drop(now);
                thread::sleep(STEP);
            }
        });
        watch
    }

    /// Calls a function that reads this input.
    pub fn over<T>(&self, input: &[u8], read: impl FnOnce() -> T) -> T {
        self.set(Some((Instant::now(), input.to_owned())));
        let done = read();
        self.set(None);
        done
    }

    fn set(&self, reading: Option<(Instant, Vec<u8>)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}
