//! A reader of BTF, the kernel's own description of its types
//! (Documentation/bpf/btf.rst).
//!
//! Parsing walks the bytes once, to find where each type starts and its name. Everything
//! else is read in place. Arbitrary bytes never cause a panic.

#[cfg(test)]
mod reduced;

#[cfg(test)]
use std::{cell::RefCell, collections::BTreeSet};
use std::{collections::HashMap, io, path::Path};

const MAGIC: u16 = 0xeb9f;
/// The limit of nested anonymous members or modifiers. No kernel nests them so deep.
const MAX_DEPTH: u32 = 32;
/// The limit of anonymous members that are searched for one member. `struct page` has a dozen.
/// A struct that holds itself twice would otherwise take 2^`MAX_DEPTH` steps.
const MAX_SEARCHED: u32 = 1000;

const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FWD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_FLOAT: u32 = 16;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Why BTF could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file can't be read.
    #[error("{path} can't be read: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The bytes are not BTF that we can read.
    #[error("the BTF is malformed: {what}, at byte {at}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: usize,
    },
}

/// One kernel's types.
pub struct Btf {
    bytes: Vec<u8>,
    /// Where the kernel's own strings are.
    strings: (usize, usize),
    /// How many types the kernel itself has.
    own_types: u32,
    modules: Vec<Module>,
    /// Where each type starts. Type 0 is void and has no bytes.
    types: Vec<u32>,
    /// Types that have a name, by kind and a hash of the name.
    named: HashMap<(u32, u64), u32>,
    /// The types that were looked up by name. The kernels that tests use are reduced to them.
    #[cfg(test)]
    asked: RefCell<BTreeSet<u32>>,
}

/// The types of one module. Within the module, ids and strings go on where the kernel's end.
struct Module {
    /// Where its bytes begin.
    begin: usize,
    /// The id that its first type has here.
    first_type: u32,
    strings: (usize, usize),
}

#[derive(Clone, Copy)]
struct Type {
    kind: u32,
    vlen: u32,
    /// Size, or the type referred to.
    size_or_type: u32,
    /// Where the offset of its name is.
    name: usize,
    /// Where the data after the header starts.
    data: usize,
}

impl Btf {
    /// Reads a file such as `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    ///
    /// The file can't be read, or is not BTF in this machine's byte order.
    pub fn from_file(path: &Path) -> Result<Btf, BtfError> {
        let bytes = std::fs::read(path).map_err(|source| BtfError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Btf::parse(bytes)
    }

    /// Parses a whole BTF section.
    ///
    /// # Errors
    ///
    /// The bytes are not BTF in this machine's byte order.
    pub fn parse(bytes: Vec<u8>) -> Result<Btf, BtfError> {
        let sections = Sections::of(&bytes, 0)?;
        let mut types = vec![0];
        sections.list_types(&bytes, &mut types)?;
        let mut btf = Btf {
            bytes,
            strings: sections.strings,
            own_types: types.len() as u32,
            modules: Vec::new(),
            types,
            named: HashMap::new(),
            #[cfg(test)]
            asked: RefCell::default(),
        };
        btf.index_names();
        Ok(btf)
    }

    /// Adds the types of a module, from a file such as `/sys/kernel/btf/btrfs`.
    ///
    /// # Errors
    ///
    /// The bytes are not BTF in this machine's byte order.
    pub fn add_module(&mut self, module: &[u8]) -> Result<(), BtfError> {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(module);
        let known = self.types.len();
        let sections = Sections::of(&self.bytes, begin).and_then(|sections| {
            sections.list_types(&self.bytes, &mut self.types)?;
            Ok(sections)
        });
        match sections {
            Ok(sections) => self.modules.push(Module {
                begin,
                first_type: known as u32,
                strings: sections.strings,
            }),
            Err(error) => {
                self.types.truncate(known);
                self.bytes.truncate(begin);
                return Err(error);
            }
        }
        self.index_names();
        Ok(())
    }

    /// The offset of a member, in bytes. `path` goes through named members
    /// (`bi_iter.bi_size`); each step also searches anonymous ones.
    pub fn member_offset(&self, of: &str, path: &str) -> Option<u32> {
        let mut id = self.composite(of)?;
        let mut bits = 0u32;
        for name in path.split('.') {
            let mut left = MAX_SEARCHED;
            let (offset, member) = self.member(id, name, MAX_DEPTH, &mut left)?;
            bits = bits.checked_add(offset)?;
            id = self.resolve(member)?;
        }
        bits.is_multiple_of(8).then_some(bits / 8)
    }

    /// `sizeof` a struct or union.
    pub fn struct_size(&self, name: &str) -> Option<u32> {
        Some(self.at(self.composite(name)?)?.size_or_type)
    }

    /// The value of an enum's variant.
    pub fn enum_value(&self, of: &str, variant: &str) -> Option<i64> {
        self.enum_variants(of)?
            .into_iter()
            .find_map(|(name, value)| (name == variant.as_bytes()).then_some(value))
    }

    /// Every variant of an enum, in order.
    pub fn enum_variants(&self, of: &str) -> Option<Vec<(&[u8], i64)>> {
        let id = self
            .find(KIND_ENUM, of)
            .or_else(|| self.find(KIND_ENUM64, of))?;
        let ty = self.at(id)?;
        let step = if ty.kind == KIND_ENUM64 { 12 } else { 8 };
        (0..ty.vlen as usize)
            .map(|n| {
                let at = ty.data + n * step;
                let low = self.word(at + 4)?;
                let value = if ty.kind == KIND_ENUM64 {
                    (u64::from(self.word(at + 8)?) << 32 | u64::from(low)).cast_signed()
                } else {
                    i64::from(low.cast_signed())
                };
                Some((self.name_at(at)?, value))
            })
            .collect()
    }

    /// How many arguments a tracepoint passes (its `TP_PROTO`), by the typedef
    /// `btf_trace_<name>`. `None` if this kernel has no such tracepoint.
    pub fn tracepoint_args(&self, name: &str) -> Option<u32> {
        // The first argument is the probe's own data.
        self.tracepoint(name)?.vlen.checked_sub(1)
    }

    /// The struct that the n-th argument of a tracepoint points to.
    pub fn tracepoint_arg(&self, name: &str, n: usize) -> Option<&str> {
        let proto = self.tracepoint(name)?;
        let at = proto.data + (n + 1) * 8 + 4;
        let arg = self.type_at(at)?;
        #[cfg(test)]
        self.asked.borrow_mut().insert(arg);
        let pointer = self.at(self.resolve(arg)?)?;
        let of = self.at(self.resolve(pointer.size_or_type)?)?;
        let is_struct = pointer.kind == KIND_PTR && of.kind == KIND_STRUCT;
        std::str::from_utf8(self.name_at(of.name).filter(|_| is_struct)?).ok()
    }

    /// A tracepoint's prototype.
    fn tracepoint(&self, name: &str) -> Option<Type> {
        let typedef = self.at(self.find(KIND_TYPEDEF, &format!("btf_trace_{name}"))?)?;
        let pointer = self.at(typedef.size_or_type)?;
        let proto = self.at(pointer.size_or_type)?;
        (pointer.kind == KIND_PTR && proto.kind == KIND_FUNC_PROTO).then_some(proto)
    }

    /// The value of an enumerator in any enum, because some enums have no name.
    pub fn enumerator(&self, name: &str) -> Option<u32> {
        for id in 1..self.types.len() as u32 {
            let Some(ty) = self.at(id).filter(|ty| ty.kind == KIND_ENUM) else {
                continue;
            };
            for at in (0..ty.vlen as usize).map(|n| ty.data + n * 8) {
                if self.name_at(at)? == name.as_bytes() {
                    #[cfg(test)]
                    self.asked.borrow_mut().insert(id);
                    return self.word(at + 4);
                }
            }
        }
        None
    }

    /// True if the kernel has a function of this name. There are too many functions to index
    /// them for the few that are looked up.
    pub fn has_function(&self, name: &str) -> bool {
        let found = (1..self.types.len() as u32).find(|id| {
            self.at(*id).is_some_and(|ty| {
                ty.kind == KIND_FUNC && self.name_at(ty.name) == Some(name.as_bytes())
            })
        });
        #[cfg(test)]
        self.asked.borrow_mut().extend(found);
        found.is_some()
    }

    fn index_names(&mut self) {
        let mut named = HashMap::with_capacity(self.types.len() / 2);
        for id in 1..self.types.len() as u32 {
            let Some(ty) = self.at(id) else { continue };
            let wanted = matches!(
                ty.kind,
                KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_ENUM64 | KIND_TYPEDEF
            );
            if wanted && let Some(name) = self.name_at(ty.name).filter(|name| !name.is_empty()) {
                // Of several types with one name the first counts, as in the kernel.
                named.entry((ty.kind, hash(name))).or_insert(id);
            }
        }
        self.named = named;
    }

    fn find(&self, kind: u32, name: &str) -> Option<u32> {
        let id = *self.named.get(&(kind, hash(name.as_bytes())))?;
        let found = (self.name_at(self.at(id)?.name)? == name.as_bytes()).then_some(id);
        #[cfg(test)]
        self.asked.borrow_mut().extend(found);
        found
    }

    fn composite(&self, name: &str) -> Option<u32> {
        self.find(KIND_STRUCT, name)
            .or_else(|| self.find(KIND_UNION, name))
            .or_else(|| self.resolve(self.find(KIND_TYPEDEF, name)?))
    }

    /// Follows typedefs and qualifiers to the type itself.
    fn resolve(&self, mut id: u32) -> Option<u32> {
        for _ in 0..MAX_DEPTH {
            let ty = self.at(id)?;
            match ty.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = ty.size_or_type;
                }
                _ => return Some(id),
            }
        }
        None
    }

    /// A member's bit offset and type. `left` is how many anonymous members may be searched.
    fn member(&self, of: u32, name: &str, depth: u32, left: &mut u32) -> Option<(u32, u32)> {
        let ty = self.at(of)?;
        if depth == 0 || !matches!(ty.kind, KIND_STRUCT | KIND_UNION) {
            return None;
        }
        // If kind_flag is set, the upper byte is the width of a bit field.
        let offset_mask = if self.word(ty.data - 8)? >> 31 == 1 {
            0x00ff_ffff
        } else {
            u32::MAX
        };
        for n in 0..ty.vlen as usize {
            let at = ty.data + n * 12;
            let member_name = self.name_at(at)?;
            let member_type = self.type_at(at + 4)?;
            let offset = self.word(at + 8)? & offset_mask;
            if member_name == name.as_bytes() {
                return Some((offset, member_type));
            }
            if member_name.is_empty()
                && let Some(inner) = self.resolve(member_type)
            {
                *left = left.checked_sub(1)?;
                if let Some((more, found)) = self.member(inner, name, depth - 1, left) {
                    return Some((offset.checked_add(more)?, found));
                }
            }
        }
        None
    }

    fn at(&self, id: u32) -> Option<Type> {
        if id == 0 {
            return None;
        }
        let start = *self.types.get(id as usize)? as usize;
        let info = self.word(start + 4)?;
        let kind = info >> 24 & 0x1f;
        let size_or_type = match kind {
            KIND_PTR | KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT
            | KIND_TYPE_TAG | KIND_FUNC | KIND_FUNC_PROTO => self.type_at(start + 8)?,
            _ => self.word(start + 8)?,
        };
        Some(Type {
            kind,
            vlen: info & 0xffff,
            size_or_type,
            name: start,
            data: start + 12,
        })
    }

    fn word(&self, at: usize) -> Option<u32> {
        read_u32(&self.bytes, at)
    }

    /// The module that the byte at this place belongs to.
    fn module(&self, at: usize) -> Option<&Module> {
        self.modules.iter().rev().find(|module| module.begin <= at)
    }

    /// The type that the word at this place refers to.
    fn type_at(&self, at: usize) -> Option<u32> {
        let id = self.word(at)?;
        match self.module(at) {
            Some(module) if id >= self.own_types => {
                (id - self.own_types).checked_add(module.first_type)
            }
            _ => Some(id),
        }
    }

    /// The string that the word at this place refers to.
    fn name_at(&self, at: usize) -> Option<&[u8]> {
        let offset = self.word(at)? as usize;
        let (begin, end) = self.strings;
        let (start, end) = match offset.checked_sub(end - begin) {
            None => (begin + offset, end),
            Some(beyond) => {
                let (start, end) = self.module(at)?.strings;
                (start.checked_add(beyond)?, end)
            }
        };
        let rest = self.bytes.get(start..end)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(&rest[..end])
    }
}

/// Where the parts of a BTF section are.
struct Sections {
    types: (usize, usize),
    strings: (usize, usize),
}

impl Sections {
    /// The parts of the section that begins at `begin` and ends where `bytes` ends.
    fn of(bytes: &[u8], begin: usize) -> Result<Sections, BtfError> {
        let bad = |what, at| BtfError::Malformed { what, at };
        let word = |at: usize| read_u32(bytes, begin + at).ok_or(bad("the header is cut off", at));
        let magic = word(0)? as u16;
        if magic == MAGIC.swap_bytes() {
            return Err(bad("the byte order is not this machine's", 0));
        }
        if magic != MAGIC {
            return Err(bad("the magic number is wrong", 0));
        }
        let header = begin.saturating_add(word(4)? as usize);
        let section = |offset: u32, length: u32| {
            let start = header.checked_add(offset as usize)?;
            let end = start.checked_add(length as usize)?;
            (end <= bytes.len()).then_some((start, end))
        };
        Ok(Sections {
            types: section(word(8)?, word(12)?).ok_or(bad("the types reach past the end", 8))?,
            strings: section(word(16)?, word(20)?)
                .ok_or(bad("the strings reach past the end", 16))?,
        })
    }

    /// Appends where each type begins.
    fn list_types(&self, bytes: &[u8], types: &mut Vec<u32>) -> Result<(), BtfError> {
        let bad = |what, at| BtfError::Malformed { what, at };
        let (mut at, end) = self.types;
        while at < end {
            types.push(at as u32);
            let length = type_length(bytes, at).ok_or(bad("a type of unknown kind", at))?;
            at = at
                .checked_add(length)
                .ok_or(bad("a type is too long", at))?;
        }
        match at == end {
            true => Ok(()),
            false => Err(bad("the last type reaches past the section of types", at)),
        }
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_ne_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// The length of a type, with everything that follows its header.
fn type_length(bytes: &[u8], at: usize) -> Option<usize> {
    let info = read_u32(bytes, at.checked_add(4)?)?;
    let vlen = (info & 0xffff) as usize;
    let more = match info >> 24 & 0x1f {
        KIND_PTR | KIND_FWD | KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT
        | KIND_FUNC | KIND_FLOAT | KIND_TYPE_TAG => 0,
        KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * vlen,
        KIND_ENUM | KIND_FUNC_PROTO => 8 * vlen,
        _ => return None,
    };
    Some(12 + more)
}

/// FNV-1a.
fn hash(name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes BTF by hand: types are appended as words, names as strings.
    struct Builder {
        types: Vec<u32>,
        strings: Vec<u8>,
        next: u32,
    }

    impl Builder {
        fn new() -> Builder {
            Builder {
                types: Vec::new(),
                strings: vec![0],
                next: 1,
            }
        }

        fn name(&mut self, name: &str) -> u32 {
            if name.is_empty() {
                return 0;
            }
            let at = self.strings.len() as u32;
            self.strings.extend(name.as_bytes());
            self.strings.push(0);
            at
        }

        fn add(&mut self, name: &str, kind: u32, vlen: u32, word: u32, data: &[u32]) -> u32 {
            let name = self.name(name);
            self.types.extend([name, kind << 24 | vlen, word]);
            self.types.extend(data);
            self.next += 1;
            self.next - 1
        }

        fn int(&mut self, name: &str) -> u32 {
            self.add(name, KIND_INT, 0, 4, &[32])
        }

        fn composite(&mut self, kind: u32, name: &str, size: u32, of: &[(&str, u32, u32)]) -> u32 {
            let data: Vec<u32> = of
                .iter()
                .flat_map(|(name, id, bytes)| [self.name(name), *id, bytes * 8])
                .collect();
            self.add(name, kind, of.len() as u32, size, &data)
        }

        fn finish(self) -> Vec<u8> {
            let types: Vec<u8> = self
                .types
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect();
            let header = [
                u32::from(MAGIC) | 1 << 16,
                24,
                0,
                types.len() as u32,
                types.len() as u32,
                self.strings.len() as u32,
            ];
            let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_ne_bytes()).collect();
            bytes.extend(types);
            bytes.extend(self.strings);
            bytes
        }
    }

    /// A bio with an iterator behind a typedef and a qualifier, a page with
    /// members in anonymous structs and unions, enums, a tracepoint.
    fn blob() -> Vec<u8> {
        let mut b = Builder::new();
        let int = b.int("int");
        let iter = b.composite(
            KIND_STRUCT,
            "bvec_iter",
            12,
            &[("bi_sector", int, 0), ("bi_size", int, 8)],
        );
        let constant = b.add("", KIND_CONST, 0, iter, &[]);
        let typedef = b.add("iter_t", KIND_TYPEDEF, 0, constant, &[]);
        b.composite(
            KIND_STRUCT,
            "bio",
            64,
            &[("bi_opf", int, 16), ("bi_iter", typedef, 40)],
        );
        let inner = b.composite(KIND_STRUCT, "", 16, &[("lru", int, 0), ("mapping", int, 8)]);
        let either = b.composite(
            KIND_UNION,
            "",
            16,
            &[("", inner, 0), ("compound_head", int, 0)],
        );
        b.composite(
            KIND_STRUCT,
            "page",
            64,
            &[("flags", int, 0), ("", either, 8)],
        );
        let variants = [("READ", 0u32), ("WRITE", 1), ("BELOW", u32::MAX)];
        let data: Vec<u32> = variants.iter().flat_map(|(n, v)| [b.name(n), *v]).collect();
        b.add("req_op", KIND_ENUM, 3, 4, &data);
        let high = b.name("HIGH");
        b.add("wide", KIND_ENUM64, 1, 8, &[high, 5, 1]);
        let proto = b.add("", KIND_FUNC_PROTO, 3, 0, &[0, int, 0, int, 0, int]);
        let pointer = b.add("", KIND_PTR, 0, proto, &[]);
        b.add("btf_trace_block_bio_queue", KIND_TYPEDEF, 0, pointer, &[]);
        let global = 1;
        b.add("submit_bio", KIND_FUNC, global, proto, &[]);
        b.finish()
    }

    #[test]
    fn members_are_found_through_typedefs_qualifiers_and_anonymous_members() {
        let btf = Btf::parse(blob()).expect("well-formed");
        assert_eq!(btf.member_offset("bio", "bi_opf"), Some(16));
        assert_eq!(btf.member_offset("bio", "bi_iter.bi_size"), Some(48));
        assert_eq!(btf.member_offset("page", "mapping"), Some(16));
        assert_eq!(btf.member_offset("page", "compound_head"), Some(8));
        assert_eq!(btf.member_offset("page", "nosuch"), None);
        assert_eq!(btf.member_offset("bio", "bi_opf.deeper"), None);
        assert_eq!(btf.struct_size("page"), Some(64));
    }

    #[test]
    fn enums_of_both_widths_have_their_values() {
        let btf = Btf::parse(blob()).expect("well-formed");
        assert_eq!(btf.enum_value("req_op", "WRITE"), Some(1));
        assert_eq!(btf.enum_value("req_op", "BELOW"), Some(-1));
        assert_eq!(btf.enum_value("wide", "HIGH"), Some(5 | 1 << 32));
        assert_eq!(btf.enum_value("wide", "LOW"), None);
    }

    #[test]
    fn a_tracepoints_arguments_are_counted_without_the_probes_data() {
        let btf = Btf::parse(blob()).expect("well-formed");
        assert_eq!(btf.tracepoint_args("block_bio_queue"), Some(2));
        assert_eq!(btf.tracepoint_args("nosuch"), None);
    }

    #[test]
    fn a_reduced_btf_keeps_only_what_was_looked_up() {
        let whole = Btf::parse(blob()).expect("well-formed");
        whole.struct_size("bio");
        whole.enum_value("wide", "HIGH");
        whole.tracepoint_args("block_bio_queue");
        assert!(whole.has_function("submit_bio"));
        assert!(!whole.has_function("submit_bio_noacct"));
        let reduced = Btf::parse(whole.reduced()).expect("well-formed");
        assert_eq!(reduced.struct_size("bio"), Some(64));
        assert_eq!(reduced.member_offset("bio", "bi_opf"), Some(16));
        assert_eq!(reduced.member_offset("bio", "bi_iter.bi_size"), Some(48));
        assert_eq!(reduced.enum_value("wide", "HIGH"), Some(5 | 1 << 32));
        assert_eq!(reduced.tracepoint_args("block_bio_queue"), Some(2));
        assert!(reduced.has_function("submit_bio"));
        assert!(!reduced.has_function("submit_bio_noacct"));
        assert_eq!(reduced.struct_size("page"), None);
        assert_eq!(reduced.enum_value("req_op", "WRITE"), None);
    }

    /// A module's types and strings continue those of the kernel.
    #[test]
    fn a_modules_types_are_found_beside_the_kernels() {
        let mut btf = Btf::parse(blob()).expect("well-formed");
        let (types, strings) = (btf.own_types, (btf.strings.1 - btf.strings.0));
        let bio = btf.find(KIND_STRUCT, "bio").expect("known");
        // Each module was built for the kernel alone: its own ids begin where the kernel's end.
        for (name, at) in [("dip", 16), ("mount", 24)] {
            let mut module = Builder::new();
            module.strings = vec![b'x'; strings];
            module.composite(KIND_STRUCT, name, 80, &[("count", 1, 0), ("bio", bio, at)]);
            let outer = format!("{name}_holder");
            module.composite(KIND_STRUCT, &outer, 96, &[("inner", types, 8)]);
            module.strings.drain(..strings);
            btf.add_module(&module.finish()).expect("well-formed");
        }
        assert_eq!(btf.member_offset("dip", "bio.bi_opf"), Some(32));
        assert_eq!(
            btf.member_offset("mount_holder", "inner.bio.bi_opf"),
            Some(48)
        );
        assert_eq!(btf.member_offset("bio", "bi_opf"), Some(16));
        assert!(btf.add_module(&[0; 24]).is_err());
        assert_eq!(btf.struct_size("mount"), Some(80));
    }

    #[test]
    fn another_byte_order_and_junk_are_refused_with_the_reason() {
        let mut swapped = blob();
        swapped[..2].reverse();
        let error = Btf::parse(swapped).err().expect("refused");
        assert!(error.to_string().contains("byte order"), "{error}");
        assert!(Btf::parse(Vec::new()).is_err());
        assert!(Btf::parse(vec![0; 64]).is_err());
    }

    /// Calls every query. It only matters that they return.
    fn exercise(bytes: Vec<u8>) {
        let Ok(btf) = Btf::parse(bytes) else { return };
        for of in ["bio", "page", "iter_t", "req_op", "wide"] {
            for path in ["bi_iter.bi_size", "mapping", "compound_head.x", ""] {
                btf.member_offset(of, path);
            }
            btf.struct_size(of);
            btf.enum_variants(of);
        }
        btf.tracepoint_args("block_bio_queue");
    }

    #[test]
    fn arbitrary_bytes_never_panic_or_loop() {
        let whole = blob();
        for length in 0..whole.len() {
            exercise(whole[..length].to_vec());
        }
        // xorshift64
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize
        };
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random() % 4 {
                let at = random() % bytes.len();
                bytes[at] = random() as u8;
            }
            exercise(bytes);
        }
    }
}
