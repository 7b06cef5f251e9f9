//! The order of forward declarations in the kernel half's BTF.
//!
//! LLVM puts the declarations of structures that are only pointed to at the end of its
//! types, in the order of its own memory addresses. The same source therefore gives
//! another order in another directory (`FixupDerivedTypes` in LLVM's
//! lib/Target/BPF/BTFDebug.cpp). Here they get the order of the first pointers to them,
//! which does not change, and so do their names at the end of the strings.
//!
//! The format: Documentation/bpf/btf.rst in the kernel's source.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

const KIND_PTR: u32 = 2;
const KIND_FWD: u32 = 7;

/// A type's fixed part: name, kind and number of members, size or type.
const HEADER: usize = 12;

struct Type {
    /// Where it starts in the section.
    start: usize,
    kind: u32,
    /// Where the names of the type and its members are in the strings.
    names: Vec<usize>,
}

/// Puts the forward declarations of a .BTF section and their names into the
/// order of the first pointers to them.
///
/// # Errors
///
/// The section is cut off, or LLVM writes forward declarations elsewhere.
pub fn order_forward_declarations(section: &mut [u8]) -> Result<()> {
    let types = types(section)?;
    let (declared, others): (Vec<_>, Vec<_>) = (1..)
        .zip(&types)
        .partition(|(_, other)| other.kind == KIND_FWD);
    let ids: Vec<usize> = declared.iter().map(|&(id, _)| id).collect();
    let pointers: Vec<&Type> = others
        .iter()
        .map(|&(_, other)| other)
        .filter(|other| other.kind == KIND_PTR)
        .collect();

    let mut order = Vec::new();
    for pointer in &pointers {
        let target = word(section, pointer.start + 8)?;
        if ids.contains(&target) && !order.contains(&target) {
            order.push(target);
        }
    }
    ensure!(
        order.len() == ids.len(),
        ".BTF declares a structure that nothing points to"
    );

    let names = order_names(section, &types, &order)?;
    let declarations = order
        .iter()
        .map(|&id| -> Result<Vec<u8>> {
            let Type { start, .. } = types[id - 1];
            let name = word(section, start)?;
            let name = names.get(&name).copied().unwrap_or(name);
            let mut declaration = section[start..start + HEADER].to_vec();
            declaration[..4].copy_from_slice(&bytes(name)?);
            Ok(declaration)
        })
        .collect::<Result<Vec<_>>>()?;
    for (&id, declaration) in ids.iter().zip(declarations) {
        section[types[id - 1].start..][..HEADER].copy_from_slice(&declaration);
    }
    let moved: BTreeMap<usize, usize> = order.into_iter().zip(ids).collect();
    for pointer in pointers {
        let target = word(section, pointer.start + 8)?;
        if let Some(&target) = moved.get(&target) {
            section[pointer.start + 8..][..4].copy_from_slice(&bytes(target)?);
        }
    }
    Ok(())
}

/// Orders the names at the end of the strings, which only forward declarations have.
/// Returns where each of them moved.
fn order_names(
    section: &mut [u8],
    types: &[Type],
    order: &[usize],
) -> Result<BTreeMap<usize, usize>> {
    let header = word(section, 4)?;
    let strings = header + word(section, 16)?;
    let end = strings + word(section, 20)?;
    let last = types
        .iter()
        .filter(|other| other.kind != KIND_FWD)
        .flat_map(|other| &other.names)
        .max()
        .copied()
        .unwrap_or(0);

    let mut moved = BTreeMap::new();
    let mut ordered = Vec::new();
    let start = last + string(section, strings + last, end)?.len();
    for &id in order {
        let name = types[id - 1].names[0];
        if name > last && !moved.contains_key(&name) {
            moved.insert(name, start + ordered.len());
            ordered.extend_from_slice(string(section, strings + name, end)?);
        }
    }
    ensure!(
        strings + start + ordered.len() == end,
        "the strings of .BTF do not end with the names of its forward declarations"
    );
    section[strings + start..end].copy_from_slice(&ordered);
    Ok(moved)
}

fn types(section: &[u8]) -> Result<Vec<Type>> {
    let header = word(section, 4)?;
    let mut start = header + word(section, 8)?;
    let end = start + word(section, 12)?;
    let mut types = Vec::new();
    while start < end {
        let info = u32::try_from(word(section, start + 4)?)?;
        let kind = info >> 24 & 0x1f;
        let members = (info & 0xffff) as usize;
        // The length of what follows a type's fixed part, and the size of each member
        // in it that has a name.
        let (length, named) = match kind {
            KIND_PTR | KIND_FWD | 8..=12 | 16 | 18 => (0, 0),
            1 | 14 | 17 => (4, 0),
            3 => (12, 0),
            4 | 5 | 19 => (12 * members, 12),
            6 | 13 => (8 * members, 8),
            15 => (12 * members, 0),
            other => bail!(".BTF has a type of kind {other}, which is not known here"),
        };
        let behind = start + HEADER;
        let mut names = vec![word(section, start)?];
        if named != 0 {
            for member in (behind..behind + length).step_by(named) {
                names.push(word(section, member)?);
            }
        }
        types.push(Type { start, kind, names });
        start = behind + length;
    }
    ensure!(start == end && end <= section.len(), ".BTF is cut off");
    Ok(types)
}

/// A string with its terminating 0.
fn string(section: &[u8], start: usize, end: usize) -> Result<&[u8]> {
    let string = section.get(start..end).context(".BTF is cut off")?;
    let length = string.iter().position(|&byte| byte == 0);
    let length = length.context("a string of .BTF does not end")?;
    Ok(&string[..=length])
}

fn word(section: &[u8], at: usize) -> Result<usize> {
    let bytes = section.get(at..at + 4).context(".BTF is cut off")?;
    Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
}

fn bytes(word: usize) -> Result<[u8; 4]> {
    Ok(u32::try_from(word)?.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An int, a pointer to each of three structures, and their declarations
    /// in the order LLVM chose. Two have one name, as two closures of one
    /// name in two modules do.
    fn section(chosen: [usize; 3]) -> Vec<u8> {
        let declared = ["Walk", "Clear", "Clear"];
        let mut strings = b"\0int\0".to_vec();
        let mut types = vec![1, 1 << 24, 4, 32];
        for pointed_to in 0..3 {
            let place = chosen.iter().position(|&other| other == pointed_to);
            types.extend([0, KIND_PTR << 24, 5 + place.expect("a place") as u32]);
        }
        for structure in chosen {
            let name = [declared[structure].as_bytes(), b"\0"].concat();
            let known = strings
                .windows(name.len())
                .position(|known| *known == *name);
            let offset = known.unwrap_or(strings.len());
            if known.is_none() {
                strings.extend(name);
            }
            types.extend([offset as u32, KIND_FWD << 24, structure as u32]);
        }
        let length = 4 * types.len() as u32;
        [0x0001_eb9f, 24, 0, length, length, strings.len() as u32]
            .into_iter()
            .chain(types)
            .flat_map(u32::to_le_bytes)
            .chain(strings)
            .collect()
    }

    #[test]
    fn the_same_source_gives_the_same_btf_whatever_order_llvm_chose() -> Result<()> {
        for chosen in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 0, 1], [1, 2, 0]] {
            let mut ordered = section(chosen);
            order_forward_declarations(&mut ordered)?;
            assert_eq!(ordered, section([0, 1, 2]), "{chosen:?}");
        }
        Ok(())
    }

    #[test]
    fn a_name_that_others_have_too_stays_where_it_is() -> Result<()> {
        let mut section = section([1, 2, 0]);
        // The int is called as two of the structures are.
        section[24..28].copy_from_slice(&5_u32.to_le_bytes());
        order_forward_declarations(&mut section)?;
        assert_eq!(section[24..28], 5_u32.to_le_bytes());
        assert!(section.ends_with(b"\0int\0Clear\0Walk\0"));
        Ok(())
    }

    #[test]
    fn a_section_cut_off_anywhere_is_an_error() {
        let whole = section([2, 1, 0]);
        for length in 0..whole.len() {
            assert!(order_forward_declarations(&mut whole[..length].to_vec()).is_err());
        }
    }
}
