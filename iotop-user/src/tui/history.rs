//! What each row did in the last intervals, for its graph.

use std::collections::{HashMap, VecDeque};

use super::{rows::RowKey, settings::Graph};
use crate::output::Row;

/// How many intervals are remembered.
pub const LENGTH: usize = 60;

/// One interval of a row: what each [`Graph`] shows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Point {
    caused: u64,
    read: u64,
    dirtied: u64,
    io: u64,
}

/// The rows that did anything lately.
#[derive(Debug, Default)]
pub struct Histories {
    rows: HashMap<RowKey, VecDeque<Point>>,
}

impl Histories {
    /// Takes in an interval. A row that is not there did nothing.
    pub fn add<'a>(&mut self, rows: impl Iterator<Item = (RowKey, Row<'a>)>) {
        for points in self.rows.values_mut() {
            points.push_back(Point::default());
            if points.len() > LENGTH {
                points.pop_front();
            }
        }
        for (key, row) in rows {
            let point = point(row);
            if point == Point::default() {
                continue;
            }
            let points = self
                .rows
                .entry(key)
                .or_insert_with(|| [Point::default()].into());
            if let Some(last) = points.back_mut() {
                *last = point;
            }
        }
        let quiet = |points: &VecDeque<Point>| points.iter().all(|p| *p == Point::default());
        self.rows.retain(|_, points| !quiet(points));
    }

    /// Whether the row did anything lately.
    pub fn has(&self, key: &RowKey) -> bool {
        self.rows.contains_key(key)
    }

    /// All that a row moved lately, in bytes.
    pub fn moved(&self, key: &RowKey) -> u64 {
        let sum = |point: &Point| point.caused.saturating_add(point.read);
        let points = self.rows.get(key).into_iter().flatten();
        points.map(sum).fold(0, u64::saturating_add)
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
    Point {
        caused: block.write() + block.write_shared,
        read: row.stats().read_bytes.unwrap_or(block.read),
        dirtied: row.stats().write_bytes.unwrap_or(0),
        io: row.stats().blkio_delay_ns.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{collect::Task, output::golden};

    fn add(histories: &mut Histories, tasks: &[Task]) {
        let rows = tasks
            .iter()
            .map(|task| (RowKey::Task(task.key()), Row::Task(task)));
        histories.add(rows);
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
