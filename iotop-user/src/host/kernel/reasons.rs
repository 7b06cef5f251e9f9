//! Why a flush runs: `enum wb_reason` of the running kernel. Some releases renumber it: 7.2
//! has no `laptop_timer` and a new `dontcache`.

use std::{collections::HashMap, sync::Arc};

use super::btf::Btf;

const PREFIX: &str = "WB_REASON_";

/// The names of the reasons, as the kernel's own tracepoints print them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons(HashMap<u32, Arc<str>>);

impl Reasons {
    /// Reads the names from this kernel's BTF.
    pub fn of(btf: &Btf) -> Reasons {
        let variants = btf.enum_variants("wb_reason").unwrap_or_default();
        let named = variants.into_iter().filter_map(|(name, value)| {
            let name = std::str::from_utf8(name).ok()?.strip_prefix(PREFIX)?;
            let name: Arc<str> = name.to_ascii_lowercase().into();
            (&*name != "max").then_some((u32::try_from(value).ok()?, name))
        });
        named.collect()
    }

    /// A reason's name, or its number if this kernel has no name for it.
    pub fn name(&self, reason: u32) -> Arc<str> {
        match self.0.get(&reason) {
            Some(name) => name.clone(),
            None => reason.to_string().into(),
        }
    }
}

impl FromIterator<(u32, Arc<str>)> for Reasons {
    fn from_iter<T: IntoIterator<Item = (u32, Arc<str>)>>(names: T) -> Reasons {
        Reasons(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_unknown_reason_is_its_number() {
        assert_eq!(&*Reasons::default().name(9), "9");
    }

    #[test]
    fn the_running_kernels_reasons_have_their_names() {
        let Ok(btf) = Btf::from_file(Path::new("/sys/kernel/btf/vmlinux")) else {
            eprintln!("skipped: this kernel has no BTF");
            return;
        };
        let reasons = Reasons::of(&btf);
        assert_eq!(&*reasons.name(0), "background");
        assert_eq!(&*reasons.name(2), "sync");
    }
}
