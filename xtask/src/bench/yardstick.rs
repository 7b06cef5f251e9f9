//! Programs to compare with: one that does nothing, one that only counts.

use std::path::Path;

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::RawTracePoint;

/// Which yardstick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Empty,
    Count,
}

/// Both yardsticks on some tracepoints. Dropping them detaches them.
pub struct Yardsticks {
    _loaded: Vec<Ebpf>,
    programs: Vec<(u32, Kind)>,
}

impl Yardsticks {
    /// Attaches both to each tracepoint; the object is loaded again for each,
    /// because the kernel's statistics are for a program, not a tracepoint.
    pub fn attach(object: &Path, tracepoints: &[String]) -> Result<Yardsticks> {
        let mut all = Yardsticks {
            _loaded: Vec::new(),
            programs: Vec::new(),
        };
        for tracepoint in tracepoints {
            let mut ebpf = Ebpf::load_file(object)
                .with_context(|| format!("could not load {}", object.display()))?;
            for (name, kind) in [("empty", Kind::Empty), ("count", Kind::Count)] {
                let program: &mut RawTracePoint = ebpf
                    .program_mut(name)
                    .with_context(|| format!("{} has no program {name}", object.display()))?
                    .try_into()?;
                program.load()?;
                program
                    .attach(tracepoint)
                    .with_context(|| format!("could not attach {name} to {tracepoint}"))?;
                all.programs.push((program.info()?.id(), kind));
            }
            all._loaded.push(ebpf);
        }
        Ok(all)
    }

    /// What the program with this number is, if it is one of these.
    pub fn kind(&self, id: u32) -> Option<Kind> {
        let program = self.programs.iter().find(|(known, _)| *known == id);
        program.map(|&(_, kind)| kind)
    }
}
