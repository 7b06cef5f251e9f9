//! Two tasks whose work has a fixed ratio at every moment.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};

use super::take_name;

/// Whose turn it is.
struct Turns {
    now: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq)]
enum Turn {
    Of(usize),
    /// A task has failed: the other one must not wait for it.
    Over,
}

impl Turns {
    fn give(&self, turn: Turn) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != Turn::Over {
            *now = turn;
        }
        self.changed.notify_all();
    }

    /// Waits for a turn. Returns false if the other task has failed.
    fn wait(&self, number: usize) -> bool {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let others = |now: &mut Turn| *now == Turn::Of(1 - number);
        let now = self.changed.wait_while(now, others);
        *now.unwrap_or_else(PoisonError::into_inner) == Turn::Of(number)
    }
}

/// Runs two threads, named `comm` and 0 or 1. In each round, the first one does `more`
/// steps of its work and then the second one does one.
pub fn by_turns<W: FnMut() -> Result<()>>(
    comm: &str,
    rounds: u64,
    more: u64,
    work: impl Fn(usize) -> Result<W> + Sync,
) -> Result<()> {
    let turns = Turns {
        now: Mutex::new(Turn::Of(0)),
        changed: Condvar::new(),
    };
    let rounds_of = |number: usize| -> Result<()> {
        take_name(&format!("{comm}{number}"))?;
        let mut step = work(number)?;
        let steps = if number == 0 { more } else { 1 };
        for _ in 0..rounds {
            if !turns.wait(number) {
                break;
            }
            for _ in 0..steps {
                step()?;
            }
            turns.give(Turn::Of(1 - number));
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads = [0, 1].map(|number| {
            let (turns, rounds_of) = (&turns, &rounds_of);
            scope.spawn(move || {
                let end = rounds_of(number);
                if end.is_err() {
                    turns.give(Turn::Over);
                }
                end.with_context(|| format!("thread {number}"))
            })
        });
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("a writer's thread panicked"))
    })
}
