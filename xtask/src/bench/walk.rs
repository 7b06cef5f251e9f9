//! The floor of a refresh: the kernel's own walk over all tasks, with a program that
//! looks at none of them.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use aya::programs::Iter;
use aya::{Btf, Ebpf};

use super::{cpu, median};

/// The name of the program in the yardstick.
const PROGRAM: &str = "walk";

/// The loaded program. It can be measured again and again.
pub struct Walk {
    ebpf: Ebpf,
}

impl Walk {
    pub fn load(object: &Path) -> Result<Walk> {
        let mut ebpf = Ebpf::load_file(object)
            .with_context(|| format!("could not load {}", object.display()))?;
        let btf = Btf::from_sys_fs().context("could not read the kernel's BTF")?;
        program(&mut ebpf)?.load("task", &btf)?;
        Ok(Walk { ebpf })
    }

    /// CPU time of one walk, the median of `count`.
    pub fn measure(&mut self, count: usize) -> Result<Duration> {
        let walks = (0..count)
            .map(|_| self.once())
            .collect::<Result<Vec<_>>>()?;
        let seconds = median(walks.iter().map(Duration::as_secs_f64));
        Ok(Duration::from_secs_f64(seconds))
    }

    fn once(&mut self) -> Result<Duration> {
        // So that the caches are as cold as for a pass that comes once a second.
        std::thread::sleep(Duration::from_secs(1));
        let program = program(&mut self.ebpf)?;
        let before = cpu::of_process(std::process::id())?;
        let attached = program.attach()?;
        let mut file: File = program.take_link(attached)?.into_file()?;
        // Nothing is written, so the whole walk is one read.
        let said = file.read(&mut [0; 64])?;
        anyhow::ensure!(said == 0, "a program that says nothing said {said} bytes");
        Ok(cpu::of_process(std::process::id())?.saturating_sub(before))
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Iter> {
    let program = ebpf
        .program_mut(PROGRAM)
        .with_context(|| format!("the yardstick has no program {PROGRAM}"))?;
    Ok(program.try_into()?)
}
