//! Loads that write more metadata than data.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::PAGE;
use super::pieces::{Pieces, fill, fill_page, open};

/// Files that a storm makes in one turn.
pub const STORM_TURN: u64 = 8;

/// Appends a piece to a file with each call, and waits until it is on the disk.
pub fn appends(path: &str, piece: usize) -> Result<impl FnMut() -> Result<()> + use<>> {
    let mut file = open(path, libc::O_APPEND)?;
    let piece = vec![0x5a; piece];
    Ok(move || {
        file.write_all(&piece)?;
        Ok(file.sync_all()?)
    })
}

/// Changes pages of a file as a database with a rollback journal does: it keeps the old
/// pages in a file of their own until the new ones are on the disk.
pub fn database(dir: &Path, count: u64) -> Result<()> {
    const PAGES: u64 = 64;
    let (database, journal) = (dir.join("database"), dir.join("database-journal"));
    let database = open(&database.to_string_lossy(), 0)?;
    let names = File::open(dir)?;
    for number in 0..count {
        let old = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&journal)?;
        // A header, and two pages with their numbers and checksums.
        let len = 512 + 2 * (PAGE + 8);
        fill(&old, Pieces::whole(len))?;
        old.sync_all()?;
        // The journal must also have its name.
        names.sync_all()?;
        for page in [0, 1 + number % PAGES] {
            fill_page(&database, page * PAGE as u64)?;
        }
        database.sync_all()?;
        fs::remove_file(&journal)?;
    }
    Ok(())
}

/// A task that makes, renames and removes files.
pub struct Storm {
    dir: PathBuf,
    content: Vec<u8>,
    made: u64,
}

impl Storm {
    /// In this directory, with files of `len` bytes.
    pub fn new(dir: &str, len: usize) -> Storm {
        Storm {
            dir: PathBuf::from(dir),
            content: vec![0x5a; len],
            made: 0,
        }
    }

    /// Makes and renames files, and removes every second one of them.
    pub fn go_on(&mut self, count: u64) -> Result<()> {
        for number in self.made..self.made + count {
            let made = self.dir.join(format!("made-{number}"));
            let renamed = self.dir.join(format!("renamed-{number}"));
            fs::write(&made, &self.content)?;
            fs::rename(&made, &renamed)?;
            if number % 2 == 1 {
                fs::remove_file(&renamed)?;
            }
        }
        self.made += count;
        Ok(())
    }
}

/// Reads the start of a file for this long.
pub fn read_again_and_again(path: &str, time: Duration) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < time {
        fs::read(path)?;
        sleep(Duration::from_millis(5));
    }
    Ok(())
}
