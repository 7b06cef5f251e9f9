//! Which parts of a file are written, and the plain way to write them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use anyhow::{Context, Result};

use super::{CHUNK, PAGE};

/// Parts of a file: `len` bytes in all, the first at `offset`, each of `piece`
/// bytes and followed by `gap` bytes that are left out.
#[derive(Clone, Copy)]
pub struct Pieces {
    pub offset: u64,
    pub len: usize,
    pub piece: usize,
    pub gap: usize,
}

impl Pieces {
    /// The start of a file, in large pieces without a gap.
    pub fn whole(len: usize) -> Pieces {
        Pieces {
            offset: 0,
            len,
            piece: CHUNK,
            gap: 0,
        }
    }

    /// The four numbers of a writer's arguments.
    pub fn parse([offset, len, piece, gap]: [&str; 4]) -> Result<Pieces> {
        Ok(Pieces {
            offset: offset.parse()?,
            len: len.parse()?,
            piece: piece.parse()?,
            gap: gap.parse()?,
        })
    }

    /// Offset and length of each piece.
    pub fn ranges(self) -> impl Iterator<Item = (u64, usize)> {
        (0..self.len)
            .step_by(self.piece)
            .zip(0..)
            .map(move |(done, number)| {
                let offset = self.offset + number * (self.piece + self.gap) as u64;
                (offset, self.piece.min(self.len - done))
            })
    }
}

/// Opens a file to read and write, and creates it if it does not exist.
pub fn open(path: &str, flags: i32) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(flags)
        .open(path)
        .with_context(|| format!("cannot open {path}"))
}

/// Writes these pieces, each in one call.
pub fn fill(file: &File, pieces: Pieces) -> Result<()> {
    // O_DIRECT needs an aligned buffer. For other writes it does not matter.
    let longest = pieces.piece.min(pieces.len);
    let buffer = vec![0x5a; longest + PAGE];
    let start = buffer.as_ptr().align_offset(PAGE);
    let aligned = &buffer[start..start + longest];
    for (offset, len) in pieces.ranges() {
        file.write_all_at(&aligned[..len], offset)?;
    }
    Ok(())
}

/// Writes the start of a file in large pieces.
pub fn fill_whole(file: &File, len: usize) -> Result<()> {
    fill(file, Pieces::whole(len))
}

/// Writes one page.
pub fn fill_page(file: &File, offset: u64) -> Result<()> {
    let one = Pieces {
        offset,
        len: PAGE,
        piece: PAGE,
        gap: 0,
    };
    fill(file, one)
}
