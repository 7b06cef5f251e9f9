//! The rows on the screen, and what each of them is.

use std::{collections::HashMap, sync::Arc};

use super::{
    branch::Branch,
    fold::Fold,
    history::Histories,
    rows::RowKey,
    settings::Graph,
    whom::{Whom, WhomOf},
};
use crate::{
    sample::{Sample, Task},
    view::Row,
};

/// The rows of a screen.
#[derive(Debug)]
pub struct Shown {
    /// The sample as it is shown.
    pub sample: Arc<Sample>,
    /// Its rows in their order.
    pub rows: Vec<ShownRow>,
    /// Tasks that have one row together.
    pub(super) folds: Vec<Fold>,
    /// The rows of the tree that have others below them.
    pub(super) branches: HashMap<At, Branch>,
    /// The totals, if both rates and totals are shown.
    pub(super) totals: Option<(Arc<Sample>, HashMap<RowKey, usize>)>,
    /// For each task, whose data it submitted last.
    pub whom: WhomOf,
}

/// One row.
#[derive(Clone, Debug)]
pub struct ShownRow {
    pub(super) at: At,
    /// The lines of the tree before its name; see [`crate::tui::state::tree::Line`].
    pub lines: Vec<bool>,
    /// Number of rows of its closed branch, which are not shown.
    pub hidden: usize,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// This task or group of the sample.
    Row(usize),
    /// This fold.
    Fold(usize),
}

impl Shown {
    /// A row.
    pub fn row(&self, row: &ShownRow) -> Row<'_> {
        match row.at {
            At::Row(at) => row_at(&self.sample, at),
            At::Fold(at) => Row::Group(&self.folds[at].group),
        }
    }

    /// The row whose figures are shown: the sum of its branch if other rows are below it.
    pub fn figures(&self, row: &ShownRow) -> Row<'_> {
        self.figures_at(row.at)
    }

    pub(super) fn figures_at(&self, at: At) -> Row<'_> {
        match (self.branches.get(&at), at) {
            (Some(branch), _) => Row::Group(&branch.group),
            (None, At::Row(at)) => row_at(&self.sample, at),
            (None, At::Fold(at)) => Row::Group(&self.folds[at].group),
        }
    }

    /// Whether a row shows the sum of its branch.
    pub fn is_branch(&self, row: &ShownRow) -> bool {
        self.branches.contains_key(&row.at)
    }

    /// A row's identity.
    pub fn key(&self, row: &ShownRow) -> RowKey {
        match row.at {
            At::Row(at) => RowKey::of(row_at(&self.sample, at)),
            At::Fold(at) => self.folds[at].key.clone(),
        }
    }

    /// The tasks of a fold; `None` if the row is none.
    pub fn folded(&self, row: &ShownRow) -> Option<impl Iterator<Item = &Task> + Clone> {
        let At::Fold(at) = row.at else { return None };
        let members = self.folds[at].members.iter();
        Some(members.map(|at| &*self.sample.tasks[*at]))
    }

    /// Whether a row is a fold.
    pub fn is_fold(&self, row: &ShownRow) -> bool {
        matches!(row.at, At::Fold(_))
    }

    /// The fold that a row is, or is part of.
    pub fn fold_of(&self, row: &ShownRow) -> Option<&RowKey> {
        let of = |fold: &&Fold| match row.at {
            At::Fold(at) => std::ptr::eq(*fold, &self.folds[at]),
            At::Row(at) => self.sample.groups.is_none() && fold.members.contains(&at),
        };
        self.folds.iter().find(of).map(|fold| &fold.key)
    }

    /// Whose data the row's task submitted last.
    pub fn whom(&self, row: &ShownRow) -> Option<&Whom> {
        self.whom.of(self.row(row).task()?)
    }

    /// The totals of the same row, if both rates and totals are shown.
    pub fn totals(&self, row: &ShownRow) -> Option<Row<'_>> {
        if let Some(branch) = self.branches.get(&row.at) {
            return branch.totals.as_ref().map(Row::Group);
        }
        if let At::Fold(at) = row.at {
            return self.folds[at].totals.as_ref().map(Row::Group);
        }
        let (sample, places) = self.totals.as_ref()?;
        let at = places.get(&RowKey::of(self.row(row)))?;
        Some(row_at(sample, *at))
    }

    /// The position of a row.
    pub fn place(&self, key: &RowKey) -> Option<usize> {
        self.rows.iter().position(|row| self.key(row) == *key)
    }

    /// The task or group that a row is, or the first task of a fold.
    pub(super) fn first(&self, at: At) -> usize {
        match at {
            At::Row(at) => at,
            At::Fold(at) => self.folds[at].members[0],
        }
    }

    /// The task or group that a row is, or the tasks of a fold.
    pub(super) fn own(&self, at: At) -> impl Iterator<Item = usize> {
        let (one, several) = match at {
            At::Row(at) => (Some(at), &[][..]),
            At::Fold(at) => (None, &self.folds[at].members[..]),
        };
        one.into_iter().chain(several.iter().copied())
    }

    /// The tasks or the group whose figures a row shows.
    pub(super) fn keys(&self, at: At) -> impl Iterator<Item = RowKey> {
        let branch = self.branches.get(&at);
        let all = branch.into_iter().flat_map(|branch| branch.members.iter());
        let own = self.own(at).filter(move |_| branch.is_none());
        let all = all.copied().chain(own);
        all.map(|at| RowKey::of(row_at(&self.sample, at)))
    }

    /// The histories of a row, added up if it is a fold or a branch.
    pub fn history(
        &self,
        row: &ShownRow,
        histories: &Histories,
        graph: Graph,
        length: usize,
    ) -> Vec<u64> {
        let mut sums: Vec<u64> = Vec::new();
        for key in self.keys(row.at) {
            let values = histories.of(&key, graph, length);
            let missing = values.len().saturating_sub(sums.len());
            sums.splice(0..0, std::iter::repeat_n(0, missing));
            // The newest is last in both.
            for (sum, value) in sums.iter_mut().rev().zip(values.iter().rev()) {
                *sum = sum.saturating_add(*value);
            }
        }
        sums
    }
}

pub(super) fn row_at(sample: &Sample, at: usize) -> Row<'_> {
    match &sample.groups {
        Some(groups) => Row::Group(&groups[at]),
        None => Row::Task(&sample.tasks[at]),
    }
}
