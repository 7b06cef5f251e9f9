//! What a report's rows are, and the names of a task's row.

use std::{path::Path, sync::Arc};

use clap::ValueEnum;

use crate::{
    sample::Task,
    view::{Commands, command_name},
};

/// What a row of a report stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportBy {
    /// systemd unit
    Unit,
    /// Container
    Container,
    /// Name of the program
    Command,
    /// User
    User,
    /// File
    File,
    /// Directory of the files
    Directory,
    /// Device
    Device,
    /// Cgroup
    Cgroup,
}

impl ReportBy {
    /// Every kind of row.
    pub const ALL: [ReportBy; 8] = [
        ReportBy::Unit,
        ReportBy::Container,
        ReportBy::Command,
        ReportBy::User,
        ReportBy::File,
        ReportBy::Directory,
        ReportBy::Device,
        ReportBy::Cgroup,
    ];

    /// Its name on the command line and in the exports.
    pub const fn name(self) -> &'static str {
        match self {
            ReportBy::Unit => "unit",
            ReportBy::Container => "container",
            ReportBy::Command => "command",
            ReportBy::User => "user",
            ReportBy::File => "file",
            ReportBy::Directory => "directory",
            ReportBy::Device => "device",
            ReportBy::Cgroup => "cgroup",
        }
    }

    /// True if rows are where bytes went, not tasks. Such rows have no task counters, but
    /// they have bytes without an owner.
    pub const fn is_of_facts(self) -> bool {
        matches!(
            self,
            ReportBy::File | ReportBy::Directory | ReportBy::Device
        )
    }

    /// The name of the row that a task belongs to; `None` if it has none, or if rows are not
    /// tasks.
    pub(crate) fn of_task(self, task: &Task, commands: &Commands) -> Option<Arc<str>> {
        match self {
            ReportBy::Unit => task.unit.clone(),
            ReportBy::Container => task.container.clone(),
            ReportBy::Command => Some(command_name(&commands.comm(task), task.kthread)),
            ReportBy::User => task.user.clone(),
            ReportBy::Cgroup => task.cgroup.clone(),
            ReportBy::File | ReportBy::Directory | ReportBy::Device => None,
        }
    }
}

/// The path without the mark of a file that has gone. Over a long span, a path is one row, even
/// if a program replaces the file again and again.
pub(crate) fn lasting(path: &Arc<str>) -> Arc<str> {
    let marks = [" (deleted)", " (replaced)"];
    let kept = marks.iter().find_map(|mark| path.strip_suffix(mark));
    match kept.filter(|kept| kept.starts_with('/')) {
        Some(kept) => kept.into(),
        None => path.clone(),
    }
}

/// The directory of a file; a name that is not a path stays as it is.
pub(crate) fn directory(name: &Arc<str>) -> Arc<str> {
    let parent = Path::new(&**name).parent().and_then(Path::to_str);
    match parent.filter(|_| name.starts_with('/')) {
        Some(parent) => parent.into(),
        None => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_row_however_often_its_file_is_replaced() {
        for (path, kept) in [
            ("/srv/x", "/srv/x"),
            ("/srv/x (deleted)", "/srv/x"),
            ("/srv/x (replaced)", "/srv/x"),
            ("sda1:inode 12", "sda1:inode 12"),
        ] {
            assert_eq!(&*lasting(&path.into()), kept);
        }
    }

    #[test]
    fn only_a_path_has_a_directory() {
        for (name, wanted) in [
            ("/srv/db/wal", "/srv/db"),
            ("/x", "/"),
            ("sda1:inode 12", "sda1:inode 12"),
            (
                "ext4 metadata of sda1: trees",
                "ext4 metadata of sda1: trees",
            ),
        ] {
            assert_eq!(&*directory(&name.into()), wanted);
        }
    }
}
