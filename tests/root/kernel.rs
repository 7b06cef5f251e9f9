//! What the kernel lacks or refuses: a message says so, and everything else still
//! works.

use std::fs;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSection as _};
use serde_json::Value;
use tempfile::TempDir;

use super::program::{BINARY, NDJSON, complaint, json_lines, run, soon};
use super::unshare;

/// A program of the kernel half, by its section.
const DIRTIED: &str = "tp_btf/writeback_dirty_folio";

/// Where a kernel has its BTF.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

pub fn without_btf() -> Result<()> {
    let script = "mount --bind /dev/null /sys/kernel/btf/vmlinux && exec \"$0\" \"$@\"";
    let mut command = unshare(&["--mount"])?;
    command.args(["sh", "-c", script, BINARY]);
    let output = soon().output(command.args(NDJSON).args(["-n", "1"]))?;
    let said = complaint(&output);
    ensure!(output.status.success(), "{}: {said}", output.status);
    ensure!(said.contains("CONFIG_DEBUG_INFO_BTF"), "{said:?}");
    let lines = json_lines(&output)?;
    let system = lines.first().context("no lines")?;
    ensure!(system["pgpgout_bytes"].is_u64(), "no vmstat: {system}");
    ensure!(system["block_write_bytes"] == Value::Null, "{system}");
    Ok(())
}

/// Runs the program as if the kernel's BTF did not have this name.
fn without(name: &str, args: &[&str]) -> Result<Output> {
    let mut types = fs::read(VMLINUX)?;
    let whole = format!("\0{name}\0").into_bytes();
    let found = types.windows(whole.len()).position(|part| part == whole);
    types[found.with_context(|| format!("no {name} in {VMLINUX}"))? + 1] = b'~';
    let dir = TempDir::new()?;
    let hidden = dir.path().join("vmlinux");
    fs::write(&hidden, types)?;
    let script = format!("mount --bind \"$0\" {VMLINUX} && exec \"$@\"");
    let mut command = unshare(&["--mount"])?;
    command.args(["sh", "-c", &script]).arg(&hidden);
    soon().output(command.arg(BINARY).args(args))
}

pub fn without_counters() -> Result<()> {
    let output = without("ioac", &[&NDJSON[..], &["-n", "1"]].concat())?;
    let said = complaint(&output);
    ensure!(output.status.success(), "{}: {said}", output.status);
    ensure!(said.contains("CONFIG_TASK_IO_ACCOUNTING"), "{said:?}");
    let lines = json_lines(&output)?;
    let system = lines.first().context("no lines")?;
    ensure!(system["block_write_bytes"].is_u64(), "no eBPF: {system}");
    let tasks = || lines.iter().filter(|line| line["type"] == "task");
    ensure!(tasks().count() > 0, "no tasks: {lines:?}");
    for task in tasks() {
        for counter in ["read_bytes", "write_bytes", "read_char", "write_syscalls"] {
            ensure!(task[counter] == Value::Null, "{counter} is known: {task}");
        }
    }
    let doctor = without("ioac", &["doctor", "--format", "json"])?;
    let facts: Value = serde_json::from_slice(&doctor.stdout)?;
    ensure!(facts["ebpf"] == true, "{facts}");
    let missing = facts["missing"].to_string();
    ensure!(missing.contains("CONFIG_TASK_IO_ACCOUNTING"), "{missing}");
    ensure!(missing.contains("CONFIG_TASK_XACCT"), "{missing}");
    Ok(())
}

pub fn without_a_tracepoint() -> Result<()> {
    let args = [&NDJSON[..], &["-n", "1"]].concat();
    let output = without("btf_trace_writeback_queue", &args)?;
    let said = complaint(&output);
    ensure!(output.status.success(), "{}: {said}", output.status);
    ensure!(said.contains("no tracepoint writeback_queue"), "{said:?}");
    ensure!(said.contains("CONFIG_BPF_EVENTS"), "{said:?}");
    let lines = json_lines(&output)?;
    let system = lines.first().context("no lines")?;
    ensure!(system["block_write_bytes"] == Value::Null, "{system}");
    Ok(())
}

pub fn refused_program() -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/probe/iotop-trace.bpf.o");
    let mut bytes = fs::read(path)?;
    let (start, length) = object::File::parse(&*bytes)?
        .section_by_name(DIRTIED)
        .and_then(|section| section.file_range())
        .with_context(|| format!("no section {DIRTIED} in {path}"))?;
    // The last instruction is `exit`; without it the program runs off its end.
    let end = usize::try_from(start + length)?;
    bytes[end - 8..end].fill(0);
    let dir = TempDir::new()?;
    let broken = dir.path().join("broken.o");
    fs::write(&broken, bytes)?;
    let broken = broken.display().to_string();
    let output = run(&["-n", "1", "--ebpf-object", &broken])?;
    let said = complaint(&output);
    ensure!(output.status.code() == Some(1), "{}: {said}", output.status);
    ensure!(said.contains("writeback_dirty_folio"), "{said:?}");
    ensure!(output.stdout.is_empty(), "data in spite of the failure");
    Ok(())
}
