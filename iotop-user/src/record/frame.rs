//! Frames: about a minute of samples, compressed, that can be read without any other.
//!
//! A frame is two frames of zstd, one after the other. The first is a skippable frame (RFC 8878,
//! 3.1.2), which zstd itself ignores: it holds an [`Entry`] as JSON. The second holds the lines,
//! with a checksum. So the entries of a file are its index, no second file can disagree with it,
//! and `zstd -dc` prints the lines.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write as _},
    time::Duration,
};

use bytes::BytesMut;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sample::{Sample, rfc3339};

/// The version of the entries, and of what they tell of.
pub(super) const VERSION: u32 = 1;

/// One of the numbers that skippable frames begin with.
const MAGIC: [u8; 4] = 0x184D_2A5B_u32.to_le_bytes();

/// A skippable frame's magic number and length.
pub(super) const HEAD: usize = 8;

/// What the JSON of an entry starts with.
const START: &[u8] = b"{\"iotop_trace\":";

/// No entry is longer.
pub(super) const LONGEST_ENTRY: usize = 4096;

/// No frame's lines are longer: a frame that claims more is not one of ours.
const LONGEST_CONTENT: u64 = 256 << 20;

/// No line is longer: that of a flush with thousands of owners and files has a few MiB.
const LONGEST_LINE: u64 = 16 << 20;

/// Compression beyond this level takes more CPU time and saves little.
const LEVEL: i32 = 6;

/// What a frame says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of the frame.
    #[serde(rename = "iotop_trace")]
    pub version: u32,
    /// The start of its first interval, RFC 3339.
    pub start: String,
    /// The end of its last interval, RFC 3339.
    pub end: String,
    /// Number of intervals.
    pub samples: u64,
    /// Length of the compressed lines.
    pub length: u64,
    /// Length of the lines.
    pub content_length: u64,
    /// Bytes that were written to devices in these intervals; `None` without eBPF.
    pub block_write_bytes: Option<u64>,
}

impl Entry {
    /// Start and end.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.start.parse().ok()?, self.end.parse().ok()?))
    }
}

/// The entry that begins a file's part, and its length with its head. `None` if none begins here.
pub(super) fn entry(part: &[u8]) -> Option<(Entry, u64)> {
    let (head, rest) = part.split_at_checked(HEAD)?;
    let (magic, length) = head.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let json = rest.get(..length).filter(|_| magic == MAGIC)?;
    let entry = serde_json::from_slice(json).ok()?;
    Some((entry, (HEAD + length) as u64))
}

/// Where in a file's part the next entry may begin.
pub(super) fn find_entry(part: &[u8]) -> Option<usize> {
    let mut windows = part.windows(HEAD + START.len());
    windows.position(|window| window.starts_with(&MAGIC) && window.ends_with(START))
}

/// True if a file with this start begins as a frame, as far as it goes. Zeros are what a power cut
/// leaves.
pub(super) fn begins(start: &[u8]) -> bool {
    let is_zero = start.iter().all(|byte| *byte == 0);
    is_zero || start.iter().zip(MAGIC).all(|(byte, magic)| *byte == magic)
}

/// Finds out whether a frame is whole. Its lines are not kept.
///
/// # Errors
///
/// It is damaged.
pub(super) fn check(data: impl Read) -> io::Result<()> {
    let decoder = zstd::Decoder::new(data)?.single_frame();
    let length = io::copy(&mut decoder.take(LONGEST_CONTENT + 1), &mut io::sink())?;
    match length > LONGEST_CONTENT {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(()),
    }
}

/// The lines of a frame, one at a time: all together may be too much for the memory.
pub(super) struct Lines<R: Read> {
    decoder: BufReader<zstd::Decoder<'static, BufReader<R>>>,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// Of the frame in this data.
    ///
    /// # Errors
    ///
    /// No memory for the decompressor.
    pub fn new(data: R) -> io::Result<Lines<R>> {
        let decoder = zstd::Decoder::new(data)?.single_frame();
        Ok(Lines {
            decoder: BufReader::new(decoder),
            line: Vec::new(),
        })
    }

    /// The next line.
    ///
    /// # Errors
    ///
    /// The frame is damaged, or the line is longer than any.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        let mut part = (&mut self.decoder).take(LONGEST_LINE + 1);
        if part.read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        if self.line.len() as u64 > LONGEST_LINE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(self.line.trim_ascii_end()))
    }
}

impl<R: Read> std::fmt::Debug for Lines<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

/// A frame that is being filled.
pub struct Frame {
    encoder: zstd::Encoder<'static, Vec<u8>>,
    start: Timestamp,
    end: Timestamp,
    samples: u64,
    content_length: u64,
    block_write_bytes: Option<u64>,
}

impl Frame {
    /// Begins with this sample, whose lines these are.
    ///
    /// # Errors
    ///
    /// No memory for the compressor.
    pub fn begin(sample: &Sample, lines: &BytesMut) -> io::Result<Frame> {
        let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        let start = sample.time.checked_sub(sample.interval);
        let mut frame = Frame {
            encoder,
            start: start.unwrap_or(sample.time),
            end: sample.time,
            samples: 0,
            content_length: 0,
            block_write_bytes: None,
        };
        frame.add(sample, lines)?;
        Ok(frame)
    }

    /// Adds the next sample.
    ///
    /// # Errors
    ///
    /// Those of the compressor; none is expected.
    pub fn add(&mut self, sample: &Sample, lines: &BytesMut) -> io::Result<()> {
        self.encoder.write_all(lines)?;
        self.start = self.start.min(sample.time);
        self.end = self.end.max(sample.time);
        self.samples += 1;
        self.content_length += lines.len() as u64;
        if let Some(block) = &sample.system.block {
            let sum = self.block_write_bytes.unwrap_or(0);
            self.block_write_bytes = Some(sum.saturating_add(block.write));
        }
        Ok(())
    }

    /// Number of intervals in it.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The end of its last interval.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// True if it is long enough: a minute, much to hold in memory, or so many bytes of lines.
    pub fn is_full(&self, most: u64) -> bool {
        const MINUTE: Duration = Duration::from_secs(60);
        const MUCH: u64 = 16 << 20;
        let most = most.min(MUCH);
        let length = self.end.duration_since(self.start).unsigned_abs();
        // Half a second: intervals are never as long as a minute to the microsecond.
        length + MINUTE / 120 >= MINUTE || self.content_length >= most
    }

    /// Its bytes in a file.
    ///
    /// # Errors
    ///
    /// Those of the compressor; none is expected.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        let data = self.encoder.finish()?;
        let entry = Entry {
            version: VERSION,
            start: rfc3339(self.start),
            end: rfc3339(self.end),
            samples: self.samples,
            length: data.len() as u64,
            content_length: self.content_length,
            block_write_bytes: self.block_write_bytes,
        };
        let json = serde_json::to_vec(&entry)?;
        let length = u32::try_from(json.len()).unwrap_or(0);
        Ok([&MAGIC[..], &length.to_le_bytes(), &json, &data].concat())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{golden, record::lines};

    /// The lines of a frame that is whole.
    fn lines_of(data: &[u8]) -> io::Result<Vec<u8>> {
        check(data)?;
        let mut lines = Lines::new(data)?;
        let mut text = Vec::new();
        while let Some(line) = lines.next()? {
            text.extend([line, b"\n"].concat());
        }
        Ok(text)
    }

    fn text(sample: &Sample) -> BytesMut {
        let mut text = BytesMut::new();
        lines(sample, |_| Arc::from("sda"), &mut text).expect("written");
        text
    }

    #[test]
    fn a_frame_is_what_zstd_itself_reads_and_says_what_it_holds() {
        let mut second = golden::sample();
        second.time += Duration::from_secs(2);
        let (first, second) = (golden::sample(), second);
        let mut frame = Frame::begin(&first, &text(&first)).expect("begun");
        assert!(!frame.is_full(u64::MAX));
        frame.add(&second, &text(&second)).expect("added");
        let bytes = frame.finish().expect("finished");
        let all = [text(&first), text(&second)].concat();
        assert_eq!(zstd::decode_all(&bytes[..]).expect("zstd"), all);
        let (entry, length) = entry(&bytes).expect("an entry");
        let data = &bytes[length as usize..];
        assert_eq!(data.len() as u64, entry.length);
        assert_eq!(lines_of(data).expect("whole"), all);
        assert_eq!(entry.content_length, all.len() as u64);
        let (start, end) = entry.span().expect("times");
        assert_eq!((start, end), (first.time - first.interval, second.time));
        let written = first.system.block.expect("traced").write;
        assert_eq!(entry.block_write_bytes, Some(2 * written));
    }

    #[test]
    fn a_changed_byte_of_the_lines_is_noticed() {
        let sample = golden::sample();
        let frame = Frame::begin(&sample, &text(&sample)).expect("begun");
        let bytes = frame.finish().expect("finished");
        let (_, length) = entry(&bytes).expect("an entry");
        let mut data = bytes[length as usize..].to_vec();
        for at in 0..data.len() {
            data[at] ^= 0x10;
            let read = lines_of(&data);
            assert!(
                read.is_err() || read.expect("read") == text(&sample),
                "{at}"
            );
            data[at] ^= 0x10;
        }
    }

    /// Regression: the lines of a frame were read at once, up to 256 MiB of them.
    #[test]
    fn a_frame_of_nothing_but_one_line_takes_no_more_memory_than_a_line() {
        let zeros = vec![b'0'; usize::try_from(LONGEST_LINE).expect("fits") + 100];
        let data = zstd::encode_all(&zeros[..], LEVEL).expect("compressed");
        check(&data[..]).expect("whole");
        let mut lines = Lines::new(&data[..]).expect("begun");
        let error = lines.next().expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(lines.line.capacity() as u64 <= 4 * LONGEST_LINE);
    }

    #[test]
    fn a_minute_is_full() {
        let mut sample = golden::sample();
        sample.interval = Duration::from_secs(10);
        let mut frame = Frame::begin(&sample, &text(&sample)).expect("begun");
        for n in 2..=6 {
            assert!(!frame.is_full(u64::MAX), "{n}");
            sample.time += sample.interval;
            frame.add(&sample, &text(&sample)).expect("added");
        }
        assert!(frame.is_full(u64::MAX) && frame.samples() == 6);
    }
}
