//! Turns a sample into the rows on the screen: selected, grouped and ordered as the
//! user wants.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    gone::Gone,
    history::{Histories, Of},
    recent::{Movement, Person, Recent},
    settings::{Figures, Settings},
    shown::Shown,
    tree::with_ancestors,
    whom::WhomOf,
};
use crate::{
    cli::GroupBy,
    collect::{Chosen, processes::processes, select::of_wanted},
    host::devices::DeviceNames,
    sample::{Group, Sample, SharedTask, Task, TaskBlock, TaskKey, Unattributed},
    view::{By, Filter, OnDevice, Row, Steps, command_name, launched_name, sort},
};

/// Identifies a row from one interval to the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// A thread, or a process by its leader.
    Task(TaskKey),
    /// A group by its name.
    Group(Option<Arc<str>>),
    /// The exited tasks of a parent that have this name.
    Fold(u32, Arc<str>),
}

impl RowKey {
    /// The key of a row.
    pub fn of(row: Row<'_>) -> RowKey {
        match row {
            Row::Task(task) => RowKey::Task(task.key()),
            Row::Group(group) => RowKey::Group(group.name.clone()),
        }
    }

    /// The key of the task or group that a person is or belongs to. `None` for a
    /// process, whose key is its leader's and not known here, and for a device or file,
    /// which has no members.
    pub fn of_person(person: &Person, by: GroupBy) -> Option<RowKey> {
        let group = match by {
            GroupBy::Thread => return Some(RowKey::Task(person.key)),
            GroupBy::Process | GroupBy::Device | GroupBy::File => return None,
            GroupBy::Command => {
                let command = command_name(&person.program, person.kthread);
                return Some(RowKey::Group(Some(command)));
            }
            GroupBy::Parents => {
                let parents = person.parents.as_deref();
                let name = launched_name(&person.program, person.kthread, parents);
                return Some(RowKey::Group(Some(name)));
            }
            GroupBy::User => &person.user,
            GroupBy::Cgroup => &person.cgroup,
            GroupBy::Unit => &person.unit,
            GroupBy::Container => &person.container,
        };
        Some(RowKey::Group(group.clone()))
    }

    /// The key of a movement's device or file, if rows are devices or files.
    pub fn of_place(movement: &Movement, by: GroupBy) -> Option<RowKey> {
        let place = match by {
            GroupBy::Device => Some(&movement.device_name),
            GroupBy::File => movement.file.as_ref(),
            _ => None,
        };
        Some(RowKey::Group(Some(place?.clone())))
    }
}

/// The part of the machine that is shown. Unlike the settings, it is not saved.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Only these processes; empty: all.
    pub pids: Vec<Chosen>,
    /// Only these users' tasks; empty: all.
    pub uids: Vec<u32>,
    /// Only tasks whose command matches.
    pub filter: Option<Filter>,
    /// Only these devices' I/O.
    pub device: Option<OnDevice>,
}

impl Scope {
    /// Follows the chosen processes through an interval. Returns those that ended in it.
    pub fn follow(&mut self, sample: &Sample) -> Vec<u32> {
        let ended = self.pids.iter_mut().filter_map(|chosen| {
            let ended = chosen.follow(sample);
            ended.then_some(chosen.pid)
        });
        ended.collect()
    }
}

/// What is needed to build rows from a sample.
pub struct Show<'a> {
    /// How rows are shown.
    pub settings: &'a Settings,
    /// Which tasks and devices are shown.
    pub scope: &'a Scope,
    /// The tasks that have exited lately.
    pub gone: &'a Gone,
    /// The last minute's movements.
    pub recent: &'a Recent,
    /// The devices' names.
    pub devices: &'a mut DeviceNames,
    /// The folds that are open.
    pub open: &'a HashSet<RowKey>,
    /// The rows whose branches of the tree are closed.
    pub closed: &'a HashSet<RowKey>,
}

impl Show<'_> {
    /// Selects and groups what is shown: the interval, or the totals if only those are
    /// shown. There are no rows until [`Show::order`] sorts it.
    pub fn look(
        &mut self,
        interval: &Arc<Sample>,
        totals: Option<&Arc<Sample>>,
        histories: &Histories,
    ) -> Shown {
        let figures = self.settings.figures;
        let sample = match (figures, totals) {
            (Figures::Totals, Some(totals)) => self.seen(totals, histories),
            _ => self.seen(interval, histories),
        };
        let totals = totals.filter(|_| figures == Figures::Both).map(|totals| {
            let sample = self.seen(totals, histories);
            let keys = sort::rows(&sample).into_iter().map(RowKey::of);
            let places = keys.zip(0..).collect();
            (sample, places)
        });
        let whom = match sample.groups {
            Some(_) => WhomOf::default(),
            None => {
                let processes = self.settings.group_by == GroupBy::Process;
                WhomOf::new(self.recent, self.scope.device.as_ref(), processes)
            }
        };
        Shown {
            rows: Vec::new(),
            folds: Vec::new(),
            branches: HashMap::new(),
            sample,
            totals,
            whom,
        }
    }

    /// Builds the histories of a sample's rows from the last minute.
    pub fn histories(&self, sample: &Sample) -> Histories {
        let by = self.settings.group_by;
        let leaders: HashMap<u32, TaskKey> = match by {
            GroupBy::Process => sample.tasks.iter().map(|t| (t.tid, t.key())).collect(),
            _ => HashMap::new(),
        };
        let whole = self.is_whole();
        let is_in = |person: &Person| whole || person.is_in(self.scope);
        let row = |of: Of<'_>| match (of, by) {
            // A process is in the scope if its leader is, and it has a row then.
            (Of::Task(person), GroupBy::Process) => {
                leaders.get(&person.pid).copied().map(RowKey::Task)
            }
            (Of::Task(person), by) if is_in(person) => RowKey::of_person(person, by),
            (Of::Task(_), _) => None,
            (Of::Place(movement), by) => {
                let owner = movement.owner.as_deref();
                let seen = whole || owner.is_some_and(is_in);
                RowKey::of_place(movement, by).filter(|_| seen)
            }
        };
        let intervals = self.recent.intervals_by(by);
        Histories::rebuilt(intervals, self.scope.device.as_ref(), row)
    }

    /// Whether the scope leaves no task out.
    fn is_whole(&self) -> bool {
        let Scope {
            pids, uids, filter, ..
        } = self.scope;
        pids.is_empty() && uids.is_empty() && filter.is_none()
    }

    /// The part of a sample that is shown. If that is all of it, the sample is shared:
    /// a copy may hold ten thousand tasks.
    fn seen(&mut self, all: &Arc<Sample>, histories: &Histories) -> Arc<Sample> {
        let mut sample = Arc::clone(all);
        let Settings {
            group_by,
            only,
            exited,
            ..
        } = *self.settings;
        let Scope {
            pids, uids, filter, ..
        } = self.scope;
        let by = group_by.by();
        // Tasks that exited earlier do nothing any more.
        if exited && by.is_none() && !only {
            let missing = self.gone.missing(&sample);
            if !missing.is_empty() {
                Arc::make_mut(&mut sample)
                    .tasks
                    .extend(missing.into_iter().map(SharedTask::from));
            }
        }
        if !pids.is_empty() || !uids.is_empty() {
            of_wanted(Arc::make_mut(&mut sample), pids, uids);
        }
        if group_by == GroupBy::Process {
            let leader = |pid| {
                let leader = all.tasks.iter().find(|task| task.tid == pid)?;
                Some(Task::clone(leader))
            };
            processes(Arc::make_mut(&mut sample), leader);
        }
        let is_here = |task: &Task| !task.exited || task.did_io() || task.has_dirty_pages();
        if !exited && !sample.tasks.iter().all(|task| is_here(task)) {
            Arc::make_mut(&mut sample).keep_tasks(is_here);
        }
        if only {
            self.only(Arc::make_mut(&mut sample));
        }
        let steps = Steps {
            devices: self.scope.device.as_ref().map(|device| &device.numbers[..]),
            filter: filter.as_ref(),
            by,
        };
        if steps.any() {
            let whole = self.is_whole();
            let sample = Arc::make_mut(&mut sample);
            steps.apply(sample, whole, self.devices);
            match by.filter(|by| by.is_of_facts()) {
                Some(by) if !only => self.put_back(by, whole, histories, sample),
                _ => {}
            }
        }
        sample
    }

    /// Adds rows for devices and files that were read or written lately, so that they
    /// stay in view for a while. If the scope leaves tasks out, only rows that were in
    /// view are added.
    fn put_back(&self, by: By, whole: bool, histories: &Histories, sample: &mut Sample) {
        let Some(groups) = &mut sample.groups else {
            return;
        };
        let mut missing: HashSet<Arc<str>> = match whole {
            true => self.recent.names(by),
            false => HashSet::new(),
        };
        missing.extend(histories.keys().filter_map(|key| match key {
            RowKey::Group(name) => name.clone(),
            RowKey::Task(_) | RowKey::Fold(..) => None,
        }));
        for group in groups.iter() {
            if let Some(name) = &group.name {
                missing.remove(name);
            }
        }
        groups.extend(missing.into_iter().map(|name| Group {
            name: Some(name),
            block: Some(TaskBlock::default()),
            unattributed: whole.then(Unattributed::default),
            ..Group::default()
        }));
    }

    /// Keeps only tasks that do I/O or have dirty pages. Groups then have no other members.
    fn only(&self, sample: &mut Sample) {
        let active = |task: &Task| task.did_io() || task.has_dirty_pages();
        if self.has_tree() {
            let keep = with_ancestors(&sample.tasks, active);
            sample.retain_tasks(&keep);
        } else {
            // Rows of commands are named by the leaders of their processes.
            let leaders: HashSet<u32> = match self.settings.group_by {
                GroupBy::Command | GroupBy::Parents => {
                    let active = sample.tasks.iter().filter(|task| active(task));
                    active.map(|task| task.pid).collect()
                }
                _ => HashSet::new(),
            };
            sample.keep_tasks(|task| active(task) || leaders.contains(&task.tid));
        }
    }

    pub(super) fn has_tree(&self) -> bool {
        self.settings.tree && self.settings.group_by.by().is_none()
    }
}

/// Which rows to ask the collector for, so that these settings can be applied to its
/// samples.
pub fn wanted_rows(settings: &Settings) -> crate::collect::Rows {
    use crate::collect::Rows;
    let of_facts = settings.group_by.by().is_some_and(By::is_of_facts);
    if of_facts || settings.only && !settings.tree {
        Rows::Disk
    } else {
        Rows::All
    }
}

/// TID and start time of the threads of a row: of the task, or of its whole process if
/// rows are processes. Exited threads are left out.
pub fn tids(sample: &Sample, task: &Task, processes: bool) -> HashSet<(u32, u64)> {
    let of = |other: &&SharedTask| match processes {
        true => other.pid == task.pid,
        false => other.key() == task.key(),
    };
    let threads = sample.tasks.iter().filter(of).filter(|other| !other.exited);
    threads
        .map(|task| (task.tid, task.start_boottime))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::golden;

    fn shown(settings: &Settings, scope: &Scope) -> Shown {
        let mut devices = DeviceNames::new(Path::new("/nonexistent"));
        let sample = golden::sample();
        let mut recent = Recent::default();
        recent.add(&sample, &mut devices, false);
        let mut show = Show {
            settings,
            scope,
            gone: &Gone::default(),
            recent: &recent,
            devices: &mut devices,
            open: &HashSet::new(),
            closed: &HashSet::new(),
        };
        let sample = Arc::new(sample);
        let mut histories = Histories::default();
        let mut shown = show.look(&sample, Some(&sample), &histories);
        histories.set(sort::rows(&shown.sample).into_iter());
        show.order(&mut shown, &histories);
        shown
    }

    fn tids(settings: &Settings, scope: &Scope) -> Vec<u32> {
        let shown = shown(settings, scope);
        let tid = |row| shown.row(row).task().map(|task| task.tid);
        shown.rows.iter().filter_map(tid).collect()
    }

    #[test]
    fn scope_and_settings_choose_the_rows() {
        let all = Settings::default();
        assert_eq!(tids(&all, &Scope::default()), [1200, 77, 900, 901, 666, 80]);
        let only = Settings {
            only: true,
            ..Settings::default()
        };
        assert_eq!(tids(&only, &Scope::default()), [1200, 77, 900, 901, 666]);
        // A TID selects the whole process.
        let mut scope = Scope {
            pids: vec![Chosen::new(901)],
            ..Scope::default()
        };
        scope.follow(&golden::sample());
        assert_eq!(tids(&all, &scope), [900, 901]);
        let filter = Scope {
            filter: "^dd$".parse().ok(),
            ..Scope::default()
        };
        assert_eq!(tids(&all, &filter), [1200]);
        let by_pid = Settings {
            sort: "+pid".parse().ok(),
            group_by: GroupBy::Process,
            ..Settings::default()
        };
        assert_eq!(tids(&by_pid, &Scope::default()), [77, 80, 666, 900, 1200]);
    }

    #[test]
    fn commands_of_active_threads_have_the_name_of_an_idle_leader() {
        for group_by in [GroupBy::Command, GroupBy::Parents] {
            let settings = Settings {
                only: true,
                group_by,
                ..Settings::default()
            };
            let mut devices = DeviceNames::new(Path::new("/nonexistent"));
            let mut sample = golden::sample();
            let mut idle = sample.tasks[3].clone().into_task();
            (idle.stats, idle.block) = (idle.stats.nothing(), Some(TaskBlock::zero()));
            sample.tasks[3] = idle.into();
            sample.facts.clear();
            let mut show = Show {
                settings: &settings,
                scope: &Scope::default(),
                gone: &Gone::default(),
                recent: &Recent::default(),
                devices: &mut devices,
                open: &HashSet::new(),
                closed: &HashSet::new(),
            };
            let shown = show.look(&Arc::new(sample), None, &Histories::default());
            let groups = shown.sample.groups.as_ref().expect("grouped");
            let has = |name: &str| {
                let mut names = groups.iter().filter_map(|group| group.name.as_deref());
                names.any(|known| known.starts_with(name))
            };
            assert!(has("postgres") && !has("walwriter"), "{groups:?}");
        }
    }

    #[test]
    fn totals_stand_beside_the_rates_of_the_same_row() {
        let both = Settings {
            figures: Figures::Both,
            ..Settings::default()
        };
        let shown = shown(&both, &Scope::default());
        for row in &shown.rows {
            let totals = shown.totals(row).expect("there");
            assert_eq!(RowKey::of(totals), RowKey::of(shown.row(row)));
        }
        let writers = shown.rows.iter().filter(|row| shown.whom(row).is_some());
        assert_eq!(writers.count(), 2);
        let first = RowKey::of(shown.row(&shown.rows[0]));
        assert_eq!(shown.place(&first), Some(0));
    }

    #[test]
    fn a_tree_of_active_tasks_keeps_their_ancestors() {
        let settings = Settings {
            only: true,
            tree: true,
            ..Settings::default()
        };
        let shown = shown(&settings, &Scope::default());
        let thread = shown.rows.iter().find(|row| {
            let task = shown.row(row).task();
            task.is_some_and(|task| task.tid == 901)
        });
        assert_eq!(thread.map(|row| row.lines.clone()), Some(vec![false]));
        assert_eq!(wanted_rows(&settings), crate::collect::Rows::All);
    }
}
