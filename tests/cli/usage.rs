//! Bad input: status 2 for wrong usage, 1 for a failure at run time.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::{BINARY, NDJSON, complaint, run, soon};

fn wrong_usage(args: &[&str], named: &str) -> Result<()> {
    let output = run(args)?;
    let said = complaint(&output);
    ensure!(
        output.status.code() == Some(2),
        "{args:?}: {}: {said}",
        output.status
    );
    ensure!(
        output.stdout.is_empty(),
        "{args:?}: a message on standard output"
    );
    ensure!(
        said.contains(named),
        "{args:?}: {named:?} is not in {said:?}"
    );
    Ok(())
}

#[test]
fn wrong_usage_ends_with_2_and_names_what_is_wrong() -> Result<()> {
    for (args, named) in [
        (["-d", "0"], "0"),
        (["-d", "-1"], "-1"),
        (["-d", "x"], "x"),
        (["-d", "NaN"], "NaN"),
        (["-d", "inf"], "inf"),
        (["-n", "x"], "x"),
        (["-p", "x"], "x"),
        (["-u", "no-such-user"], "no-such-user"),
        (["--export", "xml"], "xml"),
    ] {
        wrong_usage(&args, named)?;
    }
    wrong_usage(&["--no-such-option"], "--no-such-option")
}

#[test]
fn wrong_usage_says_what_to_do() -> Result<()> {
    for (args, advice) in [
        (&["--filter", "a("][..], "unclosed group"),
        (&["--fields", "tid,nonsense"], "block_write_bytes"),
        (&["--fields", ""], "block_write_bytes"),
        (&["--sort", "nonsense"], "block_write_bytes"),
        (&["-s", "--tid"], "block_write_bytes"),
        (&["--group-by", "disk"], "device, file"),
        (
            &["--group-by", "user", "--fields", "tid"],
            "tasks, read_bytes",
        ),
        (&["--sort", "name"], "pid, tid"),
        (&["-P", "--group-by", "user"], "leave one of them out"),
        (&["--no-ebpf", "--group-by", "file"], "leave out"),
        (&["--no-ebpf", "--device", "8:0"], "leave out"),
        (&["--export", "ndjson", "--fields", "tid"], "--export csv"),
        (&["--no-ebpf", "--explain-writeback"], "leave out"),
        (&["--explain-writeback", "--export", "csv"], "leave one"),
        (&["--explain-writeback", "--filter", "x"], "leave one"),
        (&["--no-ebpf", "--explain-wakeups"], "leave out"),
        (&["--explain-wakeups", "-p", "1"], "leave one"),
        (&["--explain-wakeups", "--idle", "0.5"], "-d 0.5 or less"),
        (&["--explain-wakeups", "--idle", "0"], "above 0"),
        (&["--explain-wakeups", "--idle", "x"], "seconds"),
        (&["--idle", "5"], "--explain-wakeups"),
        (&["--explain-writeback", "-a"], "leave one"),
        (&["--fields", "nonsense"], "--fields help"),
        (&["--top", "0"], "0"),
        (&["--final"], "--accumulated"),
        (&["--explain-writeback", "--top", "3"], "leave one"),
        (
            &["--explain-writeback", "--export", "ndjson", "-a", "--final"],
            "leave one",
        ),
        (&["--require-ebpf", "--no-ebpf"], "--no-ebpf"),
        (&["--detail", "1"], "-p prints a process"),
        (&["--detail", "1", "--group-by", "user"], "--group-by"),
        (&["--device", "no-such-disk"], "there are"),
        (&["--device", "/dev/null"], "8:0"),
    ] {
        wrong_usage(args, advice)?;
    }
    Ok(())
}

#[test]
fn an_unknown_pid_is_wrong_usage() -> Result<()> {
    let mut child = Command::new("true").spawn()?;
    let pid = child.id().to_string();
    soon().wait(&mut child)?;
    wrong_usage(&["-n", "1", "-p", &pid], &pid)
}

#[test]
fn a_broken_or_foreign_ebpf_object_ends_with_1_and_is_named() -> Result<()> {
    let object = include_bytes!("../../iotop-user/src/probe/iotop-trace.bpf.o");
    let own_binary = fs::read(BINARY)?;
    let whole = object.len();
    let broken: [&[u8]; 7] = [
        b"",
        &object[..1],
        &object[..64],
        &object[..whole / 2],
        &object[..whole - 1],
        b"no object at all\n",
        &own_binary,
    ];
    let dir = TempDir::new()?;
    let path = dir.path().join("broken.o");
    let file = path.to_str().context("a path in UTF-8")?;
    for (number, bytes) in broken.into_iter().enumerate() {
        fs::write(&path, bytes)?;
        let output = run(&[&NDJSON[..], &["-n", "1", "--ebpf-object", file]].concat())?;
        let said = complaint(&output);
        ensure!(
            output.status.code() == Some(1),
            "{number}: {}: {said}",
            output.status
        );
        ensure!(
            output.stdout.is_empty(),
            "{number}: lines on standard output"
        );
        ensure!(said.contains(file), "{number}: no file named in {said:?}");
        ensure!(!said.contains("panicked"), "{number}: {said}");
    }
    Ok(())
}
