//! Tests what the program derives from the types of other kernels, and of kernels that lack
//! something. `cargo xtask record-btf` has recorded these types in `recorded/`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use iotop_common::Layout;

use super::{
    btf::Btf,
    counted::Counted,
    hooks::{self, Hook, NoTracepoint, On},
    layout::{self, LayoutError, Machine},
    limits,
    reasons::Reasons,
    sysctls::Sysctls,
};
use crate::golden;

/// Names the directory in which `cargo xtask record-btf` puts the full BTF of the kernels to
/// record.
const KERNELS: &str = "IOTOP_TRACE_KERNELS";

/// A kernel's version and its BTF.
struct Kernel {
    version: (u32, u32),
    btf: Vec<u8>,
    /// The BTF of its modules.
    modules: Vec<Vec<u8>>,
}

/// Everything that the program derives from BTF.
#[derive(Debug, PartialEq)]
struct Answers {
    layout: Result<Layout, LayoutError>,
    hooks: Result<Vec<Hook>, NoTracepoint>,
    reasons: Reasons,
}

impl Kernel {
    /// Reads a file that is named by the version, such as `6.12.btf`, and those of modules
    /// beside it, such as `6.12.xfs`.
    fn read(path: &Path) -> Kernel {
        let name = path.file_stem().and_then(|name| name.to_str());
        let numbers = name.and_then(|name| name.split_once('.'));
        let (major, minor) = numbers.expect("a version");
        Kernel {
            version: (major.parse().expect("major"), minor.parse().expect("minor")),
            btf: fs::read(path).expect("read"),
            modules: ["btrfs", "xfs"]
                .iter()
                .filter_map(|module| fs::read(path.with_extension(module)).ok())
                .collect(),
        }
    }

    /// The running kernel, if it has BTF.
    fn running() -> Option<Kernel> {
        let settings = Sysctls::read(Path::new("/proc"), Path::new("/sys"));
        Some(Kernel {
            version: settings.version()?,
            btf: fs::read("/sys/kernel/btf/vmlinux").ok()?,
            modules: Vec::new(),
        })
    }

    fn name(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    fn types(&self) -> Btf {
        let mut types = Btf::parse(self.btf.clone()).expect("well-formed");
        for module in &self.modules {
            types.add_module(module).expect("well-formed");
        }
        types
    }

    fn answers(&self) -> Answers {
        self.answers_of(&self.types())
    }

    fn answers_of(&self, types: &Btf) -> Answers {
        let machine = Machine {
            page_size: 4096,
            tags: 1 << 20,
            jiffy: Duration::from_millis(4),
            tasks_seen: 1 << 16,
            version: Some(self.version),
        };
        Answers {
            layout: layout::resolve(types, &machine),
            hooks: hooks::choose(types, Some(self.version)),
            reasons: Reasons::of(types),
        }
    }

    /// The same kernel with only those types that the program looks up.
    fn reduced(&self) -> Kernel {
        let types = self.types();
        self.answers_of(&types);
        Kernel {
            btf: types.reduced(),
            modules: Vec::new(),
            ..*self
        }
    }

    /// The same kernel without the types and members of these names.
    fn without(&self, names: &[&str]) -> Kernel {
        let mut btf = self.btf.clone();
        // `struct btf_header` of include/uapi/linux/btf.h: the lengths before the strings. A
        // number among the types may look like a name.
        let word = |at: usize| u32::from_ne_bytes(btf[at..at + 4].try_into().expect("a word"));
        let (header, before_strings) = (word(4), word(16));
        let strings = &mut btf[(header + before_strings) as usize..];
        for name in names {
            let whole = format!("\0{name}\0").into_bytes();
            let found = strings.windows(whole.len()).position(|part| *part == whole);
            strings[found.expect(name) + 1] = b'~';
        }
        Kernel {
            btf,
            modules: Vec::new(),
            ..*self
        }
    }

    fn layout(&self) -> Layout {
        let layout = self.answers().layout;
        layout.unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }

    fn hooks(&self) -> Vec<Hook> {
        let hooks = self.answers().hooks;
        hooks.unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/host/kernel/recorded")
}

/// The kernels of a directory, from the oldest to the newest.
fn kernels(directory: &Path) -> Vec<Kernel> {
    let entries = fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut kernels: Vec<Kernel> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "btf"))
        .map(|path| Kernel::read(&path))
        .collect();
    kernels.sort_by_key(|kernel| kernel.version);
    assert!(!kernels.is_empty(), "{}", directory.display());
    kernels
}

fn recorded() -> Vec<Kernel> {
    kernels(&directory())
}

fn check(name: &str, text: &str) {
    golden::compare(&format!("src/host/kernel/golden/{name}"), text);
}

#[test]
fn each_kernel_has_only_the_limits_that_follow_from_its_types() {
    for kernel in recorded() {
        let limits = limits::of(&kernel.layout(), true, 0);
        let preempted = limits.iter().filter(|line| line.contains("preempted"));
        let expected = usize::from(kernel.version >= (7, 0));
        assert_eq!(preempted.count(), expected, "{}", kernel.name());
        assert_eq!(limits.len(), expected, "{}: {limits:?}", kernel.name());
    }
    let unknown = Layout::default();
    assert_eq!(
        limits::of(&unknown, false, 1).len(),
        5,
        "every limit but preemption"
    );
}

#[test]
#[ignore = "writes what the other tests read; `cargo xtask record-btf` runs it"]
fn record() {
    let whole = std::env::var_os(KERNELS).expect("a directory");
    for kernel in kernels(Path::new(&whole)) {
        let reduced = kernel.reduced();
        assert_eq!(reduced.answers(), kernel.answers(), "{}", kernel.name());
        let path = directory().join(format!("{}.btf", kernel.name()));
        fs::write(path, reduced.btf).expect("written");
    }
}

#[test]
fn a_reduced_btf_gives_the_same_answers_as_the_full_one() {
    let Some(kernel) = Kernel::running() else {
        eprintln!("skipped: this kernel has no BTF");
        return;
    };
    assert_eq!(kernel.reduced().answers(), kernel.answers());
}

#[test]
fn the_hooks_of_each_kernel() {
    let mut text = String::new();
    for kernel in recorded() {
        for hook in kernel.hooks() {
            let (program, on) = (hook.program, hook.on);
            text += &format!("{:<6}{program:<24}{on}\n", kernel.name());
        }
    }
    check("hooks.txt", &text);
}

/// A line for each field, a column for each kernel.
#[test]
fn the_layout_of_each_kernel() {
    let mut table = vec![format!("{:<28}", "")];
    for kernel in recorded() {
        table[0] += &format!("{:>10}", kernel.name());
        let fields = format!("{:#?}", kernel.layout());
        let fields = fields.lines().filter_map(|line| line.split_once(": "));
        for (n, (name, value)) in (1..).zip(fields) {
            if n == table.len() {
                table.push(format!("{:<28}", name.trim()));
            }
            table[n] += &format!("{:>10}", value.trim_end_matches(','));
        }
    }
    check("layouts.txt", &(table.join("\n") + "\n"));
}

#[test]
fn the_reasons_of_each_kernel() {
    let mut text = String::new();
    for kernel in recorded() {
        let reasons = kernel.answers().reasons;
        for number in 0..16 {
            let name = reasons.name(number);
            if *name != *number.to_string() {
                text += &format!("{:<6}{number:<3}{name}\n", kernel.name());
            }
        }
    }
    check("reasons.txt", &text);
}

#[test]
fn a_missing_tracepoint_is_named_with_advice() {
    for kernel in recorded() {
        for hook in kernel.hooks() {
            let On::Tracepoint(name) = hook.on else {
                continue;
            };
            let lacking = kernel.without(&[&format!("btf_trace_{name}")]);
            if hook.on.is_optional() {
                let left = lacking.hooks();
                assert_eq!(left.len() + 1, kernel.hooks().len(), "without {name}");
                continue;
            }
            let error = lacking.answers().hooks.expect_err(name).to_string();
            // A kernel without folios needs the tracepoint for pages.
            let name = name.replace("dirty_folio", "dirty_page");
            assert!(error.contains(&format!("tracepoint {name},")), "{error}");
            assert!(error.contains("CONFIG_BPF_EVENTS"), "{error}");
        }
    }
}

#[test]
fn without_config_block_the_error_names_the_option() {
    for kernel in recorded() {
        let lacking = kernel.without(&["btf_trace_block_bio_queue", "bio"]);
        let error = lacking.answers().layout.expect_err("no bios").to_string();
        assert!(error.contains("block_bio_queue"), "{error}");
        assert!(error.contains("CONFIG_BLOCK"), "{error}");
    }
}

#[test]
fn a_missing_required_field_is_named_with_advice() {
    for kernel in recorded() {
        for (name, field) in [
            ("page", "struct page"),
            ("bi_io_vec", "bio.bi_io_vec"),
            ("PG_writeback", "pageflags PG_writeback"),
            ("wb_writeback_work", "wb_writeback_work.reason"),
        ] {
            let lacking = kernel.without(&[name]).answers().layout;
            let error = lacking.expect_err(name).to_string();
            assert!(error.contains(field), "{error}");
            assert!(error.contains("please report"), "{error}");
        }
    }
}

#[test]
fn without_config_task_io_accounting_bytes_are_not_counted() {
    for kernel in recorded() {
        let lacking = kernel.without(&["read_bytes", "write_bytes", "cancelled_write_bytes"]);
        let layout = Layout {
            task_read_bytes: 0,
            task_write_bytes: 0,
            task_cancelled_write_bytes: 0,
            ..kernel.layout()
        };
        assert_eq!(lacking.layout(), layout);
        let counted = Counted {
            bytes: false,
            ..Counted::ALL
        };
        assert_eq!(Counted::by_layout(&layout), counted);
    }
}

/// CONFIG_TASK_IO_ACCOUNTING, which counts bytes, depends on CONFIG_TASK_XACCT.
#[test]
fn without_config_task_xacct_neither_calls_nor_bytes_are_counted() {
    for kernel in recorded() {
        let counted = Counted {
            calls: false,
            bytes: false,
            ..Counted::ALL
        };
        let lacking = kernel.without(&["ioac"]);
        assert_eq!(Counted::by_layout(&lacking.layout()), counted);
    }
}

#[test]
fn without_config_task_delay_acct_delays_are_not_counted() {
    for kernel in recorded() {
        let lacking = kernel.without(&["delays", "task_delay_info"]).layout();
        let counted = Counted {
            delays: false,
            ..Counted::ALL
        };
        assert_eq!(Counted::by_layout(&lacking), counted);
        assert_eq!(Counted::by_layout(&kernel.layout()), Counted::ALL);
    }
}

#[test]
fn without_config_cgroups_no_task_has_one() {
    for kernel in recorded() {
        let lacking = kernel.without(&["cgroups", "css_set", "cgroup", "memcg_css"]);
        let layout = Layout {
            task_cgroups: 0,
            css_set_dfl_cgrp: 0,
            cgroup_kn: 0,
            cgroup_root: 0,
            css_cgroup: 0,
            wb_memcg_css: 0,
            ..kernel.layout()
        };
        assert_eq!(lacking.layout(), layout);
    }
}

/// Without CONFIG_MEMCG the field is missing too.
#[test]
fn without_config_cgroup_writeback_no_cgroup_is_charged() {
    for kernel in recorded() {
        let layout = Layout {
            wb_memcg_css: 0,
            ..kernel.layout()
        };
        assert_eq!(kernel.without(&["memcg_css"]).layout(), layout);
    }
}

#[test]
fn a_pointer_is_followed_only_if_every_field_behind_it_is_known() {
    for kernel in recorded() {
        for renamed in ["blkio_delay", "swapin_delay", "blkio_count", "swapin_count"] {
            assert_eq!(kernel.without(&[renamed]).layout().task_delays, 0);
        }
        for renamed in ["wchar", "syscr", "syscw"] {
            assert_eq!(kernel.without(&[renamed]).layout().task_rchar, 0);
        }
        let cancelled = kernel.without(&["cancelled_write_bytes"]);
        assert_eq!(cancelled.layout().task_read_bytes, 0);
        for renamed in ["css_set", "dfl_cgrp", "kn", "kernfs_node"] {
            assert_eq!(kernel.without(&[renamed]).layout().task_cgroups, 0);
        }
        for renamed in ["kn", "kernfs_node"] {
            assert_eq!(kernel.without(&[renamed]).layout().wb_memcg_css, 0);
        }
    }
}

#[test]
fn a_missing_function_costs_only_its_own_programs() {
    for kernel in recorded() {
        let mut hooks = kernel.hooks();
        let functions = hooks.iter().filter_map(|hook| match hook.on {
            On::Entry(name) | On::Exit(name) => Some(name),
            _ => None,
        });
        // Some functions have a program at the entry and one at the exit.
        let functions: BTreeSet<&str> = functions.collect();
        let lacking = kernel.without(&functions.into_iter().collect::<Vec<_>>());
        hooks.retain(|hook| !hook.on.is_function());
        assert_eq!(lacking.hooks(), hooks);
    }
}
