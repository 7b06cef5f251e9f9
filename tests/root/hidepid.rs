//! /proc is mounted so that it hides other users' processes.

use std::process::Output;

use anyhow::{Result, ensure};

use super::program::{NOBODY, as_nobody, complaint, soon};
use super::unshare;

/// Runs the program as nobody, beside another user's process, where /proc is mounted with
/// `hidepid=invisible`. `PID` in the arguments is the number of the process.
fn where_proc_hides(capabilities: &str, args: &str) -> Result<Output> {
    let (dir, _) = as_nobody()?;
    let (binary, nobody) = (dir.path().join("iotop-trace"), NOBODY);
    // A new mount has options of its own (since 5.8), those of the machine's /proc stay.
    let script = format!(
        "mount --make-rprivate / && mount -t proc -o hidepid=invisible proc /proc || exit 77
         setpriv --reuid=1234 --regid=1234 --clear-groups sleep 30 & PID=$!
         trap 'kill $PID' EXIT
         until [ \"$(cat /proc/$PID/comm)\" = sleep ]; do sleep 0.02; done
         setpriv --reuid={nobody} --regid={nobody} --clear-groups --inh-caps={capabilities} \
             --ambient-caps={capabilities} {} -b -n 1 -d 0.3 {args}",
        binary.display()
    );
    let mut command = unshare(&["--mount"])?;
    let output = soon().output(command.args(["sh", "-c", &script]))?;
    ensure!(output.status.code() != Some(77), "{}", complaint(&output));
    Ok(output)
}

pub fn reported_with_the_way_out() -> Result<()> {
    let one = "-p $PID --fields tid,user,command";
    let kernel_half = "+bpf,+perfmon,+net_admin";
    let output = where_proc_hides(kernel_half, one)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{text}{}", complaint(&output));
    let row = text.lines().find(|line| line.ends_with("sleep"));
    ensure!(row.is_some_and(|row| row.contains("1234")), "{text}");
    for word in [
        "! /proc hides",
        "hidepid=invisible",
        "CAP_SYS_PTRACE",
        "gid=",
    ] {
        ensure!(text.contains(word), "no {word:?} in {text}");
    }
    // With the capability nothing is hidden.
    let output = where_proc_hides(&format!("{kernel_half},+sys_ptrace"), one)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        text.contains("sleep 30") && !text.contains("hidepid"),
        "{text}"
    );
    // Nothing lists the process: it is not said to be missing.
    let output = where_proc_hides("-all", "--no-ebpf -p $PID")?;
    let said = complaint(&output);
    ensure!(output.status.code() == Some(2), "{}: {said}", output.status);
    ensure!(
        said.contains("hides it") && said.contains("CAP_SYS_PTRACE"),
        "{said}"
    );
    Ok(())
}
