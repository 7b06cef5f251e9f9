//! Writes in an order without a pattern, the same in each run.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::PAGE;
use super::pieces::{Pieces, fill, fill_page};

/// Numbers that look random (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Writes part `part` of `parts` of a file's blocks. No two parts share a block.
pub fn shuffled(file: &File, len: u64, block: usize, part: usize, parts: usize) -> Result<()> {
    let mut offsets: Vec<u64> = (0..len).step_by(block).collect();
    let mut random = Random(len);
    for last in (1..offsets.len()).rev() {
        offsets.swap(last, random.below(last as u64 + 1) as usize);
    }
    for &offset in offsets.iter().skip(part).step_by(parts) {
        let one = Pieces {
            offset,
            len: block,
            piece: block,
            gap: 0,
        };
        fill(file, one)?;
    }
    Ok(())
}

/// Writes pages of a file for this long: its even or its odd ones.
pub fn rewrite(file: &File, len: u64, odd: bool, time: Duration) -> Result<()> {
    let (begin, mut random) = (Instant::now(), Random(odd.into()));
    while begin.elapsed() < time {
        let page = 2 * random.below(len / PAGE as u64 / 2) + u64::from(odd);
        fill_page(file, page * PAGE as u64)?;
    }
    Ok(())
}
