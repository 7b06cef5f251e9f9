//! A task's I/O counters, from /proc and from the tracer's lines.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::support::deadline::Deadline;
use super::support::ndjson::{Line, Report};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    pub read_char: u64,
    pub write_char: u64,
    pub read_syscalls: u64,
    pub write_syscalls: u64,
    pub read_bytes: u64,
    pub write_bytes: u64,
    pub cancelled_write_bytes: u64,
}

impl Io {
    /// Counters of a live task, once it sleeps: the kernel counts bytes after they can
    /// be seen.
    pub fn of_thread(pid: u64, tid: u64) -> Result<Io> {
        let task = format!("/proc/{pid}/task/{tid}");
        let deadline = Deadline::after(Duration::from_secs(5));
        loop {
            let stat = fs::read_to_string(format!("{task}/stat"))?;
            // The state is after the command name, the only field in brackets.
            let (_, state) = stat.rsplit_once(')').context("a stat line")?;
            if state.starts_with(" S") {
                return Io::parse(&fs::read_to_string(format!("{task}/io"))?);
            }
            ensure!(!deadline.left().is_zero(), "{task} does not sleep");
            sleep(Duration::from_millis(1));
        }
    }

    /// Counters of a live process, its exited threads included. It must have no
    /// children.
    pub fn of_process(pid: u64) -> Result<Io> {
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let tid = entry?.file_name();
            Io::of_thread(pid, tid.to_string_lossy().parse()?)?;
        }
        Io::parse(&fs::read_to_string(format!("/proc/{pid}/io"))?)
    }

    fn parse(text: &str) -> Result<Io> {
        let field = |name: &str| -> Result<u64> {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            Ok(value.with_context(|| format!("no {name}"))?.parse()?)
        };
        Ok(Io {
            read_char: field("rchar")?,
            write_char: field("wchar")?,
            read_syscalls: field("syscr")?,
            write_syscalls: field("syscw")?,
            read_bytes: field("read_bytes")?,
            write_bytes: field("write_bytes")?,
            cancelled_write_bytes: field("cancelled_write_bytes")?,
        })
    }

    /// The sum of the lines' counters; at least one line must have some. A task that
    /// exited in an earlier interval has no counters any more, only pages.
    pub fn of_lines<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Result<Io> {
        let mut sum = None;
        for line in lines {
            if line.flag("exited")? && line.maybe("write_char")?.is_none() {
                continue;
            }
            let sum = sum.get_or_insert_with(Io::default);
            sum.read_char += line.number("read_char")?;
            sum.write_char += line.number("write_char")?;
            sum.read_syscalls += line.number("read_syscalls")?;
            sum.write_syscalls += line.number("write_syscalls")?;
            sum.read_bytes += line.number("read_bytes")?;
            sum.write_bytes += line.number("write_bytes")?;
            sum.cancelled_write_bytes += line.number("cancelled_write_bytes")?;
        }
        sum.context("the counters are null")
    }

    /// As taskstats reports it: the kernel clears the lowest ten bits, those of the
    /// calls too (KB_MASK in kernel/tsacct.c).
    pub fn as_taskstats(self) -> Io {
        let rounded = |value: u64| value & !1023;
        Io {
            read_char: rounded(self.read_char),
            write_char: rounded(self.write_char),
            read_syscalls: rounded(self.read_syscalls),
            write_syscalls: rounded(self.write_syscalls),
            read_bytes: rounded(self.read_bytes),
            write_bytes: rounded(self.write_bytes),
            cancelled_write_bytes: rounded(self.cancelled_write_bytes),
        }
    }

    pub fn is_nothing(&self) -> bool {
        *self == Io::default()
    }
}

/// Whether a line says that its task did something itself.
pub fn is_busy(line: &Line) -> Result<bool> {
    let known = line.maybe("write_char")?.is_some();
    Ok(known && !Io::of_lines([line])?.is_nothing())
}

/// All task lines with these numbers.
pub fn lines<'a>(report: &'a Report, wanted: &[(&str, u64)]) -> Result<Vec<&'a Line>> {
    let mut lines = Vec::new();
    for line in report.0.iter().flat_map(|interval| &interval.tasks) {
        let mut fits = true;
        for (field, value) in wanted {
            fits &= line.number(field)? == *value;
        }
        if fits {
            lines.push(line);
        }
    }
    Ok(lines)
}

/// The sum of the counters of all task lines with these numbers; there must be one.
pub fn sum(report: &Report, wanted: &[(&str, u64)]) -> Result<Io> {
    let lines = lines(report, wanted)?;
    let found = lines.len();
    Io::of_lines(lines).with_context(|| format!("{found} task lines with {wanted:?}"))
}

/// Checks that both are the same.
pub fn same(what: &str, got: Io, want: Io) -> Result<()> {
    ensure!(got == want, "{what}: {got:?}\nis not {want:?}");
    Ok(())
}

/// Compares what was counted until an actor's end with what /proc said during its last
/// wait. While it exits, it finishes one read(2), and page faults may read the rest of
/// its program from disk.
pub fn until_the_end(what: &str, got: Io, truth: Io) -> Result<()> {
    let faults = truth.read_bytes..=truth.read_bytes + (1 << 20);
    let end = Io {
        read_syscalls: truth.read_syscalls + 1,
        read_bytes: got.read_bytes.clamp(*faults.start(), *faults.end()),
        ..truth
    };
    same(what, got, end)
}
