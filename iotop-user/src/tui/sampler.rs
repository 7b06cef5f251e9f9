//! The collector in a thread of its own, so that no key waits for it.

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

/// How often freed memory is given back to the kernel at least; it is first after the
/// first sample, for which every task's names are looked up.
const GIVE_BACK: Duration = Duration::from_secs(60);
/// It is at once after an interval in which so many bytes came to be in memory: most
/// of them are the holes that an interval with thousands of files leaves.
const GROWN: u64 = 1 << 20;

/// What the view may ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request {
    /// So long between two samples.
    Delay(Duration),
    /// These tasks are worth a row.
    Rows(Rows),
    /// A sample now.
    Now,
}

/// The thread.
pub struct Sampler {
    requests: Option<mpsc::Sender<Request>>,
    samples: tokio_mpsc::Receiver<Result<Sample, CollectError>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// There can't be another thread.
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

    /// Asks for something. Where the thread has ended, [`Sampler::next`] tells.
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
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        collector.gather();
        // While the view can't draw, a terminal hangs say, the interval goes on.
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
