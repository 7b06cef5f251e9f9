//! Waits until a table or a buffer of the kernel half is filling.

use std::{future, io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

use crate::probe::Probe;

/// Says when the kernel half can't wait for the next gathering.
pub struct Waker(Option<AsyncFd<OwnedFd>>);

impl Waker {
    /// Watches the kernel half, if it is loaded.
    ///
    /// # Errors
    ///
    /// The descriptor can't be watched.
    pub fn of(probe: Option<&Probe>) -> io::Result<Waker> {
        let watch = |probe: &Probe| -> io::Result<AsyncFd<OwnedFd>> {
            // SAFETY: the descriptor stays open and the same for as long as it is watched.
            Ok(unsafe { AsyncFd::register_with_interest(probe.wakes()?, Interest::READABLE)? })
        };
        Ok(Waker(probe.map(watch).transpose()?))
    }

    /// Returns when the kernel half asks; never without it.
    pub async fn asked(&self) {
        match &self.0 {
            Some(wakes) => match wakes.readable().await {
                // The kernel half wakes again only after a gathering.
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => future::pending().await,
            },
            None => future::pending().await,
        }
    }
}
