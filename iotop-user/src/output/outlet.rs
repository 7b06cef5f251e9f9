//! Writes in a thread of its own, so that a reader who does not read blocks only that
//! thread.

use std::{
    io::{self, Write},
    sync::{Arc, mpsc},
    thread,
};

use bytes::BytesMut;
use tokio::sync::watch;

use super::say;

/// At most this many blocks wait to be written.
const BLOCKS: usize = 64;
/// If this many bytes wait, no further block has room. The last one may exceed it: a
/// machine with many tasks has blocks of any size.
const BYTES: usize = 4 << 20;

/// What is written at once: an interval, or a part of a screen.
#[derive(Debug, Default)]
pub struct Block {
    /// What to write.
    pub text: BytesMut,
    /// Messages to standard error that come before it.
    pub messages: Vec<String>,
}

impl From<BytesMut> for Block {
    fn from(text: BytesMut) -> Block {
        let messages = Vec::new();
        Block { text, messages }
    }
}

/// A thread that writes blocks, and the queue before it. Its clones share both.
#[derive(Clone)]
pub struct Outlet {
    blocks: mpsc::Sender<Block>,
    queue: Arc<watch::Sender<Queue>>,
}

/// What is not written yet.
#[derive(Default)]
struct Queue {
    blocks: usize,
    bytes: usize,
    /// Why writing has ended.
    failed: Option<Arc<io::Error>>,
}

impl Queue {
    fn clear(&mut self) {
        (self.blocks, self.bytes) = (0, 0);
    }
}

impl Outlet {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The thread can't be created.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Outlet> {
        let (blocks, queued) = mpsc::channel();
        let queue = Arc::new(watch::Sender::new(Queue::default()));
        let told = Arc::clone(&queue);
        thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write_all(out, &queued, &told))?;
        Ok(Outlet { blocks, queue })
    }

    /// Adds a block to the queue, even if it is full.
    pub fn put(&self, block: impl Into<Block>) {
        let block = block.into();
        self.queue.send_modify(|queue| {
            queue.blocks += 1;
            queue.bytes += block.text.len();
        });
        // If a write has failed, the thread is gone, and nothing waits.
        if self.blocks.send(block).is_err() {
            self.queue.send_modify(Queue::clear);
        }
    }

    /// Whether a further block has no room.
    pub fn is_full(&self) -> bool {
        let queue = self.queue.borrow();
        queue.blocks >= BLOCKS || queue.bytes >= BYTES
    }

    /// Number of blocks that are not written completely.
    pub fn waiting(&self) -> usize {
        self.queue.borrow().blocks
    }

    /// Returns when everything is written.
    ///
    /// # Errors
    ///
    /// A write failed.
    pub async fn written(&self) -> Result<(), Arc<io::Error>> {
        self.wait(|queue| queue.blocks == 0 || queue.failed.is_some())
            .await
    }

    /// Returns when a write has failed.
    pub async fn failed(&self) -> Arc<io::Error> {
        loop {
            if let Err(error) = self.wait(|queue| queue.failed.is_some()).await {
                return error;
            }
        }
    }

    async fn wait(&self, until: impl FnMut(&Queue) -> bool) -> Result<(), Arc<io::Error>> {
        let mut queue = self.queue.subscribe();
        match queue.wait_for(until).await {
            Ok(queue) => queue.failed.clone().map_or(Ok(()), Err),
            // The sender is in `self`, and can't be gone.
            Err(_) => Ok(()),
        }
    }
}

/// Writes each block at once, so that a reader does not see a part of it.
fn write_all(mut out: impl Write, blocks: &mpsc::Receiver<Block>, told: &watch::Sender<Queue>) {
    for Block { text, messages } in blocks {
        for message in &messages {
            say(message);
        }
        if let Err(error) = out.write_all(&text).and_then(|()| out.flush()) {
            told.send_modify(|queue| {
                queue.clear();
                queue.failed = Some(Arc::new(error));
            });
            return;
        }
        told.send_modify(|queue| {
            queue.blocks -= 1;
            queue.bytes -= text.len();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, os::unix::net::UnixStream, time::Duration};

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    }

    #[test]
    fn a_blocked_reader_fills_the_queue_and_loses_no_byte() {
        let (mut reader, writer) = UnixStream::pair().expect("a pair");
        let outlet = Outlet::start(writer).expect("a thread");
        let mut put = 0;
        while !outlet.is_full() {
            outlet.put(BytesMut::zeroed(1 << 20));
            put += 1;
        }
        assert!((BYTES >> 20..BLOCKS).contains(&put), "{put} blocks");
        runtime().block_on(async {
            let blocked = timeout(SHORT, outlet.written()).await;
            assert!(blocked.is_err(), "nobody reads");
            let reading = thread::spawn(move || {
                let mut bytes = vec![0; put << 20];
                reader.read_exact(&mut bytes).map(|()| reader)
            });
            outlet.written().await.expect("written");
            assert!(reading.join().expect("joined").is_ok());
        });
        assert!(outlet.waiting() == 0 && !outlet.is_full());
    }

    #[test]
    fn many_small_blocks_fill_the_queue_too() {
        let (_reader, writer) = UnixStream::pair().expect("a pair");
        let outlet = Outlet::start(writer).expect("a thread");
        outlet.put(BytesMut::zeroed(1 << 20));
        for _ in 1..BLOCKS {
            assert!(!outlet.is_full());
            outlet.put(BytesMut::from("x"));
        }
        assert!(outlet.is_full());
    }

    #[test]
    fn a_reader_that_is_gone_is_reported_once_a_write_fails() {
        let (reader, writer) = UnixStream::pair().expect("a pair");
        let outlet = Outlet::start(writer).expect("a thread");
        drop(reader);
        runtime().block_on(async {
            let quiet = timeout(SHORT, outlet.failed()).await;
            assert!(quiet.is_err(), "nothing was written");
            outlet.put(BytesMut::from("x"));
            let error = outlet.failed().await;
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            assert!(outlet.written().await.is_err());
        });
    }
}
