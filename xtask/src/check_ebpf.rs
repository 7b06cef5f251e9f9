//! Compares the committed object with the kernel half's source.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{object, privilege, process, workspace};

/// How the committed object and one that was just built compare.
#[derive(Debug, PartialEq, Eq)]
enum Comparison {
    /// The same bytes.
    Same,
    /// Built by the same compiler; these sections differ.
    Stale(Vec<String>),
    /// Built by another compiler, named here: the bytes cannot be compared.
    OtherCompiler(String),
}

/// Fails unless the committed object is what its source compiles to. If another
/// compiler built it, the object in `rebuilt` must load instead.
pub fn check(rebuilt: &Path) -> Result<()> {
    let committed = workspace::committed_object();
    match compare_files(&committed, rebuilt)? {
        Comparison::Same => {
            eprintln!("{} is what its source compiles to.", committed.display());
            Ok(())
        }
        Comparison::Stale(sections) => bail!(
            "{} is not what its source compiles to; {}.\n\
             Run `cargo xtask build-ebpf` and commit the object together with the source.{}",
            committed.display(),
            if sections.is_empty() {
                "the sections are the same, their order is not".to_owned()
            } else {
                format!("these sections differ: {}", sections.join(" "))
            },
            installed_sources_hint()
        ),
        Comparison::OtherCompiler(compiler) => {
            eprintln!(
                "The committed object was built by another compiler ({compiler}), \
                 so its bytes cannot be compared. Loading the rebuilt object instead."
            );
            doctor(rebuilt)
        }
    }
}

/// Warns if the committed object is not the one in `rebuilt`.
pub fn warn_if_stale(rebuilt: &Path) -> Result<()> {
    if let Comparison::Stale(sections) = compare_files(&workspace::committed_object(), rebuilt)? {
        eprintln!(
            "warning: the committed object is older than its source (sections that differ: {}), \
             and iotop-trace embeds the committed one. Run `cargo xtask build-ebpf`.",
            sections.join(" ")
        );
    }
    Ok(())
}

fn compare_files(committed: &Path, rebuilt: &Path) -> Result<Comparison> {
    let read = |file: &Path| {
        std::fs::read(file).with_context(|| format!("could not read {}", file.display()))
    };
    compare(&read(committed)?, &read(rebuilt)?).with_context(|| {
        format!(
            "could not compare {} with the rebuilt one",
            committed.display()
        )
    })
}

fn compare(committed: &[u8], rebuilt: &[u8]) -> Result<Comparison> {
    if committed == rebuilt {
        return Ok(Comparison::Same);
    }
    let ours = object::compiler(rebuilt)?;
    Ok(match object::compiler(committed)? {
        Some(theirs) if Some(&theirs) != ours.as_ref() => Comparison::OtherCompiler(theirs),
        _ => Comparison::Stale(object::differing_sections(committed, rebuilt)?),
    })
}

/// Lets the program's own doctor load the object and judge it.
fn doctor(object: &Path) -> Result<()> {
    process::run(workspace::cargo("build").args(["--package", "iotop-trace"]))?;
    let program = workspace::target().join("debug/iotop-trace");
    process::run(
        privilege::command(program)?
            .args(["doctor", "--ebpf-object"])
            .arg(object),
    )
}

/// A hint if sources of the library are installed: LLVM copies their lines into BTF.
fn installed_sources_hint() -> String {
    let sources: Vec<PathBuf> = std::fs::read_dir("/usr/src")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().starts_with("/usr/src/rustc-"))
        .collect();
    match sources.first() {
        None => String::new(),
        Some(dir) => format!(
            "\n{} is installed here and leaves its lines in the object: \
             the committed one is built without rust-web-src.",
            dir.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with sections and nothing else. The section of the names is called
    /// "".
    fn object(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut names = b"\0".to_vec();
        let mut file = vec![0; 0x40];
        let mut headers = vec![0; 0x40];
        let mut add = |file: &mut Vec<u8>, name: usize, content: &[u8]| {
            let mut header = [0; 0x40];
            header[..4].copy_from_slice(&(name as u32).to_le_bytes());
            header[0x18..0x20].copy_from_slice(&(file.len() as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(content.len() as u64).to_le_bytes());
            file.extend(content);
            headers.extend(header);
        };
        for (name, content) in sections {
            let at = names.len();
            names.extend(name.bytes().chain([0]));
            add(&mut file, at, content);
        }
        let (count, table) = (sections.len() as u16 + 2, file.len() + names.len());
        add(&mut file, 0, &names);
        file.extend(headers);
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
        file[0x3a..0x3c].copy_from_slice(&0x40_u16.to_le_bytes());
        file[0x3c..0x3e].copy_from_slice(&count.to_le_bytes());
        file[0x3e..0x40].copy_from_slice(&(count - 1).to_le_bytes());
        file
    }

    #[test]
    fn another_compiler_is_no_difference_of_the_source() -> Result<()> {
        let committed = object(&[(".text", b"1"), (".compiler", b"rustc 1")]);
        let same = object(&[(".text", b"1"), (".compiler", b"rustc 1")]);
        let stale = object(&[(".text", b"2"), (".maps", b"3"), (".compiler", b"rustc 1")]);
        let other = object(&[(".text", b"2"), (".compiler", b"rustc 2")]);
        let differ = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        assert_eq!(compare(&committed, &same)?, Comparison::Same);
        assert_eq!(
            compare(&committed, &stale)?,
            Comparison::Stale(differ(&[".text", "", ".maps"]))
        );
        assert_eq!(
            compare(&committed, &other)?,
            Comparison::OtherCompiler("rustc 1".to_owned())
        );
        Ok(())
    }

    #[test]
    fn an_object_that_names_no_compiler_is_stale() -> Result<()> {
        let committed = object(&[(".text", b"1")]);
        let rebuilt = object(&[(".text", b"1"), (".compiler", b"rustc 1")]);
        assert!(matches!(
            compare(&committed, &rebuilt)?,
            Comparison::Stale(_)
        ));
        Ok(())
    }
}
