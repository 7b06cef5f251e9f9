//! Screens on a terminal in memory, compared with files of `golden/`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use jiff::{SignedDuration, tz::TimeZone};
use proptest::prelude::*;
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::Buffer,
    style::{Color, Modifier},
};

use super::{
    draw::{draw, theme::Theme},
    sampler::Request,
    state::{
        app::{App, Effect, Surroundings},
        pages::Page,
        rows::{RowKey, Scope},
        settings::{Colors, Settings},
    },
};
use crate::{
    cli::GroupBy,
    collect::{Chosen, Rows},
    escape::escape,
    golden,
    host::Notice,
    sample::Loss,
};

pub(super) const PLAIN: Theme = Theme {
    colors: Colors::None,
    ascii: false,
};
pub(super) const USUAL: (u16, u16) = (120, 30);

fn app(settings: Settings) -> App {
    let machine = Surroundings {
        own_pids: true,
        ..Surroundings::default()
    };
    App::new(settings, Scope::default(), machine, TimeZone::UTC)
}

/// Two intervals. dd is only in the first one.
fn after_two(settings: Settings) -> App {
    let mut app = app(settings);
    app.sample(golden::flushed());
    let mut second = golden::flushed();
    second.retain_tasks(&[false, true, true, true, true, true]);
    second.flushes.clear();
    second.seq = 2;
    second.time += SignedDuration::from_secs(2);
    app.sample(second);
    app
}

pub(super) fn buffer(app: &mut App, theme: Theme, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("made");
    let draw = |frame: &mut ratatui::Frame<'_>| {
        app.drawn = draw(frame, app, theme);
        app.first = app.drawn.first;
    };
    terminal.draw(draw).expect("drawn");
    terminal.backend().buffer().clone()
}

pub(super) fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for row in buffer.content.chunks(usize::from(buffer.area.width)) {
        let mut line = String::new();
        let mut covered = 0;
        for cell in row {
            if covered == 0 {
                line.push_str(cell.symbol());
                covered = unicode_width::UnicodeWidthStr::width(cell.symbol()).max(1);
            }
            covered -= 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

pub(super) fn check(name: &str, app: &mut App, size: (u16, u16)) {
    let screen = text(&buffer(app, PLAIN, size));
    golden::compare(&format!("src/tui/golden/{name}.txt"), &screen);
}

pub(super) fn press(app: &mut App, keys: &str) -> Option<Effect> {
    let mut last = None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            '↓' => KeyCode::Down,
            '↑' => KeyCode::Up,
            '→' => KeyCode::Right,
            '←' => KeyCode::Left,
            key => KeyCode::Char(key),
        };
        last = app.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    last
}

fn selected(app: &App) -> Option<u32> {
    Some(app.selected_task()?.tid)
}

#[test]
fn rows_with_an_exited_writer_and_its_flusher() {
    let mut app = app(Settings::default());
    check("before", &mut app, USUAL);
    app.sample(golden::flushed());
    check("table", &mut app, USUAL);
    check("wide", &mut app, (200, 40));
    check("150x45", &mut app, (150, 45));
    check("80x24", &mut app, (80, 24));
    check("small", &mut app, (40, 10));
    check("too_small", &mut app, (39, 9));
}

#[test]
fn an_exited_writer_stays_until_a_key_hides_it() {
    let mut app = after_two(Settings::default());
    check("after_two", &mut app, USUAL);
    press(&mut app, "x");
    assert!(!text(&buffer(&mut app, PLAIN, USUAL)).contains("(exited)"));
}

#[test]
fn without_ebpf_the_rest_is_shown_and_notices_say_what_is_missing() {
    let mut app = app(Settings::default());
    app.machine.notices = vec![
        Notice::NoEbpf("it needs CAP_BPF and CAP_PERFMON; run it with sudo".to_owned()),
        Notice::Refused("no taskstats".to_owned()),
    ];
    app.sample(golden::without_ebpf());
    check("no_ebpf", &mut app, USUAL);
    check("no_ebpf_small", &mut app, (40, 10));
    press(&mut app, "w");
    check("no_ebpf_why", &mut app, (80, 16));
}

#[test]
fn losses_stay_on_a_line() {
    let mut app = app(Settings::default());
    let mut lossy = golden::flushed();
    lossy.system.lost[Loss::Facts] = Some(3);
    app.sample(lossy);
    app.sample(golden::flushed());
    for size in [USUAL, (40, 10)] {
        let screen = text(&buffer(&mut app, PLAIN, size));
        assert!(screen.contains("lost so far: facts 3"), "{screen}");
    }
}

#[test]
fn only_lost_bytes_are_an_alarm() {
    let mut app = app(Settings::default());
    let mut nameless = golden::flushed();
    nameless.system.lost[Loss::Paths] = Some(1548);
    let start = nameless.time;
    app.sample(nameless);
    let said = |app: &mut App, what: &str| {
        let buffer = buffer(app, PLAIN, USUAL);
        let row = text(&buffer).lines().position(|line| line.contains(what))?;
        Some(buffer[(0, u16::try_from(row).expect("small"))].modifier)
    };
    let note = "1,548 files without a name; byte counts are complete";
    assert_eq!(said(&mut app, note), Some(Modifier::DIM));
    assert_eq!(said(&mut app, "incomplete"), None);
    let mut lossy = golden::flushed();
    lossy.system.lost[Loss::Facts] = Some(3);
    app.sample(lossy);
    let alarm = "! lost so far: facts 3; figures are incomplete  +1 notice, press ?";
    assert_eq!(said(&mut app, alarm), Some(Modifier::BOLD));
    // Names are forgotten after a minute, lost bytes are not.
    let mut later = golden::flushed();
    later.time = start + SignedDuration::from_secs(61);
    app.sample(later);
    assert!(said(&mut app, "lost so far: facts 3; figures are incomplete").is_some());
    assert_eq!(said(&mut app, "+1 notice"), None);
}

#[test]
fn permanent_limits_are_in_the_help_and_not_on_every_screen() {
    let mut app = app(Settings::default());
    let limits = [
        Notice::Refused("the cause of commits is unknown".to_owned()),
        Notice::NotCounted("SWAPIN and IO are unknown"),
    ];
    app.machine.notices = limits.to_vec();
    app.sample(golden::flushed());
    for size in [USUAL, (80, 24)] {
        let screen = text(&buffer(&mut app, PLAIN, size));
        assert!(
            !screen.contains('!') && !screen.contains("press ?"),
            "{screen}"
        );
    }
    app.machine.notices.push(Notice::OwnPidNamespace);
    app.machine
        .notices
        .push(Notice::NoExitRecords("refused".to_owned()));
    let screen = text(&buffer(&mut app, PLAIN, (80, 24)));
    assert!(
        screen.contains("! iotop-trace runs in a child PID"),
        "{screen}"
    );
    assert!(screen.contains("  +1 notice, press ?\n"), "{screen}");
    press(&mut app, "?");
    let help = text(&buffer(&mut app, PLAIN, USUAL));
    assert!(
        help.contains("cause of commits") && help.contains("SWAPIN and IO"),
        "{help}"
    );
}

#[test]
fn a_screen_of_24_lines_has_at_most_five_above_the_table() {
    let mut app = app(Settings::default());
    let mut lossy = golden::journaled();
    lossy.system.lost[Loss::Facts] = Some(3);
    for sample in [golden::flushed(), lossy] {
        app.sample(sample);
        for size in [(80, 24), (150, 24), (80, 29), (40, 10)] {
            let screen = text(&buffer(&mut app, PLAIN, size));
            let head = screen.lines().position(|line| line.contains("COMMAND"));
            assert!(head.is_some_and(|head| head <= 5), "{screen}");
        }
    }
    check("80x24_lost", &mut app, (80, 24));
}

#[test]
fn kilobytes_are_in_every_figure_of_the_screen() {
    let mut app = app(Settings::default());
    app.sample(golden::journaled());
    press(&mut app, "aa");
    app.sample(golden::journaled());
    press(&mut app, "K");
    check("kilobytes", &mut app, (150, 45));
    for page in ["", "w", "\u{1b}\n"] {
        press(&mut app, page);
        let screen = text(&buffer(&mut app, PLAIN, (150, 45)));
        let other = screen.split([' ', '(', ')', '~']).find(|word| {
            let number = word.trim_end_matches("/s").strip_suffix(['B', 'M', 'G']);
            number.is_some_and(|number| number.parse::<f64>().is_ok())
        });
        assert_eq!(other, None, "{screen}");
    }
}

#[test]
fn only_active_leaves_nothing_that_is_idle() {
    let mut app = after_two(Settings::default());
    let screen = text(&buffer(&mut app, PLAIN, USUAL));
    assert!(screen.contains("(exited) dd") && screen.contains("[jbd2/sda1-8]"));
    press(&mut app, "o");
    let idle = |app: &App| {
        let shown = app.shown.as_ref().expect("rows");
        let rows = shown.rows.iter().map(|row| shown.row(row));
        let active = |row: &crate::view::Row<'_>| {
            let pending = row.block().and_then(|block| block.dirty_pending);
            let unowned = row.group().and_then(|group| group.unattributed);
            row.stats().any()
                || row.block().is_some_and(|block| block.any())
                || pending.is_some_and(|bytes| bytes != 0)
                || unowned.is_some_and(|unowned| unowned.in_total() != 0)
        };
        let (active, idle): (Vec<_>, Vec<_>) = rows.partition(active);
        (active.len(), idle.len())
    };
    assert_eq!(idle(&app), (4, 0), "dd did nothing in this interval");
    // A device and a file that were written lately are idle now.
    let mut third = golden::flushed();
    third.facts.clear();
    app.sample(third);
    for _ in 0..10 {
        press(&mut app, "b");
        assert_eq!(idle(&app).1, 0, "by {}", app.settings.group_by.name());
    }
    // In totals, everything that did anything since they are counted is active.
    press(&mut app, "a");
    app.sample(golden::flushed());
    assert_eq!(idle(&app), (5, 0));
}

#[test]
fn totals_are_ranked_by_totals_and_the_sort_column_is_marked() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    let head = |app: &mut App, width| {
        let screen = text(&buffer(app, PLAIN, (width, 30)));
        let lines: Vec<&str> = screen.lines().collect();
        let at = lines.iter().position(|line| line.contains("COMMAND"));
        let at = at.expect("a head");
        (
            lines[0].to_owned(),
            lines[at].to_owned(),
            lines[at + 1].to_owned(),
        )
    };
    let (title, columns, _) = head(&mut app, 120);
    assert!(title.contains("busiest first") && !columns.contains('▼'));
    press(&mut app, "a");
    // Since then postgres writes more, although dd wrote most before.
    let mut second = golden::flushed();
    second.retain_tasks(&[false, true, true, true, true, true]);
    let block = second.tasks[2].block.as_mut().expect("traced");
    block.write_self = 1 << 30;
    app.sample(second);
    let mut third = golden::flushed();
    third.retain_tasks(&[false, true, true, true, true, true]);
    app.sample(third);
    let (title, columns, first) = head(&mut app, 120);
    assert!(!title.contains("busiest first"), "{title}");
    assert!(
        columns.contains("▼CAUSED") && first.contains("postgres"),
        "{columns}{first}"
    );
    // A column that is as wide as its name, and one that is not usual.
    for (key, width) in [("write_syscalls", 120), ("uid", 60), ("pending", 40)] {
        app.settings.sort = key.parse().ok();
        let (_, columns, _) = head(&mut app, width);
        assert!(columns.contains('▼'), "{key}: {columns}");
    }
}

#[test]
fn a_graph_survives_a_filter() {
    for by in [
        GroupBy::Thread,
        GroupBy::Process,
        GroupBy::User,
        GroupBy::File,
    ] {
        let mut app = after_two(Settings {
            group_by: by,
            delay: 2.0,
            ..Settings::default()
        });
        let db = match by {
            GroupBy::User => RowKey::Group(Some("postgres".into())),
            GroupBy::File => RowKey::Group(Some("/srv/x".into())),
            _ => RowKey::Task(golden::sample().tasks[3].key()),
        };
        let graphs = |app: &App| {
            use super::state::settings::Graph;
            [Graph::Caused, Graph::Dirtied, Graph::Io, Graph::Read]
                .map(|graph| app.histories.of(&db, graph, 9))
        };
        let before = graphs(&app);
        assert_eq!(before[0].len(), 2, "{by:?}");
        press(&mut app, "/postgres\n");
        // The file is dd's too.
        let part = match by {
            GroupBy::File => [vec![3 << 20; 2], vec![0; 2], vec![0; 2], vec![0; 2]],
            _ => before.clone(),
        };
        assert_eq!(graphs(&app), part, "{by:?}");
        press(&mut app, "/");
        app.prompt.as_mut().expect("a prompt").text.clear();
        press(&mut app, "\n");
        assert_eq!(graphs(&app), before, "{by:?}");
    }
}

/// A script has started `head` and `sort` again and again.
fn churn(settings: Settings) -> App {
    let mut app = app(settings);
    let mut sample = golden::flushed();
    for n in 0..23 {
        let mut task = crate::sample::Task::clone(&sample.tasks[3]);
        (task.pid, task.tid, task.ppid) = (2000 + n, 2000 + n, Some(900));
        task.start_boottime = u64::from(n) + 1;
        (task.comm, task.cmdline) = (if n % 3 == 0 { "sort" } else { "head" }.into(), None);
        task.exited = true;
        sample.tasks.push(task.into());
    }
    app.sample(sample);
    app
}

#[test]
fn exited_siblings_of_one_name_are_one_row_that_opens() {
    let mut app = churn(Settings::default());
    check("fold", &mut app, (120, 20));
    let rows = |app: &App| app.shown.as_ref().expect("rows").rows.len();
    assert_eq!(rows(&app), 8);
    let fold = |comm: &str| Some(RowKey::Fold(900, comm.into()));
    app.selected = fold("head");
    press(&mut app, "\n");
    check("fold_open", &mut app, (120, 30));
    assert_eq!((rows(&app), &app.selected), (8 + 15, &fold("head")));
    // From a row inside, the fold is closed and selected.
    press(&mut app, "↓↓-");
    assert_eq!((rows(&app), &app.selected), (8, &fold("head")));
    press(&mut app, "+");
    assert_eq!(rows(&app), 8 + 15);
    // The sum of the fold is that of its tasks, and the graph too.
    let shown = app.shown.as_ref().expect("rows");
    let row = shown
        .rows
        .iter()
        .find(|row| shown.is_fold(row))
        .expect("one");
    let history = shown.history(row, &app.histories, app.graph(), 9);
    assert_eq!(history, [15 * (3 << 20)]);
    press(&mut app, "-b");
    press(&mut app, "Bt");
    check("fold_tree", &mut app, (120, 30));
}

#[test]
fn a_branch_of_the_tree_is_closed_and_opened() {
    let mut app = app(Settings {
        tree: true,
        ..Settings::default()
    });
    app.sample(golden::flushed());
    app.selected = Some(RowKey::Task(golden::sample().tasks[3].key()));
    press(&mut app, "-");
    let screen = text(&buffer(&mut app, PLAIN, USUAL));
    assert!(!screen.contains("walwriter"), "{screen}");
    assert!(screen.contains("[+1] Σ postgres -D /var/lib"), "{screen}");
    press(&mut app, "+");
    assert!(text(&buffer(&mut app, PLAIN, USUAL)).contains("walwriter"));
}

/// cron has started a script that has exited, and whose dd and sync have exited too.
fn launched() -> App {
    let mut app = app(Settings {
        tree: true,
        ..Settings::default()
    });
    let mut sample = golden::flushed();
    let mut cron = sample.tasks[2].clone().into_task();
    (cron.pid, cron.tid, cron.comm) = (400, 400, "cron".into());
    (cron.kthread, cron.cmdline) = (false, Some("/usr/sbin/cron -f".into()));
    let mut dd = sample.tasks[0].clone().into_task();
    dd.ppid = Some(1);
    let block = dd.block.as_mut().expect("traced");
    block.submitted_for_others = 5 << 20;
    sample.tasks[0] = dd.into();
    sample.tasks.push(cron.into());
    app.sample(sample);
    app
}

#[test]
fn a_parent_in_the_tree_shows_the_sum_of_its_branch_open_or_closed() {
    let mut app = launched();
    check("tree_sums", &mut app, (120, 20));
    let cron = RowKey::Task(crate::sample::TaskKey {
        tid: 400,
        start_boottime: 0,
    });
    let caused = |app: &App, key: &RowKey| {
        let shown = app.shown.as_ref().expect("rows");
        let row = &shown.rows[shown.place(key).expect("there")];
        let block = *shown.figures(row).block().expect("traced");
        let history = shown.history(row, &app.histories, app.graph(), 9);
        (block.caused(), block.submitted_for_others, history)
    };
    let sum = (256 << 20, 5 << 20, vec![256 << 20]);
    assert_eq!(
        caused(&app, &cron),
        sum,
        "an exited child of an exited child"
    );
    app.selected = Some(cron.clone());
    press(&mut app, "-");
    assert_eq!(caused(&app, &cron), sum, "what is hidden counts");
    check("tree_closed", &mut app, (120, 20));
    // Its own page has its own figures and the sum.
    press(&mut app, "\n");
    let page = text(&buffer(&mut app, PLAIN, USUAL));
    assert!(
        page.contains("now  no activity") && page.contains("sum  caused 128.00M/s"),
        "{page}"
    );
    press(&mut app, "\u{1b}t");
    assert_eq!(
        caused(&app, &cron).0,
        0,
        "its own figures outside of the tree"
    );
    // walwriter submits what postgres owns: both are in one branch.
    press(&mut app, "t");
    let postgres = RowKey::Task(golden::sample().tasks[3].key());
    assert_eq!(caused(&app, &postgres), (3 << 20, 0, vec![3 << 20]));
}

#[test]
fn conservation_the_top_rows_of_a_tree_have_the_bytes_of_all_tasks_once() {
    let settings = || Settings {
        tree: true,
        ..Settings::default()
    };
    for mut app in [launched(), churn(settings()), after_two(settings())] {
        for key in ["", "aa", "x"] {
            press(&mut app, key);
            let shown = app.shown.as_ref().expect("rows");
            let caused = |row: crate::view::Row<'_>| row.block().map_or(0, |block| block.caused());
            let top = shown.rows.iter().filter(|row| row.lines.is_empty());
            let top: u64 = top.map(|row| caused(shown.figures(row))).sum();
            let tasks = shown.sample.tasks.iter();
            let all: u64 = tasks.map(|task| caused(crate::view::Row::Task(task))).sum();
            assert!(all != 0 || key == "x");
            assert_eq!(top, all, "after {key:?}");
        }
    }
}

#[test]
fn function_keys_search_and_sort() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    let function = |app: &mut App, n| app.key(KeyEvent::new(KeyCode::F(n), KeyModifiers::NONE));
    function(&mut app, 3);
    press(&mut app, "POSTGR\n");
    assert_eq!(selected(&app), Some(900));
    press(&mut app, "n");
    assert_eq!(selected(&app), Some(901), "its command line has it");
    press(&mut app, "nN");
    assert_eq!(selected(&app), Some(901));
    assert!(app.scope.filter.is_none(), "a search hides no row");
    function(&mut app, 3);
    press(&mut app, "nosuch\n");
    assert!(
        app.message
            .as_deref()
            .is_some_and(|said| said.contains("nosuch"))
    );
    function(&mut app, 6);
    press(&mut app, "+pid\n");
    assert_eq!(selected(&app), Some(77));
    function(&mut app, 6);
    app.prompt.as_mut().expect("a prompt").text.clear();
    press(&mut app, "unattributed_write_bytes\n");
    assert!(
        app.message
            .as_deref()
            .is_some_and(|said| said.contains("by thread"))
    );
    press(&mut app, "\u{1b}");
    press(&mut app, "\\");
    assert!(app.prompt.is_some(), "a backslash filters, as in htop");
}

#[test]
fn a_menu_shows_hides_and_moves_columns() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    let key = |app: &mut App, code, modifiers| app.key(KeyEvent::new(code, modifiers));
    key(&mut app, KeyCode::F(2), KeyModifiers::NONE);
    check("columns", &mut app, (100, 30));
    check("columns_small", &mut app, (40, 10));
    let head = |app: &mut App| {
        let screen = text(&buffer(app, PLAIN, (200, 40)));
        let head = screen.lines().find(|line| line.contains("COMMAND"));
        let words = head.expect("a head").split_whitespace();
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(head(&mut app)[..4], ["TID", "PRIO", "USER", "DISK_READ"]);
    press(&mut app, "↓ ↓>");
    assert_eq!(head(&mut app)[..3], ["TID", "DISK_READ", "USER"]);
    key(&mut app, KeyCode::Up, KeyModifiers::SHIFT);
    assert_eq!(head(&mut app)[..3], ["TID", "USER", "DISK_READ"]);
    // A field that is no usual column comes before the last one, and is selected.
    key(&mut app, KeyCode::End, KeyModifiers::NONE);
    press(&mut app, " ");
    let ends = |app: &mut App, end: &str| head(app).join(" ").ends_with(end);
    assert!(ends(&mut app, "IO LAG_MAX HISTORY CAUSED COMMAND"));
    press(&mut app, "<");
    assert!(ends(&mut app, "LAG_MAX IO HISTORY CAUSED COMMAND"));
    // The last column stays.
    press(&mut app, "↓↓ ");
    assert!(
        app.message
            .as_deref()
            .is_some_and(|said| said.contains("last column"))
    );
    press(&mut app, "0\n");
    assert_eq!(
        (&app.place().page, &app.settings),
        (&Page::Table, &Settings::default())
    );
    for leave in ["\u{1b}", "\n"] {
        key(&mut app, KeyCode::F(2), KeyModifiers::NONE);
        assert_eq!(app.place().page, Page::Columns);
        press(&mut app, leave);
        assert_eq!(app.place().page, Page::Table);
    }
    // Rows of other kinds have other columns.
    press(&mut app, "bbbbbb");
    key(&mut app, KeyCode::F(2), KeyModifiers::NONE);
    check("columns_of_units", &mut app, (80, 24));
}

#[test]
fn the_sort_column_that_is_hidden_is_sorted_by_no_more() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "→");
    app.key(KeyEvent::new(KeyCode::F(2), KeyModifiers::NONE));
    press(&mut app, "↓↓↓↓↓ ");
    assert_eq!(app.settings.sort, None);
    assert_eq!(
        app.settings.hidden,
        [crate::view::fields::find("caused").expect("a field")]
    );
}

#[test]
fn a_scrollbar_shows_where_the_rows_are() {
    let mut app = churn(Settings {
        exited: true,
        ..Settings::default()
    });
    app.selected = Some(RowKey::Fold(900, "head".into()));
    press(&mut app, "\n");
    app.key(KeyEvent::new(KeyCode::End, KeyModifiers::NONE));
    check("scrollbar", &mut app, (80, 16));
}

#[test]
fn the_help_is_wrapped_and_says_what_the_graphs_show() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "?");
    for width in [40, 80] {
        let lines = super::draw::help_text(&app, PLAIN, width - 1);
        let widest = lines.iter().map(|line| line.chars().count()).max();
        assert!(
            widest.is_some_and(|widest| widest < usize::from(width)),
            "{lines:?}"
        );
        let all = lines.join(" ");
        let words: Vec<&str> = all.split_whitespace().collect();
        let all = words.join(" ");
        assert!(
            all.contains("HISTORY a graph of the row's last intervals"),
            "{all}"
        );
        assert!(
            all.contains("bytes written because of the row; g changes it"),
            "{all}"
        );
    }
}

#[test]
fn rows_of_every_kind() {
    for (by, name) in [
        (GroupBy::Process, "processes"),
        (GroupBy::Command, "commands"),
        (GroupBy::Parents, "parents"),
        (GroupBy::User, "users"),
        (GroupBy::Unit, "units"),
        (GroupBy::Device, "devices"),
        (GroupBy::File, "files"),
    ] {
        let mut app = app(Settings {
            group_by: by,
            ..Settings::default()
        });
        app.sample(golden::flushed());
        check(name, &mut app, (120, 20));
    }
}

#[test]
fn a_tree_and_rates_beside_totals() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "t");
    check("tree", &mut app, (120, 20));
    press(&mut app, "taa");
    app.sample(golden::flushed());
    check("both", &mut app, (140, 20));
}

#[test]
fn the_detail_the_flushes_one_flush_and_the_help() {
    let mut app = after_two(Settings::default());
    app.sample(golden::spiked(true));
    press(&mut app, "w");
    check("why", &mut app, USUAL);
    check("why_small", &mut app, (60, 12));
    press(&mut app, "↓\n");
    check("flush", &mut app, USUAL);
    press(&mut app, "\u{1b}\u{1b}");
    assert_eq!(app.place().page, Page::Table);
    let dd = golden::sample().tasks[0].key();
    app.selected = Some(RowKey::Task(dd));
    press(&mut app, "\n");
    check("detail", &mut app, USUAL);
    press(&mut app, "?");
    check("help", &mut app, (100, 74));
    check("help_small", &mut app, (40, 10));
    press(&mut app, "\u{1b}\u{1b}");
    assert_eq!(app.places.len(), 1);
}

#[test]
fn journals_and_metadata_have_columns_a_row_that_names_them_and_details() {
    let mut app = app(Settings::default());
    app.sample(golden::journaled());
    check("journal", &mut app, (132, 20));
    for (task, name) in [(3, "journal_owner"), (2, "journal_thread")] {
        app.selected = Some(RowKey::Task(golden::sample().tasks[task].key()));
        press(&mut app, "\n");
        check(name, &mut app, (120, 40));
        press(&mut app, "\u{1b}");
    }
    press(&mut app, "w");
    check("journal_why", &mut app, USUAL);
}

#[test]
fn a_filter_applies_while_it_is_typed_and_esc_restores_the_old_one() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "/postgr");
    check("prompt", &mut app, (100, 16));
    press(&mut app, "(");
    let screen = text(&buffer(&mut app, PLAIN, (100, 16)));
    assert!(
        screen.contains("900 ") && !screen.contains("1200"),
        "{screen}"
    );
    assert_eq!(press(&mut app, "\n"), None);
    assert!(app.message.is_some(), "the error is shown");
    press(&mut app, "\u{1b}");
    assert!(app.scope.filter.is_none() && app.prompt.is_none());
    for (keys, wrong) in [
        ("unosuchuser\n", "nosuchuser"),
        ("fx\n", "\"x\""),
        ("dnosuchdisk\n", "nosuchdisk"),
        ("ibe/9\n", "be/0 to be/7"),
        ("D0\n", "at least"),
        ("Dx\n", "number of seconds"),
    ] {
        press(&mut app, keys);
        let said = app.message.clone().unwrap_or_default();
        assert!(said.contains(wrong), "{keys}: {said}");
        press(&mut app, "\u{1b}");
    }
}

#[test]
fn the_selected_row_is_followed_and_home_follows_the_first_row() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    assert_eq!(selected(&app), Some(1200));
    press(&mut app, "↓↓");
    assert_eq!(selected(&app), Some(900));
    // The selection follows the task, not its position.
    press(&mut app, "↑↓");
    app.sample(golden::flushed());
    assert_eq!(selected(&app), Some(900));
    app.key(KeyEvent::new(KeyCode::Home, KeyModifiers::NONE));
    assert_eq!((selected(&app), &app.selected), (Some(1200), &None));
    app.key(KeyEvent::new(KeyCode::End, KeyModifiers::NONE));
    assert_eq!(selected(&app), Some(80));
}

#[test]
fn arrow_keys_change_the_sort_column_and_r_reverses() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "→");
    let sort = |app: &App| app.settings.sort.as_ref().map(ToString::to_string);
    assert_eq!(sort(&app).as_deref(), Some("caused_bytes"));
    press(&mut app, "←←r");
    assert_eq!(sort(&app).as_deref(), Some("+read_bytes"));
    press(&mut app, "r");
    assert_eq!(sort(&app).as_deref(), Some("-read_bytes"));
    assert_eq!(selected(&app), Some(666));
    press(&mut app, "m");
    assert_eq!(sort(&app), None);
}

#[test]
fn the_mouse_selects_opens_and_sorts() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    let screen = text(&buffer(&mut app, PLAIN, USUAL));
    let line_of = |what: &str| {
        screen
            .lines()
            .position(|line| line.contains(what))
            .expect("there")
    };
    let click = |app: &mut App, column: usize, row: usize| {
        app.mouse(MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column: column as u16,
            row: row as u16,
            modifiers: KeyModifiers::NONE,
        });
    };
    let head = line_of("COMMAND");
    let place = |header: &str| screen.lines().nth(head).and_then(|line| line.find(header));
    click(&mut app, place("DISK_READ").expect("there"), head);
    assert_eq!(
        app.settings.sort.as_ref().map(|sort| sort.field.name),
        Some("read_bytes")
    );
    click(&mut app, place("DISK_READ").expect("there"), head);
    assert!(
        app.settings
            .sort
            .as_ref()
            .is_some_and(|sort| sort.direction.is_some())
    );
    press(&mut app, "m");
    buffer(&mut app, PLAIN, USUAL);
    click(&mut app, 3, line_of("postgres"));
    assert_eq!(selected(&app), Some(900));
    click(&mut app, 3, line_of("postgres"));
    assert!(matches!(app.place().page, Page::Detail(..)));
    // Below the rows there is nothing to select.
    press(&mut app, "\u{1b}");
    buffer(&mut app, PLAIN, USUAL);
    click(&mut app, 3, 27);
    assert_eq!(selected(&app), Some(900));
}

#[test]
fn a_frozen_screen_does_not_change_and_loses_nothing() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "s");
    let before = text(&buffer(&mut app, PLAIN, (120, 20)));
    assert!(before.contains("FROZEN"));
    let mut later = golden::flushed();
    later.time += SignedDuration::from_secs(2);
    later.tasks[3].stats.write_bytes = Some(99 << 20);
    app.sample(later);
    assert_eq!(text(&buffer(&mut app, PLAIN, (120, 20))), before);
    let flushes = app.log.entries.len();
    press(&mut app, "s");
    let after = text(&buffer(&mut app, PLAIN, (120, 20)));
    assert!(
        after.contains("49.50M/s") && !after.contains("FROZEN"),
        "{after}"
    );
    assert_eq!(flushes, 2 * golden::flushed().flushes.len());
}

#[test]
fn keys_request_active_rows_and_hide_columns() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    let effect = press(&mut app, "o");
    assert_eq!(effect, Some(Effect::Ask(Request::Rows(Rows::Disk))));
    assert_eq!(
        press(&mut app, "t"),
        Some(Effect::Ask(Request::Rows(Rows::All)))
    );
    press(&mut app, "t2");
    let head = |app: &mut App| {
        let screen = text(&buffer(app, PLAIN, (200, 20)));
        screen
            .lines()
            .find(|line| line.contains("COMMAND"))
            .map(str::to_owned)
    };
    assert!(head(&mut app).is_some_and(|head| !head.contains("PRIO")));
    press(&mut app, "0");
    assert!(head(&mut app).is_some_and(|head| head.contains("PRIO")));
    assert_eq!(press(&mut app, "q"), Some(Effect::Quit));
}

#[test]
fn each_colour_setting_uses_only_its_own_colours() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    let colours = |app: &mut App, colors| {
        let theme = Theme {
            colors,
            ascii: false,
        };
        let buffer = buffer(app, theme, USUAL);
        let used = buffer.content.iter().flat_map(|cell| [cell.fg, cell.bg]);
        used.filter(|color| *color != Color::Reset)
            .collect::<Vec<_>>()
    };
    assert!(colours(&mut app, Colors::None).is_empty());
    for (colors, is) in [
        (
            Colors::Ansi,
            (|c| !matches!(c, Color::Rgb(..) | Color::Indexed(_))) as fn(Color) -> bool,
        ),
        (Colors::Indexed, |c| matches!(c, Color::Indexed(_))),
        (Colors::True, |c| matches!(c, Color::Rgb(..))),
    ] {
        let used = colours(&mut app, colors);
        assert!(!used.is_empty() && used.into_iter().all(is), "{colors:?}");
    }
    // Without colours, the selected row is still visible.
    let buffer = buffer(&mut app, PLAIN, USUAL);
    let reversed = buffer
        .content
        .iter()
        .filter(|cell| cell.modifier.contains(Modifier::REVERSED));
    assert!(reversed.count() >= usize::from(USUAL.0));
}

#[test]
fn an_ascii_theme_draws_only_ascii() {
    let ascii = Theme {
        colors: Colors::None,
        ascii: true,
    };
    let mut app = after_two(Settings::default());
    for keys in ["", "t", "w", "\n", "\u{1b}\u{1b}?", "\u{1b}\n"] {
        press(&mut app, keys);
        let screen = text(&buffer(&mut app, ascii, USUAL));
        assert!(screen.is_ascii(), "{keys}: {screen}");
    }
}

#[test]
fn a_screen_frozen_before_the_first_interval_resumes() {
    let mut app = app(Settings::default());
    press(&mut app, "ss");
    app.sample(golden::flushed());
    assert_eq!(selected(&app), Some(1200));
}

#[test]
fn graphs_and_details_do_not_change_while_frozen() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "s\n");
    let before = text(&buffer(&mut app, PLAIN, USUAL));
    for _ in 0..100 {
        app.sample(golden::flushed());
        press(&mut app, "\u{1b}\n");
        assert_eq!(text(&buffer(&mut app, PLAIN, USUAL)), before);
    }
    let dd = RowKey::Task(golden::sample().tasks[0].key());
    press(&mut app, "s");
    let graph = app.histories.of(&dd, app.graph(), 99);
    assert_eq!(
        graph,
        [256 << 20; 30],
        "and the intervals of the freeze are there"
    );
}

#[test]
fn rows_of_another_kind_have_their_history_at_once() {
    let mut app = after_two(Settings::default());
    let caused = |app: &App, key: RowKey| app.histories.of(&key, app.graph(), 9);
    let dd = RowKey::Task(golden::sample().tasks[0].key());
    let before = caused(&app, dd.clone());
    press(&mut app, "bbbbbbbb");
    let device = RowKey::Group(Some("8:1".into()));
    assert_eq!(caused(&app, device).len(), 2);
    press(&mut app, "bb");
    assert_eq!(app.settings.group_by, GroupBy::Thread);
    assert_eq!(caused(&app, dd.clone()), before);
    press(&mut app, "b");
    assert_eq!(
        caused(&app, dd.clone()),
        before,
        "a process has its leader's history"
    );
    press(&mut app, "b");
    let command = RowKey::Group(Some("dd".into()));
    assert_eq!(caused(&app, command), before);
    press(&mut app, "b");
    let launched = RowKey::Group(Some("dd <- backup.sh <- cron".into()));
    assert_eq!(caused(&app, launched), before);
    press(&mut app, "b");
    let root = RowKey::Group(Some("root".into()));
    assert_eq!(caused(&app, root), before);
    press(&mut app, "BBBB/nosuch\u{1b}");
    assert_eq!(caused(&app, dd), before, "and after a filter");
}

#[test]
fn a_task_that_wrote_lately_stays_above_one_that_only_has_dirty_pages() {
    let mut app = after_two(Settings::default());
    let mut third = golden::flushed();
    third.facts.clear();
    for task in &mut third.tasks {
        task.stats = task.stats.nothing();
        task.block = task.block.map(|_| crate::sample::TaskBlock::zero());
    }
    if let Some(block) = &mut third.tasks[5].block {
        block.dirty_pending = Some(1 << 40);
    }
    third.tasks.remove(0);
    app.sample(third);
    let shown = app.shown.as_ref().expect("rows");
    let tids: Vec<_> = shown
        .rows
        .iter()
        .filter_map(|row| shown.row(row).task())
        .collect();
    assert_eq!(tids[0].tid, 77);
}

#[test]
fn a_key_of_the_table_does_nothing_on_other_pages() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "\nb");
    assert_eq!(app.settings.group_by, GroupBy::Thread);
    assert!(
        app.message
            .as_deref()
            .is_some_and(|said| said.contains("Esc"))
    );
    // A terminal sends Esc and a quick key after it as Alt and that key.
    app.key(KeyEvent::new(KeyCode::Char('b'), KeyModifiers::ALT));
    assert_eq!(app.place().page, Page::Table);
    assert_eq!(app.settings.group_by, GroupBy::Process);
}

#[test]
fn the_page_of_flushes_can_list_only_writes_for_others() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "wo");
    let screen = text(&buffer(&mut app, PLAIN, USUAL));
    assert!(
        screen.contains("[kworker/u8:2]") && !screen.contains("postgres (PID 900)"),
        "{screen}"
    );
    assert!(!app.settings.only, "the table's setting is unchanged");
    press(&mut app, "o");
    assert!(text(&buffer(&mut app, PLAIN, USUAL)).contains("postgres (PID 900)"));
}

#[test]
fn the_page_of_wake_ups_one_of_them_and_none() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    press(&mut app, "z");
    let screen = text(&buffer(&mut app, PLAIN, USUAL));
    assert!(screen.contains("woken after 3.0s or more"), "{screen}");
    for owners in [&[][..], &[0], &[0, 3]] {
        app.sample(golden::woken(owners));
    }
    check("wakes", &mut app, USUAL);
    check("wakes_small", &mut app, (50, 12));
    press(&mut app, "\n");
    check("wake", &mut app, USUAL);
    press(&mut app, "\u{1b}");
    assert_eq!(app.place().page, Page::Wakes);
    // A click selects a line, and opens it if it is selected.
    let _ = buffer(&mut app, PLAIN, USUAL);
    for _ in 0..2 {
        app.mouse(MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column: 0,
            row: app.drawn.top + 1,
            modifiers: KeyModifiers::NONE,
        });
    }
    assert!(matches!(app.place().page, Page::Entry(_)));
    press(&mut app, "\u{1b}");
    // A frozen screen does not change, and the chosen line stays.
    press(&mut app, "s");
    app.sample(golden::woken(&[0]));
    assert_eq!(app.wakes().count(), 3);
    press(&mut app, "s");
    assert_eq!((app.wakes().count(), app.place().at), (4, 2));
    press(&mut app, "z");
    assert_eq!(app.place().page, Page::Table);
}

#[test]
fn eighty_columns_hold_the_header() {
    let mut app = app(Settings::default());
    app.sample(golden::flushed());
    let screen = text(&buffer(&mut app, PLAIN, (80, 24)));
    assert!(
        screen.contains("(metadata)\n") && screen.contains("Writeback: 0B\n"),
        "{screen}"
    );
    assert!(screen.contains("-> dd 100%"), "{screen}");
}

#[test]
fn the_notice_about_delays_goes_once_they_are_counted() {
    let mut app = app(Settings::default());
    app.machine.notices = vec![Notice::DelaysOff];
    let mut said = |sample| {
        app.sample(sample);
        text(&buffer(&mut app, PLAIN, USUAL)).contains("! SWAPIN")
    };
    let mut uncounted = golden::flushed();
    uncounted.system.counted.blkio_delay_ns = None;
    assert!(said(uncounted));
    assert!(!said(golden::flushed()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_name_at_any_size_is_drawn_without_harm(
        name in any::<String>(),
        width in 0u16..240,
        height in 0u16..60,
        keys in "[a-zA-Z0-9/?\n\u{1b}↑↓←→ ]{0,12}",
    ) {
        let mut app = app(Settings::default());
        let mut sample = golden::flushed();
        for task in &mut sample.tasks {
            task.comm = name.as_str().into();
            task.cmdline = Some(name.as_str().into());
            task.unit = Some(name.as_str().into());
        }
        sample.paths.values_mut().for_each(|path| *path = name.as_str().into());
        app.sample(sample.clone());
        // Leave out the keys that write settings or change a task's priority.
        let keys: String = keys.chars().filter(|c| !matches!(c, 'W' | 'i' | 'I')).collect();
        for key in keys.chars() {
            press(&mut app, &key.to_string());
            let buffer = buffer(&mut app, PLAIN, (width, height));
            for cell in &buffer.content {
                prop_assert_eq!(escape(cell.symbol()), cell.symbol());
            }
        }
        app.sample(sample);
        buffer(&mut app, PLAIN, (width, height));
    }
}

#[test]
fn the_io_max_notice_is_shown_only_while_a_limit_holds_back() {
    let mut app = app(Settings::default());
    app.machine.notices = vec![Notice::IoMaxUnseen("who handed over is unknown".to_owned())];
    app.sample(golden::flushed());
    let mut said = |held_back| {
        app.io_max.holds_back = held_back;
        text(&buffer(&mut app, PLAIN, USUAL)).contains("! who handed over")
    };
    assert!(!said(false));
    assert!(said(true));
    press(&mut app, "?");
    app.io_max.holds_back = false;
    assert!(text(&buffer(&mut app, PLAIN, USUAL)).contains("! who handed over"));
}

#[test]
fn a_chosen_process_that_has_ended_is_reported_and_its_successor_is_not_shown() {
    let mut app = app(Settings::default());
    app.sample(golden::sample());
    press(&mut app, "f901\n");
    assert_eq!(selected(&app), Some(900));
    let mut second = golden::sample();
    let postgres = second.tasks[3].key();
    second.exited = vec![postgres];
    second.tasks[3].start_boottime += 1_000_000_000;
    second.tasks[4].start_boottime += 1_000_000_000;
    second.seq = 2;
    // It wrote in the last minute.
    app.settings.exited = false;
    app.sample(second);
    let message = app.message.as_deref().unwrap_or_default();
    assert!(message.starts_with("process 900 has ended"), "{message}");
    assert_eq!(selected(&app), None);
}

#[test]
fn the_view_starts_with_the_page_of_a_process() {
    let mut app = app(Settings {
        group_by: GroupBy::Process,
        ..Settings::default()
    });
    let postgres = golden::sample().tasks[3].start_boottime;
    app.open_process(&Chosen::started(900, postgres));
    let first = |app: &mut App| text(&buffer(app, PLAIN, USUAL));
    let before = first(&mut app);
    assert!(
        before.contains("PID 900") && !before.contains("gone"),
        "{before}"
    );
    app.sample(golden::sample());
    let page = first(&mut app);
    assert!(page.contains("postgres (PID 900)"), "{page}");
    press(&mut app, "\u{1b}");
    assert_eq!(selected(&app), Some(900));
}
