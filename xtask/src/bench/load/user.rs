//! The user that loads run as: nobody. PostgreSQL refuses to run as root, and the uid
//! tells a load's tasks from all others: only this process and what it starts can reach
//! the disk, which is mounted in its own mount namespace.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    gid: u32,
}

impl User {
    pub fn nobody() -> Result<User> {
        let id = |what: &str| -> Result<u32> {
            let id = process::output(Command::new("id").args([what, "nobody"]))?;
            id.parse().with_context(|| format!("id {what}: {id:?}"))
        };
        Ok(User {
            uid: id("-u")?,
            gid: id("-g")?,
        })
    }

    /// Makes a directory that belongs to the user.
    pub fn directory(self, dir: &Path) -> Result<()> {
        std::fs::create_dir_all(dir)
            .and_then(|()| chown(dir, Some(self.uid), Some(self.gid)))
            .with_context(|| format!("could not make {} a directory of nobody", dir.display()))
    }

    /// Runs a command as the user, in a directory of its own.
    pub fn run(self, dir: &Path, command: &mut Command) -> Result<()> {
        command
            .uid(self.uid)
            .gid(self.gid)
            .current_dir(dir)
            .env("HOME", dir)
            .env("LC_ALL", "C");
        process::output(command).map(drop)
    }
}
