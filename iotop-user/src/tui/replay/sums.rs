//! Totals since the start of a recording's span, up to any of its samples.
//!
//! Totals can't be subtracted: levels, exited tasks and names are those of the last sample. So
//! they are added up again from the last mark, one frame at a time.

use std::sync::Arc;

use crate::{
    record::{Position, Timeline},
    sample::Sample,
    view::{Accumulator, Kept},
};

/// At most this many marks are kept,
const MARKS: usize = 16;
/// and at most this many rows, facts and paths in them.
const PARTS: usize = 400_000;

/// The sums, and marks to begin at.
#[derive(Debug)]
pub struct Sums {
    /// The sum of all samples before a frame, in ascending order.
    marks: Vec<(usize, Accumulator)>,
    /// Marks are so many frames apart.
    stride: usize,
    /// The sum of all samples before this position.
    now: (Position, Accumulator),
    /// The totals up to this sample.
    total: Option<(Position, Arc<Sample>)>,
}

impl Default for Sums {
    fn default() -> Sums {
        Sums {
            marks: Vec::new(),
            stride: 1,
            now: (Position::default(), empty()),
            total: None,
        }
    }
}

fn empty() -> Accumulator {
    Accumulator::new(Kept::All)
}

impl Sums {
    /// Adds the samples of one frame. Returns the totals up to `target` when they are complete.
    pub fn step(&mut self, timeline: &mut Timeline, target: Position) -> Option<Arc<Sample>> {
        if let Some((at, total)) = &self.total
            && *at == target
        {
            return Some(Arc::clone(total));
        }
        if self.now.0 > target {
            self.now = self.before(target.frame);
        }
        let (at, sum) = &mut self.now;
        let decoded = timeline.decode(at.frame);
        if at.frame == target.frame {
            let samples = &decoded.samples[at.sample..=target.sample];
            let mut last = None;
            for (n, sample) in samples.iter().enumerate() {
                let mut sample = sample.clone();
                match n + 1 == samples.len() {
                    true => {
                        sum.add(&mut sample);
                        last = Some(sample);
                    }
                    false => sum.absorb(&mut sample),
                }
            }
            at.sample = target.sample + 1;
            let total = Arc::new(last?);
            self.total = Some((target, Arc::clone(&total)));
            return Some(total);
        }
        for sample in decoded.samples.iter().skip(at.sample) {
            sum.absorb(&mut sample.clone());
        }
        *at = Position {
            frame: at.frame + 1,
            sample: 0,
        };
        self.mark();
        None
    }

    /// The part of the samples up to `target` that is added up, in percent.
    pub fn percent(&self, timeline: &Timeline, target: Position) -> u64 {
        let all = timeline.number(target).max(1);
        100 * (timeline.number(self.now.0) - 1).min(all) / all
    }

    /// The last mark that is not after the begin of a frame.
    fn before(&self, frame: usize) -> (Position, Accumulator) {
        let mark = self.marks.iter().rev().find(|(at, _)| *at <= frame);
        match mark {
            Some((frame, sum)) => {
                let at = Position {
                    frame: *frame,
                    sample: 0,
                };
                (at, sum.clone())
            }
            None => (Position::default(), empty()),
        }
    }

    fn mark(&mut self) {
        let (at, sum) = &self.now;
        let is_new = self.marks.last().is_none_or(|(last, _)| *last < at.frame);
        if is_new && at.frame.is_multiple_of(self.stride) {
            self.marks.push((at.frame, sum.clone()));
        }
        let parts = |marks: &[(usize, Accumulator)]| -> usize {
            marks.iter().map(|(_, sum)| sum.parts()).sum()
        };
        while self.marks.len() > MARKS || self.marks.len() > 1 && parts(&self.marks) > PARTS {
            self.stride *= 2;
            self.marks
                .retain(|(frame, _)| frame.is_multiple_of(self.stride));
        }
    }
}
