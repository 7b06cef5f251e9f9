//! The order of the rows: sorted, folded, and below their parents in a tree.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    branch::{above, branches},
    fold::{added, folds},
    history::Histories,
    rows::{RowKey, Show},
    settings::Figures,
    shown::{At, Shown, ShownRow, row_at},
    tree::{Line, tree},
};
use crate::{
    sample::TaskBlock,
    view::{fields::Kind, sort},
};

impl Show<'_> {
    /// Puts the rows in order. Tasks of a fold are below it if it is open, else not shown.
    pub fn order(&self, shown: &mut Shown, histories: &Histories) {
        let sample = Arc::clone(&shown.sample);
        shown.folds = match sample.groups {
            Some(_) => Vec::new(),
            None => folds(&sample.tasks),
        };
        if let Some((totals, places)) = &shown.totals {
            for fold in &mut shown.folds {
                let keys = fold.members.iter().map(|at| sample.tasks[*at].key());
                let known = keys.filter_map(|key| places.get(&RowKey::Task(key)));
                let tasks = known.map(|at| &*totals.tasks[*at]);
                fold.totals = Some(added(&fold.key, tasks));
            }
        }
        let mut order = self.folded(shown);
        let above = match self.has_tree() {
            true => above(shown, &order),
            false => HashMap::new(),
        };
        shown.branches = branches(shown, &order, &above);
        self.sort(shown, histories, &mut order);
        let lines = tree(&order, &above);
        shown.rows = Vec::with_capacity(lines.len());
        for Line { at, lines } in lines {
            shown.rows.push(ShownRow {
                at,
                lines: lines.clone(),
                hidden: 0,
            });
            let At::Fold(at) = at else { continue };
            let fold = &shown.folds[at];
            if !self.open.contains(&fold.key) {
                continue;
            }
            let mut members: Vec<At> = fold.members.iter().copied().map(At::Row).collect();
            self.sort(shown, histories, &mut members);
            let last = members.len() - 1;
            let below = members.into_iter().enumerate().map(|(n, at)| ShownRow {
                at,
                lines: [&lines[..], &[n != last]].concat(),
                hidden: 0,
            });
            shown.rows.extend(below.collect::<Vec<_>>());
        }
        if self.has_tree() && !self.closed.is_empty() {
            self.close(shown);
        }
    }

    /// Leaves out what is below the closed rows of the tree.
    fn close(&self, shown: &mut Shown) {
        let mut open: Vec<ShownRow> = Vec::with_capacity(shown.rows.len());
        let mut closed = None;
        for row in std::mem::take(&mut shown.rows) {
            match (closed, open.last_mut()) {
                (Some(depth), Some(last)) if row.lines.len() > depth => {
                    last.hidden += 1;
                    continue;
                }
                _ => {}
            }
            let is_closed = self.closed.contains(&shown.key(&row));
            closed = is_closed.then_some(row.lines.len());
            open.push(row);
        }
        shown.rows = open;
    }

    /// The rows without order: the folds, and the tasks or groups that are in none.
    fn folded(&self, shown: &Shown) -> Vec<At> {
        let members = shown.folds.iter().flat_map(|fold| &fold.members);
        let members: HashSet<usize> = members.copied().collect();
        let rows = 0..sort::rows(&shown.sample).len();
        let alone = rows.filter(|at| !members.contains(at)).map(At::Row);
        let folds = (0..shown.folds.len()).map(At::Fold);
        alone.chain(folds).collect()
    }

    fn sort(&self, shown: &Shown, histories: &Histories, order: &mut [At]) {
        let row = |at: &At| shown.figures_at(*at);
        // What identifies a fold's tasks is that of the first one.
        let identity = |at: &At| sort::identity(row_at(&shown.sample, shown.first(*at)));
        match &self.settings.sort {
            Some(key) if key.field.is_of(self.settings.group_by.by()) => {
                let of_one = matches!(key.field.kind, Kind::Word | Kind::Id);
                let row = |at: &At| match of_one {
                    true => row_at(&shown.sample, shown.first(*at)),
                    false => row(at),
                };
                order.sort_by(|a, b| sort::compare(row(a), row(b), key));
            }
            // Totals put first what caused most since they are counted.
            _ if self.settings.figures == Figures::Totals => {
                order.sort_by_key(|at| {
                    let caused = row(at).block().map(TaskBlock::caused);
                    let most = caused.or(row(at).stats().write_bytes).unwrap_or(0);
                    let most = [most, sort::weight(row(at))].map(std::cmp::Reverse);
                    (most, identity(at))
                });
            }
            // The default order puts a flusher next to the tasks whose data it writes,
            // and keeps a task in place that moves something every few seconds.
            _ => order.sort_by_cached_key(|at| {
                let moves = shown.keys(*at).map(|key| histories.moves(&key));
                let (most, own) = moves.fold((0, 0), |(a, b): (u64, u64), (most, own)| {
                    (a.saturating_add(most), b.saturating_add(own))
                });
                let pending = row(at).block().and_then(|block| block.dirty_pending);
                let most = [most, own, pending.unwrap_or(0)].map(std::cmp::Reverse);
                (most, identity(at))
            }),
        }
    }
}
