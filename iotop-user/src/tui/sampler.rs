//! Runs the collector in its own thread, so that keys never wait for it.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::mpsc as tokio_mpsc;

use crate::{
    collect::{CollectError, Collector, GATHER, Rows},
    host::kernel::memory,
    sample::Sample,
};

/// Freed memory goes back to the kernel at least this often, and right after the first
/// sample, which looks up the names of all tasks.
const GIVE_BACK: Duration = Duration::from_secs(60);
/// It also goes back as soon as resident memory has grown by this many bytes since the
/// last time. Most of such growth is holes in the heap, left by an interval with
/// thousands of files.
const GROWN: u64 = 1 << 20;

/// A request of the live view to the collector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    /// Set the time between two samples.
    Delay(Duration),
    /// Set which tasks get a row.
    Rows(Rows),
    /// Take a sample now.
    Now,
    /// Read what can't wait for the end of the interval.
    Gather,
}

/// The collector's thread.
pub struct Sampler {
    requests: Option<mpsc::Sender<Request>>,
    samples: tokio_mpsc::Receiver<Result<Sample, CollectError>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The thread can't be created.
    pub fn start(collector: Collector, delay: Duration) -> std::io::Result<Sampler> {
        let (requests, asked) = mpsc::channel();
        let (give, samples) = tokio_mpsc::channel(1);
        let thread = thread::Builder::new()
            .name("collector".to_owned())
            .spawn(move || run(collector, delay, &asked, &give))?;
        Ok(Sampler {
            requests: Some(requests),
            samples,
            thread: Some(thread),
        })
    }

    /// Sends a request. If the thread has ended, [`Sampler::next`] reports that.
    pub fn ask(&self, request: Request) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(request);
        }
    }

    /// The next sample; `None` when the thread has ended.
    pub async fn next(&mut self) -> Option<Result<Sample, CollectError>> {
        self.samples.recv().await
    }
}

impl Drop for Sampler {
    /// Waits until the kernel half is detached.
    fn drop(&mut self) {
        self.requests = None;
        self.samples.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    mut collector: Collector,
    mut delay: Duration,
    asked: &mpsc::Receiver<Request>,
    give: &tokio_mpsc::Sender<Result<Sample, CollectError>>,
) {
    let mut last = Instant::now();
    let mut given: Option<Instant> = None;
    let mut resident = None;
    loop {
        let left = (last + delay).saturating_duration_since(Instant::now());
        match asked.recv_timeout(left.min(GATHER)) {
            Ok(Request::Delay(wanted)) => delay = wanted,
            Ok(Request::Rows(rows)) => collector.want_rows(rows),
            Ok(Request::Now) => last = Instant::now().checked_sub(delay).unwrap_or(last),
            Ok(Request::Gather) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        collector.gather();
        // While the view has not taken the last sample, the current interval gets longer.
        let Ok(place) = give.try_reserve() else {
            if give.is_closed() {
                return;
            }
            thread::sleep(GATHER.min(delay));
            continue;
        };
        if last.elapsed() < delay {
            continue;
        }
        last = Instant::now();
        let sample = collector.sample();
        let failed = sample.is_err();
        place.send(sample);
        let is_due = given.is_none_or(|given| given.elapsed() >= GIVE_BACK);
        if is_due || memory::resident() > resident.map(|resident| resident + GROWN) {
            memory::return_free();
            given = Some(Instant::now());
            resident = memory::resident();
        }
        if failed {
            return;
        }
    }
}
