//! The kernel's own statistics of eBPF programs, as /proc/PID/fdinfo tells
//! them of the programs that a process holds.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// A program and how long it ran, all CPUs together, since it was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stat {
    /// The kernel's number of the program.
    pub id: u32,
    /// The raw tracepoint it is attached to, if it is attached to one.
    pub tracepoint: Option<String>,
    /// True if an event of the kernel runs it: a tracepoint, a function. False if
    /// only the process that holds it makes it run, as with an iterator.
    pub attached: bool,
    pub run_time_ns: u64,
    pub runs: u64,
}

/// Every program that a process holds.
pub fn of_process(pid: u32) -> Result<Vec<Stat>> {
    let dir = Path::new("/proc").join(pid.to_string()).join("fdinfo");
    let entries =
        std::fs::read_dir(&dir).with_context(|| format!("could not list {}", dir.display()))?;
    // A file that was closed in between is not about a program.
    let files = entries
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    Ok(collect(files))
}

fn collect(files: impl Iterator<Item = String>) -> Vec<Stat> {
    let mut programs: BTreeMap<u32, Stat> = BTreeMap::new();
    for file in files {
        let field = |name: &str| {
            let mut lines = file.lines().filter_map(|line| line.split_once(":\t"));
            lines.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let number = |name: &str| field(name)?.parse::<u64>().ok();
        let Some(id) = number("prog_id").and_then(|id| u32::try_from(id).ok()) else {
            continue;
        };
        let program = programs.entry(id).or_default();
        program.id = id;
        if let Some(tracepoint) = field("tp_name") {
            program.tracepoint = Some(tracepoint.to_owned());
        }
        if field("link_type").is_some_and(|kind| kind != "iter") {
            program.attached = true;
        }
        if let (Some(run_time_ns), Some(runs)) = (number("run_time_ns"), number("run_cnt")) {
            program.run_time_ns = run_time_ns;
            program.runs = runs;
        }
    }
    programs.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_and_its_link_are_one() {
        let files = [
            "pos:\t0\nflags:\t02000002\n",
            "pos:\t0\nprog_type:\t17\nprog_id:\t7\nrun_time_ns:\t300\nrun_cnt:\t2\n",
            "pos:\t0\nlink_type:\traw_tracepoint\nprog_id:\t7\ntp_name:\tblock_bio_queue\n",
        ];
        let expected = Stat {
            id: 7,
            tracepoint: Some("block_bio_queue".to_owned()),
            attached: true,
            run_time_ns: 300,
            runs: 2,
        };
        assert_eq!(collect(files.map(str::to_owned).into_iter()), [expected]);
    }

    #[test]
    fn a_function_s_program_is_attached_and_an_iterator_is_not() {
        let files = [
            "prog_type:\t26\nprog_id:\t1\nrun_time_ns:\t9\nrun_cnt:\t9\n",
            "link_type:\ttracing\nlink_id:\t1\nprog_id:\t1\nattach_type:\t24\n",
            "prog_type:\t26\nprog_id:\t2\nrun_time_ns:\t9\nrun_cnt:\t9\n",
            "link_type:\titer\nlink_id:\t2\nprog_id:\t3\ntarget_name:\ttask\n",
        ];
        let programs = collect(files.map(str::to_owned).into_iter());
        let attached: Vec<(u32, bool)> = programs.iter().map(|p| (p.id, p.attached)).collect();
        assert_eq!(attached, [(1, true), (2, false), (3, false)]);
        assert!(programs.iter().all(|p| p.tracepoint.is_none()));
    }
}
