//! Taskstats with real processes: their exit records, and queries for tasks that have
//! exited or without permission.

#[expect(dead_code, reason = "other trials are left out for other reasons too")]
#[path = "support/trial.rs"]
mod trial;

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use anyhow::{Context, Result, anyhow, ensure};
use caps::CapSet;
use iotop_trace::host::kernel::counted::Counted;
use iotop_trace::taskstats::{
    ExitListener, ExitLosses, Taskstats, TaskstatsError, TaskstatsSocket,
};
use libtest_mimic::{Arguments, Trial};

use trial::LeftOut;

/// Set when this program runs itself in a new PID namespace.
const INSIDE: &str = "IOTOP_TRACE_IN_PID_NAMESPACE";

type Case = fn() -> Result<()>;

const IN_PID_NAMESPACE: &str = "in_another_pid_namespace_the_error_says_who_gets_exit_records";

const CASES: &[(&str, Case)] = &[
    (
        "every_exit_is_recorded_with_what_it_wrote",
        every_exit_is_recorded,
    ),
    (
        "each_drain_returns_the_exits_since_the_last_one",
        each_drain_returns_the_exits_since,
    ),
    (
        "tasks_that_have_exited_are_missing_from_the_answer",
        exited_tasks_are_missing,
    ),
    (
        "a_lost_permission_is_reported_as_such",
        lost_permission_is_reported,
    ),
    (
        "in_another_network_namespace_the_error_says_where_exit_records_go",
        in_another_network_namespace,
    ),
    (IN_PID_NAMESPACE, in_another_pid_namespace),
];

fn main() -> ExitCode {
    let trial = |&(name, case): &(&'static str, Case)| {
        Trial::ignorable_test(name, move || trial::end(case()))
    };
    let trials = CASES.iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// What was opened. Fails with [`LeftOut`] if that is not permitted.
fn privileged<T>(opened: Result<T, TaskstatsError>) -> Result<T> {
    opened.map_err(LeftOut::missing)
}

fn listener() -> Result<ExitListener, TaskstatsError> {
    ExitListener::open(Path::new("/sys"))
}

/// The PID of a process that has ended and was reaped.
fn ended() -> io::Result<u32> {
    let mut child = Command::new("true").spawn()?;
    child.wait()?;
    Ok(child.id())
}

fn every_exit_is_recorded() -> Result<()> {
    const PROCESSES: u64 = 2000;
    let mut listener = privileged(listener())?;
    let dir = tempfile::tempdir()?;
    let mut written = HashMap::new();
    for number in 0..PROCESSES {
        let bytes = 10_000 + number * 37;
        let mut head = Command::new("head")
            .args(["-c", &bytes.to_string(), "/dev/zero"])
            .stdout(File::create(dir.path().join("written"))?)
            .spawn()?;
        ensure!(head.wait()?.success(), "head failed");
        written.insert(head.id(), bytes);
    }
    let arrived = listener.drain()?;
    ensure!(arrived.lost.at_least() == 0, "{:?}", arrived.lost);

    let ours: Vec<&(u32, Taskstats)> = arrived
        .records
        .iter()
        .filter(|(tid, _)| written.contains_key(tid))
        .collect();
    ensure!(
        ours.len() as u64 == PROCESSES,
        "{} of {PROCESSES} exits",
        ours.len()
    );
    for (tid, stats) in ours {
        // The kernel rounds down to whole KiB.
        let expected = written[tid] / 1024 * 1024;
        let counters = stats.counters(Counted::ALL);
        ensure!(
            counters.write_char == Some(expected),
            "{expected}: {counters:?}"
        );
        ensure!(stats.comm() == Some(&b"head"[..]), "{stats:?}");
        ensure!(stats.ppid == Some(std::process::id()), "{stats:?}");
        ensure!(stats.tgid.is_none_or(|tgid| tgid == *tid), "{stats:?}");
    }
    Ok(())
}

fn each_drain_returns_the_exits_since() -> Result<()> {
    let mut listener = privileged(listener())?;
    let pid = ended()?;
    let first = listener.drain()?;
    ensure!(first.records.iter().any(|(tid, _)| *tid == pid));
    let second = listener.drain()?;
    ensure!(!second.records.iter().any(|(tid, _)| *tid == pid));
    let known = ExitLosses {
        dropped: Some(0),
        ..ExitLosses::default()
    };
    ensure!(second.lost == known, "{:?}", second.lost);
    Ok(())
}

fn exited_tasks_are_missing() -> Result<()> {
    let mut socket = privileged(TaskstatsSocket::open())?;
    let (ours, gone) = (std::process::id(), ended()?);
    let wanted: Vec<u32> = (0..300)
        .map(|number| if number % 3 == 0 { gone } else { ours })
        .chain([0, u32::MAX])
        .collect();
    let answers = socket.query(&wanted)?;
    ensure!(answers.len() == 200, "{} answers", answers.len());
    for (tid, stats) in answers {
        ensure!(tid == ours && stats.tid == Some(ours), "{stats:?}");
    }
    Ok(())
}

fn lost_permission_is_reported() -> Result<()> {
    let mut socket = privileged(TaskstatsSocket::open())?;
    // Capabilities belong to a thread: only this one loses them.
    let without = thread::spawn(move || -> Result<()> {
        caps::clear(None, CapSet::Effective)?;
        for error in [socket.query(&[1]).err(), listener().err()] {
            let error = error.context("it was allowed")?;
            ensure!(matches!(error, TaskstatsError::NotPermitted), "{error}");
            ensure!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
        }
        Ok(())
    });
    without.join().map_err(|_| anyhow!("the thread panicked"))?
}

fn in_another_network_namespace() -> Result<()> {
    privileged(listener())?;
    // So does the network namespace.
    let elsewhere = thread::spawn(|| -> Result<()> {
        // SAFETY: unshare(2) takes plain numbers and concerns this thread.
        let answer = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        ensure!(answer == 0, io::Error::last_os_error());
        TaskstatsSocket::open().context("asking works everywhere")?;
        let start = Instant::now();
        let error = listener().err().context("records arrive")?;
        ensure!(matches!(error, TaskstatsError::NotDelivered), "{error}");
        ensure!(start.elapsed() < Duration::from_secs(5), "it took too long");
        Ok(())
    });
    elsewhere
        .join()
        .map_err(|_| anyhow!("the thread panicked"))?
}

fn in_another_pid_namespace() -> Result<()> {
    if env::var_os(INSIDE).is_some() {
        TaskstatsSocket::open().context("asking works everywhere")?;
        let error = listener().err().context("it was allowed")?;
        ensure!(matches!(error, TaskstatsError::ChildNamespace), "{error}");
        return Ok(());
    }
    privileged(listener())?;
    let ourselves = env::current_exe()?;
    let output = Command::new("unshare")
        .args(["--pid", "--fork"])
        .arg(ourselves)
        .args(["--exact", IN_PID_NAMESPACE])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    Ok(())
}
