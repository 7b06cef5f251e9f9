//! The last intervals of each row, for its graph and its position in the table.

use std::collections::{HashMap, VecDeque};

use iotop_common::Class;

use super::{
    recent::{Interval, Movement},
    rows::RowKey,
    settings::Graph,
};
use crate::view::{OnDevice, Row};

/// Number of intervals kept for each row.
pub const LENGTH: usize = 60;
/// Weight of an interval, relative to the next one, when rows are ordered. The weight
/// of a burst halves in two intervals, so a task that flushes every few seconds keeps
/// its position.
const FADING: f64 = 0.7;

/// One interval of a row: the values that each [`Graph`] shows and that rows are
/// ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Point {
    caused: u64,
    read: u64,
    dirtied: u64,
    io: u64,
    unowned: u64,
    for_others: u64,
}

impl Point {
    fn own(&self) -> u64 {
        [self.caused, self.read, self.dirtied, self.unowned]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

/// The histories of the rows that did anything lately.
#[derive(Debug, Default)]
pub struct Histories {
    rows: HashMap<RowKey, VecDeque<Point>>,
}

impl Histories {
    /// Builds the histories of other rows than before from the last minute's movements.
    /// `rows` returns the row that owns a movement and the row that submitted it.
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
                let [owner, submitter] = rows(movement);
                let mut add = |key: RowKey, to: fn(&mut Point) -> &mut u64| {
                    let points = histories.rows.entry(key);
                    let points =
                        points.or_insert_with(|| vec![Point::default(); intervals.len()].into());
                    *to(&mut points[at]) += movement.bytes;
                };
                if let Some(row) = &submitter
                    && submitter != owner
                    && movement.class != Class::Read
                {
                    add(row.clone(), |point| &mut point.for_others);
                }
                let Some(row) = owner else { continue };
                match (movement.class, &movement.owner) {
                    (Class::Read, _) => add(row, |point| &mut point.read),
                    (_, Some(_)) => add(row, |point| &mut point.caused),
                    (_, None) => add(row, |point| &mut point.unowned),
                }
            }
        }
        histories
    }

    /// Starts an interval with zeros for every row.
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

    /// Records what the rows did in the last interval.
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

    /// How much a row moves, recent intervals weighted most. The first value is the
    /// larger of its own bytes and those submitted for others, the second its own
    /// bytes.
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

    /// The last `length` intervals, oldest first; fewer if fewer are known.
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
    let unattributed = row.group().and_then(|group| group.unattributed);
    Point {
        caused: block.caused(),
        read: row.stats().read_bytes.unwrap_or(block.read),
        dirtied: row.stats().write_bytes.unwrap_or(0),
        io: row.stats().blkio_delay_ns.unwrap_or(0),
        unowned: unattributed.map_or(0, |part| part.in_total()),
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
    fn a_row_that_is_gone_gets_zeros_and_is_forgotten_when_only_zeros_are_left() {
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
