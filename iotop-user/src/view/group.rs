//! Adds up tasks, or facts, that have something in common.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use iotop_common::Class;

use super::{Commands, Place, command_name, launched_name};
use crate::{
    host::devices::DeviceNames,
    sample::{BlockFact, BlockTotals, Group, Reason, Sample, Task, TaskBlock, Unattributed, sum},
};

/// What the members of a group have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The name of their program.
    Command,
    /// The name of their program, and those of the ancestors that launched it.
    Parents,
    /// Their user.
    User,
    /// Their cgroup.
    Cgroup,
    /// Their systemd unit.
    Unit,
    /// Their container.
    Container,
    /// The device that was read or written.
    Device,
    /// The file that was read or written.
    File,
}

impl By {
    /// Its name on the command line and in the exports.
    pub fn name(self) -> &'static str {
        match self {
            By::Command => "command",
            By::Parents => "parents",
            By::User => "user",
            By::Cgroup => "cgroup",
            By::Unit => "unit",
            By::Container => "container",
            By::Device => "device",
            By::File => "file",
        }
    }

    /// True if facts are grouped, not tasks. Only what the kernel half counted is known then.
    pub fn is_of_facts(self) -> bool {
        matches!(self, By::Device | By::File)
    }
}

/// Adds up a sample's tasks, or its facts. `whole` says that no task of the machine is left
/// out: groups of facts then contain bytes without an owner too.
pub fn group(sample: &mut Sample, by: By, names: &mut DeviceNames, whole: bool) {
    let any = |_: &Task| true;
    let groups = match by {
        By::Command => {
            let commands = Commands::new(&sample.tasks);
            by_task(sample, any, |task| {
                Some(command_name(&commands.comm(task), task.kthread))
            })
        }
        By::Parents => {
            let commands = Commands::new(&sample.tasks);
            // The parents of idle tasks are not looked up.
            let active = |task: &Task| task.did_io() || task.has_dirty_pages();
            by_task(sample, active, |task| {
                let parents = task.parents.as_deref();
                Some(launched_name(&commands.comm(task), task.kthread, parents))
            })
        }
        By::User => by_task(sample, any, |task| task.user.clone()),
        By::Cgroup => by_task(sample, any, |task| task.cgroup.clone()),
        By::Unit => by_task(sample, any, |task| task.unit.clone()),
        By::Container => by_task(sample, any, |task| task.container.clone()),
        By::Device => by_fact(
            sample,
            whole,
            |fact| fact.device,
            |device| names.name(device),
        ),
        By::File => {
            let names = RefCell::new(names);
            by_fact(
                sample,
                whole,
                |fact| Place::of(fact, &mut names.borrow_mut()),
                |place| place.name(&sample.paths, &mut names.borrow_mut()),
            )
        }
    };
    sample.groups = Some(groups);
}

/// Groups the tasks that `belongs` holds for.
fn by_task(
    sample: &Sample,
    belongs: impl Fn(&Task) -> bool,
    name: impl Fn(&Task) -> Option<Arc<str>>,
) -> Vec<Group> {
    let mut groups = Groups::default();
    let mut group_of = Vec::with_capacity(sample.tasks.len());
    for task in &sample.tasks {
        if !belongs(task) {
            group_of.push(None);
            continue;
        }
        let name = name(task);
        let at = groups.index_of(name.clone());
        let group = &mut groups.groups[at];
        group.name = name;
        group.tasks += task.tasks();
        group.stats = group.stats + task.stats;
        group.block = sum(group.block, task.block);
        group_of.push(Some(at));
    }
    for fact in &sample.facts {
        // A member that submits another member's pages does not submit for others.
        if let (Some(owner), Some(submitter)) = (fact.owner, fact.submitter)
            && owner != submitter
            && let Some(group) = group_of[owner]
            && group_of[submitter] == Some(group)
            && let Some(block) = &mut groups.groups[group].block
        {
            block.submitted_for_others = block.submitted_for_others.saturating_sub(fact.bytes);
        }
    }
    groups.groups
}

fn by_fact<K: Copy + Eq + Hash>(
    sample: &Sample,
    whole: bool,
    key: impl Fn(&BlockFact) -> K,
    mut name: impl FnMut(K) -> Arc<str>,
) -> Vec<Group> {
    let mut groups = Groups::default();
    let mut owners: HashSet<(usize, usize)> = HashSet::new();
    let mut totals: Vec<BlockTotals> = Vec::new();
    for fact in &sample.facts {
        if !whole && fact.owner.is_none() {
            continue;
        }
        let key = key(fact);
        let at = groups.index_of(key);
        let group = &mut groups.groups[at];
        if totals.len() <= at {
            totals.push(BlockTotals::default());
            group.name = Some(name(key));
        }
        totals[at].count(fact);
        let owner = fact.owner.filter(|owner| owners.insert((at, *owner)));
        group.tasks += owner.map_or(0, |owner| sample.tasks[owner].tasks());
        let owned = fact.owner.is_some() || fact.class == Class::Read;
        let block = if owned {
            fact.of_owner()
        } else {
            TaskBlock::default()
        };
        group.block = sum(group.block, Some(block));
    }
    let mut groups = groups.groups;
    if whole {
        for (group, totals) in groups.iter_mut().zip(&totals) {
            group.unattributed = Some(totals.unattributed);
        }
        groups.extend(without_fact(sample, &totals));
    }
    groups
}

/// A group without a name for the bytes whose fact found no room: their device and file are
/// not known. `None` if there are none.
fn without_fact(sample: &Sample, known: &[BlockTotals]) -> Option<Group> {
    let all = sample.system.block?;
    let rest = |part: fn(&BlockTotals) -> u64| {
        part(&all).saturating_sub(known.iter().map(part).sum::<u64>())
    };
    let unattributed = Unattributed::from([
        (
            Reason::Overflow,
            rest(|totals| totals.unattributed[Reason::Overflow]),
        ),
        (
            Reason::Stacked,
            rest(|totals| totals.unattributed[Reason::Stacked]),
        ),
    ]);
    let block = TaskBlock {
        read: rest(|totals| totals.read),
        ..TaskBlock::default()
    };
    let is_nothing = unattributed == Unattributed::default() && block.read == 0;
    (!is_nothing).then(|| Group {
        block: Some(block),
        unattributed: Some(unattributed),
        ..Group::default()
    })
}

/// The groups, in the order of their first member, and the index of each key.
struct Groups<K> {
    groups: Vec<Group>,
    index: HashMap<K, usize>,
}

impl<K> Default for Groups<K> {
    fn default() -> Groups<K> {
        Groups {
            groups: Vec::new(),
            index: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash> Groups<K> {
    /// The index of a key's group, which is added if it is new.
    fn index_of(&mut self, key: K) -> usize {
        match self.index.entry(key) {
            Entry::Occupied(at) => *at.get(),
            Entry::Vacant(free) => {
                self.groups.push(Group::default());
                *free.insert(self.groups.len() - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        golden,
        sample::{Parent, SharedTask},
    };

    const MIB: u64 = 1 << 20;

    fn grouped(mut sample: Sample, by: By, whole: bool) -> Vec<Group> {
        let mut names = DeviceNames::new(Path::new("/nonexistent"));
        group(&mut sample, by, &mut names, whole);
        sample.groups.expect("grouped")
    }

    fn named<'a>(groups: &'a [Group], name: &str) -> &'a Group {
        let found = groups
            .iter()
            .find(|group| group.name.as_deref() == Some(name));
        found.unwrap_or_else(|| panic!("{name} is not in {groups:?}"))
    }

    #[test]
    fn a_user_has_the_sums_of_its_tasks_and_submits_nothing_for_itself() {
        let sample = golden::sample();
        let groups = grouped(sample.clone(), By::User, true);
        let root = named(&groups, "root");
        let postgres = named(&groups, "postgres");
        assert_eq!((root.tasks, postgres.tasks), (4, 2));
        let block = postgres.block.expect("traced");
        assert_eq!((block.write(), block.write_flushed), (3 * MIB, MIB));
        // walwriter submitted 1 MiB, which its own user owns.
        assert_eq!(block.submitted_for_others, 0);
        let sum: u64 = groups.iter().filter_map(|g| g.stats.write_bytes).sum();
        let tasks = sample.tasks.iter().filter_map(|t| t.stats.write_bytes);
        assert_eq!(sum, tasks.sum::<u64>());
    }

    #[test]
    fn a_command_has_all_its_processes_their_threads_and_all_kworkers() {
        let mut sample = golden::sample();
        let mut again = Task::clone(&sample.tasks[0]);
        (again.pid, again.tid) = (1201, 1201);
        sample.tasks.push(again.into());
        let mut kworker = Task::clone(&sample.tasks[1]);
        kworker.comm = "kworker/3:1H".into();
        sample.tasks.push(kworker.into());
        let groups = grouped(sample, By::Command, true);
        let tasks = |name| named(&groups, name).tasks;
        assert_eq!((tasks("dd"), tasks("[kworker]")), (2, 2));
        assert_eq!(tasks("[jbd2/sda1-8]"), 1);
        // walwriter is a thread of postgres.
        assert_eq!(tasks("postgres"), 2);
        let dd = named(&groups, "dd").block.expect("traced");
        assert_eq!(dd.write(), 512 * MIB);
        assert_eq!(groups.len(), 5);
    }

    #[test]
    fn a_command_has_a_row_for_each_chain_of_parents_and_idle_tasks_have_none() {
        let mut sample = golden::sample();
        let again = |pid, parents: &[(u32, &str)]| {
            let mut task = Task::clone(&sample.tasks[0]);
            (task.pid, task.tid) = (pid, pid);
            let parent = |(pid, comm): &(u32, &str)| Parent {
                pid: *pid,
                comm: (*comm).into(),
            };
            task.parents = Some(parents.iter().map(parent).collect());
            task
        };
        // Another run of the script, which has another PID and has exited too.
        let rerun = again(1301, &[(1300, "backup.sh"), (400, "cron")]);
        let by_hand = again(1401, &[(1400, "bash"), (300, "sshd")]);
        let daemon = again(1501, &[]);
        sample
            .tasks
            .extend([rerun, by_hand, daemon].map(SharedTask::from));
        let groups = grouped(sample.clone(), By::Parents, true);
        let written = |name| named(&groups, name).block.expect("traced").write() / MIB;
        assert_eq!(written("dd <- backup.sh <- cron"), 2 * 256);
        assert_eq!(written("dd <- bash <- sshd"), 256);
        assert_eq!(written("dd"), 256, "init launched it");
        // walwriter is a thread of postgres; who launched that is not known here.
        assert_eq!(named(&groups, "postgres <- ?").tasks, 2);
        assert_eq!(named(&groups, "[kworker]").tasks, 1);
        let has = |name| {
            groups
                .iter()
                .any(|group| group.name.as_deref() == Some(name))
        };
        assert!(!has("[jbd2/sda1-8]"), "it did nothing");
        let sum = |groups: &[Group]| -> u64 {
            let blocks = groups.iter().filter_map(|group| group.block);
            blocks.map(|block| block.caused()).sum()
        };
        assert_eq!(sum(&groups), sum(&grouped(sample, By::Command, true)));
    }

    #[test]
    fn bytes_submitted_for_another_group_count_as_for_others() {
        let mut sample = golden::sample();
        sample.tasks[0].unit = Some("backup.service".into());
        let groups = grouped(sample, By::Unit, true);
        let rest = groups.iter().find(|group| group.name.is_none());
        let rest = rest.and_then(|group| group.block).expect("traced");
        assert_eq!(rest.submitted_for_others, 256 * MIB);
        let backup = named(&groups, "backup.service").block.expect("traced");
        assert_eq!(backup.write_flushed, 256 * MIB);
    }

    #[test]
    fn conservation_devices_and_files_add_up_to_all_written_bytes() {
        let mut sample = golden::sample();
        sample.facts[1].device = (8, 16);
        let block = sample.system.block.as_mut().expect("traced");
        block.write += 7;
        block.unattributed[Reason::Overflow] = 7;
        let all = block.write;
        for by in [By::Device, By::File] {
            let groups = grouped(sample.clone(), by, true);
            let written = groups.iter().map(|group| {
                let block = group.block.expect("traced");
                let rest = group.unattributed.expect("known");
                block.caused() + rest.in_total()
            });
            assert_eq!(written.sum::<u64>(), all, "{by:?}");
            let unnamed = groups.iter().find(|group| group.name.is_none());
            let rest = unnamed.and_then(|group| group.unattributed);
            assert_eq!(rest.map(|rest| rest[Reason::Overflow]), Some(7));
        }
    }

    #[test]
    fn a_device_has_no_task_counters_and_no_pending_pages() {
        let groups = grouped(golden::sample(), By::Device, true);
        let device = named(&groups, "8:1");
        assert_eq!(device.tasks, 2);
        assert_eq!(device.stats.write_bytes, None);
        assert_eq!(device.block.expect("traced").dirty_pending, None);
    }

    #[test]
    fn without_all_tasks_files_have_only_bytes_with_an_owner() {
        let groups = grouped(golden::sample(), By::File, false);
        assert_eq!(groups.len(), 1);
        assert!(named(&groups, "/srv/x").unattributed.is_none());
    }
}
