//! A CPU that goes and comes back while tasks write. Only in a virtual machine that has a
//! second CPU: elsewhere, others need it.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use super::{MIB, owner, together};
use crate::support::checks::near;
use crate::support::device::{Device, Fs};
use crate::support::run::Run;
use crate::support::settings::Setting;

const SECOND: &str = "/sys/devices/system/cpu/cpu1/online";
const LEN: u64 = 8 * MIB;
const TURNS: usize = 3;

pub fn trials() -> Vec<Trial> {
    if !Path::new(SECOND).exists() {
        return Vec::new();
    }
    let trial = || go_and_come_back().map_err(|error| format!("{error:#}").into());
    vec![Trial::test("cpus::go_and_come_back", trial)]
}

/// What was counted on a CPU that is gone is still counted, and a CPU that was not there at the
/// start counts like the others.
fn go_and_come_back() -> Result<()> {
    let device = Device::create(Fs::Ext4)?;
    let mut run = Run::new(&device, "cpus")?;
    run.trace()?;
    let files = ["a", "b"].map(|name| run.file(name));
    let len = LEN.to_string();
    let work = files.each_ref().map(|file| ["write", file, "0", &len]);
    let mut pids = Vec::new();
    for _ in 0..TURNS {
        let second = Setting::online(Path::new(SECOND))?;
        ensure!(online()? == "0-1", "the second CPU does not come");
        pids.extend(together(
            &run,
            &[("gt-first", &work[0]), ("gt-second", &work[1])],
        )?);
        drop(second);
        ensure!(online()? == "0", "the second CPU does not go");
        run.flush()?;
        // An interval in which there is only one CPU.
        sleep(Duration::from_secs(1));
    }
    let written = LEN * pids.len() as u64;
    run.metadata *= 2;
    let Some(report) = run.finish(written, 0)? else {
        return Ok(());
    };
    for (comm, pid) in pids {
        near(comm, owner(&report, comm, pid)?.written, LEN)?;
    }
    Ok(())
}

fn online() -> Result<String> {
    let list = fs::read_to_string("/sys/devices/system/cpu/online")?;
    Ok(list.trim().to_owned())
}
