//! What is written in a format is read back as it was, whatever names it holds.

use std::fmt::Write as _;

use iotop_common::ExecutedHead;
use proptest::{prelude::*, sample::select};

use crate::{
    cli::GroupBy,
    escape::{escape, is_dangerous},
    host::{
        disks,
        identity::{Mounts, Stat, cgroup, cmdline, container},
        kernel::uevents,
        task_io,
        vmstat::Vmstat,
    },
    probe::{names as records, plain::plain},
    taskstats::{
        Taskstats,
        message::{Content, Message, record},
    },
    tui::state::settings::{Characters, Colors, Figures, Graph, Settings},
    view::{Direction, FIELDS, Sort},
};

/// A name as a hostile process may give it: any text without NUL.
fn name() -> impl Strategy<Value = String> {
    let parts = prop_oneof![
        "[^\\x00]{0,8}",
        select(
            &[
                "\\",
                "\\040",
                " ",
                "\n",
                "\t",
                ")",
                "(",
                ":",
                "\u{1b}[2J",
                "\u{202e}"
            ][..]
        )
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(parts, 0..6).prop_map(|parts| parts.concat())
}

/// The same in bytes, which need not be text.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1..=u8::MAX, 0..40)
}

/// A path of one or more names.
fn path() -> impl Strategy<Value = String> {
    let names = prop::collection::vec(name().prop_map(|name| name.replace('/', "")), 1..4);
    names.prop_map(|names| format!("/{}", names.join("/")))
}

/// As `mangle` of fs/proc_namespace.c writes a path.
fn mangled(path: &str) -> String {
    let mut text = String::new();
    for c in path.chars() {
        match c {
            ' ' | '\t' | '\n' | '\\' | '#' => _ = write!(text, "\\{:03o}", u32::from(c)),
            c => text.push(c),
        }
    }
    text
}

/// Undoes [`escape`].
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = |digits: &str| {
            u32::from_str_radix(digits, 16)
                .ok()
                .and_then(char::from_u32)
        };
        let (c, length) = match after.as_bytes()[0] {
            b'n' => ('\n', 1),
            b'r' => ('\r', 1),
            b't' => ('\t', 1),
            b'x' => (code(&after[1..3]).expect("two digits"), 3),
            _ => {
                let (digits, _) = after[2..].split_once('}').expect("u{...}");
                (code(digits).expect("digits"), 3 + digits.len())
            }
        };
        plain.push(c);
        rest = &after[length..];
    }
    plain + rest
}

fn settings() -> impl Strategy<Value = Settings> {
    let sort = (any::<prop::sample::Index>(), 0..3).prop_map(|(field, direction)| Sort {
        field: field.get(FIELDS),
        direction: [None, Some(Direction::Rising), Some(Direction::Falling)][direction as usize],
    });
    let columns = || prop::collection::vec(select(FIELDS.iter().collect::<Vec<_>>()), 0..5);
    (
        (1u32..1000).prop_map(|tenths| f64::from(tenths) / 10.0),
        select(&[GroupBy::Thread, GroupBy::Unit, GroupBy::File][..]),
        any::<[bool; 5]>(),
        select(&[Figures::Rates, Figures::Totals, Figures::Both][..]),
        select(&[Graph::Caused, Graph::Off][..]),
        prop::option::of(sort),
        (columns(), columns(), columns(), columns()),
        select(&[Colors::Auto, Colors::Ansi, Colors::True][..]),
    )
        .prop_map(
            |(delay, group_by, flags, figures, graph, sort, columns, colors)| Settings {
                delay,
                group_by,
                tree: flags[0],
                only: flags[1],
                exited: flags[2],
                figures,
                kilobytes: flags[3],
                command_line: flags[4],
                graph,
                sort,
                columns: columns.0,
                group_columns: columns.1,
                place_columns: columns.2,
                hidden: columns.3,
                colors,
                characters: Characters::Ascii,
            },
        )
}

proptest! {
    #[test]
    fn an_escaped_name_is_printable_and_leads_back(name in name()) {
        let escaped = escape(&name);
        prop_assert!(!escaped.chars().any(is_dangerous));
        // A backslash stays as it is: units and cgroups have them, and must be found by what is
        // shown. So a name with one may look like another name.
        if !name.contains('\\') {
            prop_assert_eq!(unescaped(&escaped), name);
        }
    }

    #[test]
    fn a_mount_point_is_read_as_it_was(point in path(), root in path(), id: u32, minor: u32) {
        let line = format!(
            "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n{id} 22 0:{minor} {} {} rw shared:1 - fuse x rw\n",
            mangled(&root), mangled(&point),
        );
        let shown = Mounts::parse(&line).path((0, minor), &format!("{}/f", root.trim_end_matches('/')));
        let expected = format!("{}/f", point.trim_end_matches('/'));
        prop_assert_eq!(shown, Some((id, expected)));
    }

    #[test]
    fn a_stat_line_gives_any_name_as_it_was(comm in bytes(), ppid: u32, nice in -20i64..20, start: u64) {
        let fields = format!(") S {ppid} 7 7 0 -1 64 0 0 0 0 0 0 0 0 20 {nice} 1 0 {start} 0 0");
        let line = [b"7 (", &comm[..], fields.as_bytes()].concat();
        let stat = Stat::parse(&line).expect("whole");
        prop_assert_eq!((stat.comm, stat.ppid, stat.nice, stat.start_ticks), (comm, ppid, nice, start));
    }

    #[test]
    fn a_cgroups_path_is_read_as_it_was(path in path()) {
        // The kernel's own file has this, too; a name can't be told from it.
        prop_assume!(!path.ends_with(" (deleted)") && !path.contains(['\n', '\r']));
        prop_assert_eq!(cgroup::choose(&format!("0::{path}\n")), Some(path));
    }

    #[test]
    fn a_machines_name_is_read_as_systemd_escaped_it(name in "[a-z][a-z0-9.-]{0,20}") {
        prop_assume!(!name.contains("libvirt") && !["lxc-", "qemu-", "xen-", "ch-"].iter().any(|driver| name.starts_with(driver)));
        let escaped = name.replace('-', "\\x2d");
        let path = format!("/machine.slice/machine-{escaped}.scope");
        prop_assert_eq!(container::of(&path), Some(format!("nspawn:{name}")));
    }

    #[test]
    fn arguments_are_joined_by_spaces(arguments in prop::collection::vec("[^\\x00]{1,9}", 1..5)) {
        let text = arguments.join("\0") + "\0";
        prop_assert_eq!(cmdline::joined(text.as_bytes(), 0), Some(arguments.join(" ")));
    }

    #[test]
    fn counters_are_read_as_they_were(numbers: [u32; 4]) {
        let [a, b, c, d] = numbers.map(u64::from);
        let vmstat = Vmstat::parse(&format!("pgpgin {a}\npgpgout {b}\nnr_dirty {c}\nnr_written {d}\n"), 4096);
        let page = |pages| Some(4096 * pages);
        prop_assert_eq!((vmstat.pgpgin, vmstat.pgpgout), (Some(1024 * a), Some(1024 * b)));
        prop_assert_eq!((vmstat.dirty, vmstat.written), (page(c), page(d)));
        let io = task_io::parse(&format!("rchar: {a}\nwchar: {b}\nread_bytes: {c}\nwrite_bytes: {d}\n"));
        prop_assert_eq!((io.read_char, io.write_char), (Some(a), Some(b)));
        prop_assert_eq!((io.read_bytes, io.write_bytes), (Some(c), Some(d)));
        let disk = disks::parse(&format!("8 0 sda 1 0 {a} 5 20 0 {b} 9 0 {c} 1"));
        let disk = disk.map(|disk| (disk.read, disk.write, disk.busy.as_millis()));
        let expected = (a | b | c != 0).then_some((512 * a, 512 * b, u128::from(c)));
        prop_assert_eq!(disk, expected);
    }

    #[test]
    fn an_event_is_of_a_block_device_only_by_its_own_field(fields in prop::collection::vec(bytes(), 0..6), is_block: bool) {
        let mut fields = fields;
        fields.retain(|field| field != b"SUBSYSTEM=block");
        if is_block {
            fields.push(b"SUBSYSTEM=block".to_vec());
        }
        prop_assert_eq!(uevents::is_block(&fields.join(&0)), is_block);
    }

    #[test]
    fn settings_are_read_as_they_were_written(settings in settings()) {
        let text = toml_edit::ser::to_string(&settings).expect("written");
        prop_assert_eq!(Settings::parse(&text), Ok(settings));
    }

    #[test]
    fn records_of_the_kernel_half_are_read_as_they_were(id: u64, path in bytes(), pid: u32, length: u32) {
        let cgroup = [&id.to_ne_bytes()[..], &path, b"\0"].concat();
        prop_assert_eq!(records::cgroup(&cgroup), Some((id, &path[..])));
        let mut head = [0; size_of::<ExecutedHead>()];
        head[..8].copy_from_slice(&id.to_ne_bytes());
        head[8..12].copy_from_slice(&pid.to_ne_bytes());
        head[16..20].copy_from_slice(&length.to_ne_bytes());
        let read: ExecutedHead = plain(&head).expect("whole");
        prop_assert_eq!((read.start_boottime, read.pid, read.length), (id, pid, length));
    }

    #[test]
    fn a_message_carries_its_record(tid: u32, seq: u32, body in prop::collection::vec(any::<u8>(), 8..700)) {
        let attribute = |kind: u16, payload: &[u8]| {
            let length = u16::try_from(4 + payload.len()).expect("short");
            let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
            bytes.extend(payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let parts = [attribute(1, &tid.to_ne_bytes()), attribute(3, &body)].concat();
        let genl = [&[2, 1, 0, 0][..], &attribute(4, &parts)].concat();
        let mut message = u32::try_from(16 + genl.len()).expect("short").to_ne_bytes().to_vec();
        message.extend(31u16.to_ne_bytes());
        message.extend([0; 2]);
        message.extend(seq.to_ne_bytes());
        message.extend([0; 4]);
        message.extend(genl);
        let message = Message::parse(&message).expect("whole");
        prop_assert_eq!(message.seq, seq);
        let Content::Reply(reply) = message.content else {
            return Err(TestCaseError::fail("not a reply"));
        };
        let expected = Taskstats::parse(&body).expect("long enough");
        prop_assert_eq!(record(&reply).expect("readable"), Some((tid, expected)));
    }
}
