//! What a tracer and the machine have spent, and what the machine has done,
//! between two points in time.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::cpu;
use super::stats::{self, Stat};

/// The hook at which bios are counted.
pub const SUBMIT: &str = "block_bio_queue";
/// Prefix of the tracepoints at which a page enters or leaves the page cache.
const FILEMAP: &str = "mm_filemap_";

/// All counters at one point in time.
pub struct Snapshot {
    programs: Vec<Stat>,
    user_half_ns: f64,
    busy_ns: f64,
    vmstat: Vmstat,
}

/// Pages of 4 KiB that file systems have submitted since the machine started.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vmstat {
    pub pages_in: f64,
    pub pages_out: f64,
}

/// The difference of two snapshots.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Usage {
    /// The programs that the kernel's events run.
    pub programs_ns: f64,
    pub program_runs: f64,
    /// CPU time of the tracer's process. The programs that it makes run itself,
    /// those of iterators, run within this time.
    pub user_half_ns: f64,
    /// CPU time of the whole machine. The statistics' own cost is in it.
    pub busy_ns: f64,
    pub pages_in: f64,
    pub pages_out: f64,
    pub bios: f64,
    /// Runs of programs on the page cache's tracepoints.
    pub filemap_runs: f64,
}

impl Snapshot {
    /// The tracer is the process `pid`; the kernel's BPF statistics are on.
    pub fn take(pid: u32) -> Result<Snapshot> {
        let programs = stats::of_process(pid)?;
        if !programs.iter().any(|program| program.attached) {
            bail!("the tracer has attached no program: see `iotop-trace doctor`");
        }
        Ok(Snapshot {
            programs,
            user_half_ns: cpu::of_process(pid)?.as_nanos() as f64,
            busy_ns: cpu::busy()?.as_nanos() as f64,
            vmstat: Vmstat::read()?,
        })
    }

    pub fn since(&self, before: &Snapshot) -> Usage {
        let earlier: BTreeMap<u32, &Stat> = before
            .programs
            .iter()
            .map(|program| (program.id, program))
            .collect();
        let mut usage = Usage {
            user_half_ns: self.user_half_ns - before.user_half_ns,
            busy_ns: self.busy_ns - before.busy_ns,
            pages_in: self.vmstat.pages_in - before.vmstat.pages_in,
            pages_out: self.vmstat.pages_out - before.vmstat.pages_out,
            ..Usage::default()
        };
        for program in self.programs.iter().filter(|program| program.attached) {
            let (old_ns, old_runs) = earlier
                .get(&program.id)
                .map_or((0, 0), |old| (old.run_time_ns, old.runs));
            let runs = program.runs.saturating_sub(old_runs) as f64;
            usage.programs_ns += program.run_time_ns.saturating_sub(old_ns) as f64;
            usage.program_runs += runs;
            let tracepoint = program.tracepoint.as_deref().unwrap_or_default();
            if tracepoint == SUBMIT {
                // If there are several programs on one hook, each runs for every bio.
                usage.bios = usage.bios.max(runs);
            }
            if tracepoint.starts_with(FILEMAP) {
                usage.filemap_runs += runs;
            }
        }
        usage
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        self.programs_ns += other.programs_ns;
        self.program_runs += other.program_runs;
        self.user_half_ns += other.user_half_ns;
        self.busy_ns += other.busy_ns;
        self.pages_in += other.pages_in;
        self.pages_out += other.pages_out;
        self.bios += other.bios;
        self.filemap_runs += other.filemap_runs;
    }
}

impl Vmstat {
    pub fn read() -> Result<Vmstat> {
        let text =
            std::fs::read_to_string("/proc/vmstat").context("could not read /proc/vmstat")?;
        Vmstat::parse(&text).context("/proc/vmstat has no pgpgin or no pgpgout")
    }

    fn parse(text: &str) -> Option<Vmstat> {
        // They are KiB, whatever their names say.
        let pages = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            let (_, kibibytes) = lines.find(|(field, _)| *field == name)?;
            Some(kibibytes.parse::<f64>().ok()? / 4.0)
        };
        Some(Vmstat {
            pages_in: pages("pgpgin")?,
            pages_out: pages("pgpgout")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(programs: &[(u32, Option<&str>, bool, u64, u64)], at: f64) -> Snapshot {
        let programs = programs
            .iter()
            .map(|&(id, tracepoint, attached, run_time_ns, runs)| Stat {
                id,
                tracepoint: tracepoint.map(str::to_owned),
                attached,
                run_time_ns,
                runs,
            })
            .collect();
        Snapshot {
            programs,
            user_half_ns: at,
            busy_ns: 10.0 * at,
            vmstat: Vmstat {
                pages_in: at,
                pages_out: 2.0 * at,
            },
        }
    }

    #[test]
    fn functions_count_and_iterators_are_the_user_half_s() {
        let before = snapshot(&[(1, Some(SUBMIT), true, 100, 1)], 1.0);
        let after = snapshot(
            &[
                (1, Some(SUBMIT), true, 300, 3),
                (2, Some(SUBMIT), true, 30, 2),
                (3, None, true, 500, 5),
                (4, None, false, 9000, 90),
                (5, Some("mm_filemap_get_pages"), true, 0, 7),
            ],
            2.0,
        );
        let mut usage = after.since(&before);
        let expected = Usage {
            programs_ns: 730.0,
            program_runs: 16.0,
            user_half_ns: 1.0,
            busy_ns: 10.0,
            pages_in: 1.0,
            pages_out: 2.0,
            bios: 2.0,
            filemap_runs: 7.0,
        };
        assert_eq!(usage, expected);
        usage += expected;
        assert_eq!(usage.programs_ns, 1460.0);
        assert_eq!(usage.bios, 4.0);
    }

    #[test]
    fn pages_are_read_from_kibibytes() {
        let text = "nr_dirty 7\npgpgin 8\npgpgout 12\n";
        let expected = Vmstat {
            pages_in: 2.0,
            pages_out: 3.0,
        };
        assert_eq!(Vmstat::parse(text), Some(expected));
        assert_eq!(Vmstat::parse("pgpgin 8\n"), None);
    }
}
