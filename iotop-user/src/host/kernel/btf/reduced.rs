//! Reduces a kernel's BTF to the types that were looked up: a few kB, which are kept with the
//! tests that look them up.

use std::collections::{BTreeMap, HashMap};

use super::{
    Btf, KIND_CONST, KIND_ENUM, KIND_ENUM64, KIND_FUNC, KIND_FUNC_PROTO, KIND_INT, KIND_PTR,
    KIND_RESTRICT, KIND_STRUCT, KIND_TYPE_TAG, KIND_TYPEDEF, KIND_UNION, KIND_VOLATILE, MAGIC,
};

/// The first type: a byte that stands for every type that is left out.
const BYTE: u32 = 1;

impl Btf {
    /// BTF with the types that were looked up so far, and the structs and unions that they
    /// hold by value. Every other type becomes a byte.
    pub fn reduced(&self) -> Vec<u8> {
        let mut kept = BTreeMap::new();
        for id in self.asked.borrow().iter() {
            self.keep(*id, &mut kept);
        }
        for (new, id) in (BYTE + 1..).zip(kept.values_mut()) {
            *id = new;
        }
        let mut writer = Writer {
            kept: &kept,
            types: Vec::new(),
            strings: vec![0],
            places: HashMap::from([(Vec::new(), 0)]),
        };
        writer.byte();
        for id in kept.keys() {
            self.write(*id, &mut writer).expect("a whole type");
        }
        let length = 4 * writer.types.len() as u32;
        let strings = writer.strings.len() as u32;
        let header = [u32::from(MAGIC) | 1 << 16, 24, 0, length, length, strings];
        let words = header.into_iter().chain(writer.types);
        words
            .flat_map(u32::to_ne_bytes)
            .chain(writer.strings)
            .collect()
    }

    /// Marks a type, and the types that it leads to, as kept. They get their new ids later.
    fn keep(&self, id: u32, kept: &mut BTreeMap<u32, u32>) {
        let Some(ty) = self.at(id).filter(|_| !kept.contains_key(&id)) else {
            return;
        };
        match ty.kind {
            KIND_STRUCT | KIND_UNION => {
                kept.insert(id, 0);
                let members = (0..ty.vlen as usize).map(|n| self.type_at(ty.data + n * 12 + 4));
                for member in members.flatten().filter(|id| self.is_composite(*id)) {
                    self.keep(member, kept);
                }
            }
            KIND_ENUM | KIND_ENUM64 | KIND_FUNC_PROTO => {
                kept.insert(id, 0);
            }
            KIND_PTR | KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT
            | KIND_TYPE_TAG | KIND_FUNC => {
                kept.insert(id, 0);
                self.keep(ty.size_or_type, kept);
            }
            _ => {}
        }
    }

    fn is_composite(&self, id: u32) -> bool {
        let ty = self.resolve(id).and_then(|id| self.at(id));
        ty.is_some_and(|ty| matches!(ty.kind, KIND_STRUCT | KIND_UNION))
    }

    fn write(&self, id: u32, to: &mut Writer<'_>) -> Option<()> {
        let ty = self.at(id)?;
        // How many words a member has, and whether its second one is a type.
        let (words, typed) = match ty.kind {
            KIND_STRUCT | KIND_UNION => (3, true),
            KIND_ENUM64 => (3, false),
            KIND_ENUM => (2, false),
            KIND_FUNC_PROTO => (2, true),
            _ => (0, false),
        };
        let has_size = matches!(ty.kind, KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_ENUM64);
        to.name(self.name_at(ty.name)?);
        to.types.push(self.word(ty.data - 8)?);
        to.number(ty.size_or_type, !has_size);
        let members = if words == 0 { 0 } else { ty.vlen as usize };
        for at in (0..members).map(|n| ty.data + n * words * 4) {
            to.name(self.name_at(at)?);
            let number = if typed {
                self.type_at(at + 4)
            } else {
                self.word(at + 4)
            };
            to.number(number?, typed);
            if words == 3 {
                to.types.push(self.word(at + 8)?);
            }
        }
        Some(())
    }
}

struct Writer<'a> {
    /// The new ids of the types that are kept, by their old ids.
    kept: &'a BTreeMap<u32, u32>,
    types: Vec<u32>,
    strings: Vec<u8>,
    /// Where each name is in the strings.
    places: HashMap<Vec<u8>, u32>,
}

impl Writer<'_> {
    fn byte(&mut self) {
        self.name(b"left_out");
        let (size, bits) = (1, 8);
        self.types.extend([KIND_INT << 24, size, bits]);
    }

    fn name(&mut self, name: &[u8]) {
        let next = self.strings.len() as u32;
        let place = *self.places.entry(name.to_vec()).or_insert(next);
        if place == next {
            self.strings.extend(name);
            self.strings.push(0);
        }
        self.types.push(place);
    }

    fn number(&mut self, number: u32, of_a_type: bool) {
        self.types.push(match (of_a_type, number) {
            (false, _) | (true, 0) => number,
            (true, id) => self.kept.get(&id).copied().unwrap_or(BYTE),
        });
    }
}
