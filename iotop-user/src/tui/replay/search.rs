//! Looks for the next or the previous spike of a recording, one frame at a time.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::{
    record::{Position, Timeline},
    sample::{Number, Sample},
};

/// A spike, in all samples that have it.
type SpikeId = (Number, Timestamp);

/// A search.
#[derive(Debug)]
pub struct Search {
    forward: bool,
    /// Those of the sample where the search began.
    known: HashSet<SpikeId>,
    /// The next frame to look at, and the samples that are left out of it.
    next: Option<usize>,
    from: Option<usize>,
    /// Backward: the earliest sample so far of the spike that was found.
    found: Option<(SpikeId, Position)>,
}

/// What became of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It goes on.
    NotYet,
    /// The first sample of a spike.
    At(Position),
    /// There is none.
    Nothing,
}

fn ids(sample: &Sample) -> impl Iterator<Item = SpikeId> {
    sample
        .spikes
        .iter()
        .map(|spike| (spike.device, spike.start))
}

impl Search {
    /// Starts at a sample, whose spikes are not looked for.
    pub fn new(timeline: &mut Timeline, at: Position, forward: bool) -> Search {
        let decoded = timeline.decode(at.frame);
        let known = decoded.samples.get(at.sample).into_iter().flat_map(ids);
        Search {
            forward,
            known: known.collect(),
            next: Some(at.frame),
            from: Some(at.sample),
            found: None,
        }
    }

    /// Whether it looks for the next one.
    pub fn is_forward(&self) -> bool {
        self.forward
    }

    /// The frame that it looks at next.
    pub fn frame(&self) -> usize {
        self.next.unwrap_or(0)
    }

    /// Looks at one frame.
    pub fn step(&mut self, timeline: &mut Timeline) -> Found {
        let Some(frame) = self.next.filter(|frame| *frame < timeline.frames()) else {
            return self.end();
        };
        let from = self.from.take();
        self.next = match self.forward {
            true => Some(frame + 1),
            false => frame.checked_sub(1),
        };
        if !timeline.may_have_spike(frame) {
            return match self.found {
                Some((_, at)) => Found::At(at),
                None => Found::NotYet,
            };
        }
        let decoded = timeline.decode(frame);
        let samples = decoded.samples.iter().enumerate();
        let place = |sample| Position { frame, sample };
        if self.forward {
            for (n, sample) in samples.filter(|(n, _)| from.is_none_or(|from| *n > from)) {
                if ids(sample).any(|id| !self.known.contains(&id)) {
                    return Found::At(place(n));
                }
            }
            return Found::NotYet;
        }
        for (n, sample) in samples
            .rev()
            .filter(|(n, _)| from.is_none_or(|from| *n < from))
        {
            match &mut self.found {
                Some((id, at)) if ids(sample).any(|other| other == *id) => *at = place(n),
                Some((_, at)) => return Found::At(*at),
                None => {
                    let other = ids(sample).find(|id| !self.known.contains(id));
                    self.found = other.map(|id| (id, place(n)));
                }
            }
        }
        Found::NotYet
    }

    fn end(&self) -> Found {
        self.found.map_or(Found::Nothing, |(_, at)| Found::At(at))
    }
}
