//! The tracers to measure: this checkout's, and another one to compare with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::elf;

/// An iotop-trace to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub name: &'static str,
    pub program: PathBuf,
    /// A kernel half to load instead of the one built into the program.
    pub object: Option<PathBuf>,
}

/// This checkout's program, and what `--against` names: another program, or a
/// kernel-half object for this one to load.
pub fn all(program: &Path, against: Option<&Path>) -> Result<Vec<Subject>> {
    let this = Subject {
        name: "this",
        program: program.to_owned(),
        object: None,
    };
    let Some(file) = against else {
        return Ok(vec![this]);
    };
    let content =
        std::fs::read(file).with_context(|| format!("could not read {}", file.display()))?;
    let machine = elf::machine(&content)
        .with_context(|| format!("{} is no program and no object", file.display()))?;
    let file = std::path::absolute(file)?;
    let other = if machine == elf::EM_BPF {
        Subject {
            name: "other",
            program: program.to_owned(),
            object: Some(file),
        }
    } else {
        Subject {
            name: "other",
            program: file,
            object: None,
        }
    };
    Ok(vec![this, other])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn an_object_is_loaded_by_this_program_and_a_program_runs_itself() -> Result<()> {
        let this = Path::new("/this");
        let object = workspace::committed_object();
        let subjects = all(this, Some(&object))?;
        assert_eq!(subjects[1].program, this);
        assert_eq!(subjects[1].object, Some(object));
        let subjects = all(this, Some(Path::new("/proc/self/exe")))?;
        assert_eq!(subjects[1].program, Path::new("/proc/self/exe"));
        assert_eq!(subjects[1].object, None);
        Ok(())
    }

    #[test]
    fn other_files_are_refused() {
        let manifest = workspace::root().join("Cargo.toml");
        assert!(all(Path::new("/this"), Some(&manifest)).is_err());
        assert!(all(Path::new("/this"), Some(Path::new("/nonexistent"))).is_err());
    }
}
