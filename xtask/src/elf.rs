//! The sections of a 64-bit little-endian ELF file.

use anyhow::{Context, Result, bail};

/// A section's name and content.
pub type Section<'a> = (String, &'a [u8]);

/// A section without content in the file.
const SHT_NOBITS: u32 = 8;

/// The machine that code for the kernel's eBPF is compiled for (elf.h: EM_BPF).
pub const EM_BPF: usize = 247;

/// What the file's code is compiled for.
pub fn machine(file: &[u8]) -> Result<usize> {
    check(file)?;
    number::<2>(file, 0x12)
}

/// A section's content, to be changed.
pub fn section_mut<'a>(file: &'a mut [u8], name: &str) -> Result<&'a mut [u8]> {
    let sections = sections(file)?;
    let section = sections.iter().find(|(other, _)| other == name);
    let (_, content) = section.with_context(|| format!("no section {name}"))?;
    let start = content.as_ptr().addr() - file.as_ptr().addr();
    let range = start..start + content.len();
    Ok(&mut file[range])
}

/// Every section, in the file's order.
pub fn sections(file: &[u8]) -> Result<Vec<Section<'_>>> {
    check(file)?;
    let table = number::<8>(file, 0x28)?;
    let entry_size = number::<2>(file, 0x3a)?;
    let count = number::<2>(file, 0x3c)?;
    let names_index = number::<2>(file, 0x3e)?;
    let header = |index: usize| -> Result<&[u8]> {
        let start = index
            .checked_mul(entry_size)
            .and_then(|offset| offset.checked_add(table));
        part(file, start, 0x40)
    };
    let names = content(file, header(names_index)?)?;
    (0..count)
        .map(|index| {
            let header = header(index)?;
            let name = names.get(number::<4>(header, 0)?..).unwrap_or_default();
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            Ok((name, content(file, header)?))
        })
        .collect()
}

fn check(file: &[u8]) -> Result<()> {
    if file.get(..6) != Some(b"\x7fELF\x02\x01") {
        bail!("not a 64-bit little-endian ELF file");
    }
    Ok(())
}

fn content<'a>(file: &'a [u8], header: &[u8]) -> Result<&'a [u8]> {
    if number::<4>(header, 4)? == SHT_NOBITS as usize {
        return Ok(&[]);
    }
    let offset = number::<8>(header, 0x18)?;
    part(file, Some(offset), number::<8>(header, 0x20)?)
}

fn part(file: &[u8], start: Option<usize>, length: usize) -> Result<&[u8]> {
    let end = start.and_then(|start| start.checked_add(length));
    start
        .zip(end)
        .and_then(|(start, end)| file.get(start..end))
        .context("the ELF file is cut off")
}

fn number<const SIZE: usize>(bytes: &[u8], offset: usize) -> Result<usize> {
    let bytes = part(bytes, Some(offset), SIZE)?;
    let value = bytes
        .iter()
        .rev()
        .fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    Ok(usize::try_from(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sections_of_this_program_are_read() -> Result<()> {
        let program = std::fs::read("/proc/self/exe")?;
        let sections = sections(&program)?;
        let interpreter = sections.iter().find(|(name, _)| name == ".interp");
        let (_, interpreter) = interpreter.context("no .interp")?;
        assert!(interpreter.starts_with(b"/lib"));
        Ok(())
    }

    #[test]
    fn a_file_cut_off_anywhere_is_an_error() -> Result<()> {
        let program = std::fs::read("/proc/self/exe")?;
        for length in [0, 5, 6, 0x30, 0x3f, program.len() / 2] {
            assert!(sections(&program[..length]).is_err(), "{length} bytes");
        }
        Ok(())
    }
}
