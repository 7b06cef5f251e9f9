//! What each row did in the last intervals, for its graph and its place.

use std::collections::{HashMap, VecDeque};

use iotop_common::Class;

use super::{
    recent::{Interval, Movement},
    rows::RowKey,
    settings::Graph,
};
use crate::view::{OnDevice, Row};

/// How many intervals are remembered.
pub const LENGTH: usize = 60;
/// What an interval counts for a row's place, beside the one after it: a burst
/// is halved in two intervals, so that who flushes every few seconds stays.
const FADING: f64 = 0.7;

/// One interval of a row: what each [`Graph`] shows, and what it is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Point {
    caused: u64,
    read: u64,
    dirtied: u64,
    io: u64,
    nobodys: u64,
    for_others: u64,
}

impl Point {
    fn own(&self) -> u64 {
        [self.caused, self.read, self.dirtied, self.nobodys]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// The rows that did anything lately.
#[derive(Debug, Default)]
pub struct Histories {
    rows: HashMap<RowKey, VecDeque<Point>>,
}

impl Histories {
    /// Of other rows than before, as far as the last minute's movements tell:
    /// `rows` says whose a movement is, and who submitted it.
    pub fn rebuilt<'a>(
        intervals: impl Iterator<Item = &'a Interval>,
        device: Option<&OnDevice>,
        rows: impl Fn(&Movement) -> [Option<RowKey>; 2],
    ) -> Histories {
        let mut histories = Histories::default();
        let intervals: Vec<_> = intervals.collect();
        let intervals = &intervals[intervals.len().saturating_sub(LENGTH)..];
        for (at, interval) in intervals.iter().enumerate() {
            for movement in interval.movements.iter().filter(|m| m.is_on(device)) {
                let [whose, submitter] = rows(movement);
                let mut add = |key: RowKey, to: fn(&mut Point) -> &mut u64| {
                    let points = histories.rows.entry(key);
                    let points =
                        points.or_insert_with(|| vec![Point::default(); intervals.len()].into());
                    *to(&mut points[at]) += movement.bytes;
                };
                if let Some(row) = &submitter
                    && submitter != whose
                    && movement.class != Class::Read
                {
                    add(row.clone(), |point| &mut point.for_others);
                }
                let Some(row) = whose else { continue };
                match (movement.class, &movement.owner) {
                    (Class::Read, _) => add(row, |point| &mut point.read),
                    (_, Some(_)) => add(row, |point| &mut point.caused),
                    (_, None) => add(row, |point| &mut point.nobodys),
                }
            }
        }
        histories
    }

    /// Another interval, in which no row did anything so far.
    pub fn step(&mut self) {
        for points in self.rows.values_mut() {
            points.push_back(Point::default());
            if points.len() > LENGTH {
                points.pop_front();
            }
        }
        let quiet = |points: &VecDeque<Point>| points.iter().all(|p| *p == Point::default());
        self.rows.retain(|_, points| !quiet(points));
    }

    /// What the rows did in the last interval.
    pub fn set<'a>(&mut self, rows: impl Iterator<Item = Row<'a>>) {
        for row in rows {
            let point = point(row);
            if point == Point::default() {
                continue;
            }
            let points = self.rows.entry(RowKey::of(row));
            let points = points.or_insert_with(|| [Point::default()].into());
            if let Some(last) = points.back_mut() {
                *last = point;
            }
        }
    }

    /// Whether the row did anything lately.
    pub fn has(&self, key: &RowKey) -> bool {
        self.rows.contains_key(key)
    }

    /// How much a row moves, the last interval above those before: all, and
    /// for itself.
    pub fn moves(&self, key: &RowKey) -> (u64, u64) {
        let Some(points) = self.rows.get(key) else {
            return (0, 0);
        };
        let sum = |of: fn(&Point) -> u64| {
            let fade = |sum: f64, point: &Point| sum * FADING + of(point) as f64;
            points.iter().fold(0.0, fade) as u64
        };
        (
            sum(|point| point.own().max(point.for_others)),
            sum(Point::own),
        )
    }

    /// The rows that did anything lately.
    pub fn keys(&self) -> impl Iterator<Item = &RowKey> {
        self.rows.keys()
    }

    /// The last so many intervals, oldest first; fewer where no more are known.
    pub fn of(&self, key: &RowKey, graph: Graph, length: usize) -> Vec<u64> {
        let value = |point: &Point| match graph {
            Graph::Caused => point.caused,
            Graph::Read => point.read,
            Graph::Dirtied => point.dirtied,
            Graph::Io => point.io,
            Graph::Off => 0,
        };
        let Some(points) = self.rows.get(key) else {
            return Vec::new();
        };
        let from = points.len().saturating_sub(length);
        points.range(from..).map(value).collect()
    }
}

fn point(row: Row<'_>) -> Point {
    let block = row.block().copied().unwrap_or_default();
    let nobodys = row.group().and_then(|group| group.unattributed);
    Point {
        caused: block.write() + block.write_shared,
        read: row.stats().read_bytes.unwrap_or(block.read),
        dirtied: row.stats().write_bytes.unwrap_or(0),
        io: row.stats().blkio_delay_ns.unwrap_or(0),
        nobodys: nobodys.map_or(0, |part| part.in_total()),
        for_others: block.submitted_for_others,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{golden, sample::SharedTask};

    fn add(histories: &mut Histories, tasks: &[SharedTask]) {
        histories.step();
        histories.set(tasks.iter().map(|task| Row::Task(task)));
    }

    #[test]
    fn a_row_that_is_gone_has_zeros_and_is_forgotten_when_it_has_nothing_else() {
        let mut histories = Histories::default();
        let tasks = golden::sample().tasks;
        let dd = RowKey::Task(tasks[0].key());
        add(&mut histories, &tasks);
        add(&mut histories, &[]);
        assert_eq!(histories.of(&dd, Graph::Caused, 9), [256 << 20, 0]);
        assert_eq!(histories.of(&dd, Graph::Read, 1), [0]);
        assert!(
            !histories.has(&RowKey::Task(tasks[2].key())),
            "an idle task"
        );
        for _ in 0..LENGTH {
            add(&mut histories, &[]);
        }
        assert!(!histories.has(&dd));
    }
}
