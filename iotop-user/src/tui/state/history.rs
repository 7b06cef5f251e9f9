//! The last intervals of each row, for its graph and its position in the table.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use iotop_common::Class;

use super::{
    recent::{Interval, Movement, Person},
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

/// What a row can be of.
pub enum Of<'a> {
    /// A task.
    Task(&'a Person),
    /// A movement's device or file, if rows are devices or files.
    Place(&'a Movement),
}

/// The histories of the rows that did anything lately.
#[derive(Debug, Default)]
pub struct Histories {
    rows: HashMap<RowKey, VecDeque<Point>>,
}

impl Histories {
    /// Builds the histories of other rows than before from the last minute.
    pub fn rebuilt<'a>(
        intervals: impl Iterator<Item = &'a Interval>,
        device: Option<&OnDevice>,
        row: impl Fn(Of<'_>) -> Option<RowKey>,
    ) -> Histories {
        let mut histories = Histories::default();
        let intervals: Vec<_> = intervals.collect();
        let intervals = &intervals[intervals.len().saturating_sub(LENGTH)..];
        for (at, interval) in intervals.iter().enumerate() {
            let mut add = |key: RowKey, to: fn(&mut Point) -> &mut u64, bytes: u64| {
                let points = histories.rows.entry(key);
                let points =
                    points.or_insert_with(|| vec![Point::default(); intervals.len()].into());
                *to(&mut points[at]) += bytes;
            };
            for counted in &interval.counted {
                if let Some(row) = row(Of::Task(&counted.task)) {
                    add(row.clone(), |point| &mut point.read, counted.read);
                    add(row.clone(), |point| &mut point.dirtied, counted.dirtied);
                    add(row, |point| &mut point.io, counted.io);
                }
            }
            for movement in interval.movements.iter().filter(|m| m.is_on(device)) {
                let person = |person: &Option<Arc<Person>>| row(Of::Task(person.as_deref()?));
                let place = row(Of::Place(movement));
                let is_place = place.is_some();
                let owner = place.or_else(|| person(&movement.owner));
                if let Some(row) = person(&movement.submitter)
                    && Some(&row) != owner.as_ref()
                    && movement.owner.is_some()
                    && movement.class != Class::Read
                {
                    add(row, |point| &mut point.for_others, movement.bytes);
                }
                let Some(row) = owner else { continue };
                let to: fn(&mut Point) -> &mut u64 = match (movement.class, &movement.owner) {
                    // Tasks have counters of what they read.
                    (Class::Read, _) if !is_place => continue,
                    (Class::Read, _) => |point| &mut point.read,
                    (_, Some(_)) => |point| &mut point.caused,
                    (_, None) => |point| &mut point.unowned,
                };
                add(row, to, movement.bytes);
            }
        }
        histories
    }

    /// Puts the older points of the same tasks before those that were rebuilt: with long
    /// intervals, more are known than the last minute has.
    pub fn with_older(mut self, before: &Histories) -> Histories {
        for (key, points) in &before.rows {
            if !matches!(key, RowKey::Task(_)) {
                continue;
            }
            match self.rows.get_mut(key) {
                Some(new) => {
                    let older = points.len().saturating_sub(new.len());
                    for point in points.range(..older).rev() {
                        new.push_front(*point);
                    }
                }
                None => {
                    self.rows.insert(key.clone(), points.clone());
                }
            }
        }
        self
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
