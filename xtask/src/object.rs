//! Finishes the kernel half's object after it is linked.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::toolchain::Toolchain;
use crate::{btf, elf, process};

/// The section that says what built the object. Loaders ignore it.
const COMPILER: &str = ".compiler";

/// Strips the debug information (BTF stays: the kernel reads it, and the
/// verifier quotes source lines from it), records the compiler, and orders
/// what LLVM leaves to chance.
pub fn finish(toolchain: &Toolchain, linked: &Path, finished: &Path) -> Result<()> {
    let note = linked.with_extension("compiler");
    std::fs::write(&note, toolchain.version()?)
        .with_context(|| format!("could not write {}", note.display()))?;
    let mut section = OsString::from(format!("{COMPILER}="));
    section.push(&note);
    process::run(
        Command::new(toolchain.objcopy()?)
            .arg("--strip-debug")
            .arg("--add-section")
            .arg(section)
            .arg(linked)
            .arg(finished),
    )?;
    let mut object = read(finished)?;
    btf::order_forward_declarations(elf::section_mut(&mut object, ".BTF")?)?;
    std::fs::write(finished, object)
        .with_context(|| format!("could not write {}", finished.display()))
}

fn read(object: &Path) -> Result<Vec<u8>> {
    std::fs::read(object).with_context(|| format!("could not read {}", object.display()))
}

/// What built the object, if it says so.
pub fn compiler(object: &[u8]) -> Result<Option<String>> {
    let sections = elf::sections(object)?;
    let section = sections.into_iter().find(|(name, _)| name == COMPILER);
    Ok(section.map(|(_, text)| String::from_utf8_lossy(text).into_owned()))
}

/// The names of the sections that are in one object only or differ.
pub fn differing_sections(old: &[u8], new: &[u8]) -> Result<Vec<String>> {
    let (old, new) = (elf::sections(old)?, elf::sections(new)?);
    let gone_or_changed = old.iter().filter(|section| !new.contains(section));
    let added = new
        .iter()
        .filter(|(name, _)| old.iter().all(|(other, _)| other != name));
    Ok(gone_or_changed
        .chain(added)
        .map(|(name, _)| name.clone())
        .collect())
}
