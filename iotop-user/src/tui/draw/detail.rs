//! Draws the detail page: what the row is, what it did and where its bytes went.

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

use super::{BAR, BOLD, Canvas, DIM, Tone, graph, scrolled, shortened, theme::Theme, wrapped};
use crate::{
    cli::GroupBy,
    escape::task_name,
    output::{cell::Scale, dirty_for::dirty_for, units},
    sample::{Task, chain},
    tui::state::{
        app::App, detail::Part, history::LENGTH, places::Places, rows::RowKey, settings::Graph,
    },
    view::{Commands, Row, fields},
};

/// Width of the figures before the name of a file, owner, submitter or device.
const BEFORE_PART: usize = 30;
/// Width of the label of a graph.
const LABEL: usize = 7;
/// At most this many files, owners, submitters and devices are listed.
const NAMED: usize = 40;

pub(super) fn draw(
    canvas: &mut Canvas<'_, '_>,
    app: &App,
    key: &RowKey,
    by: GroupBy,
    bottom: u16,
) -> Places {
    let mut lines = Vec::new();
    let row = app.detailed(key);
    match (key, &app.interval) {
        // The program started with this page.
        (RowKey::Task(key), None) => lines.push(Line::styled(format!("PID {}", key.tid), BOLD)),
        _ => who(canvas, app, key, by, row, &mut lines),
    }
    let width = usize::from(canvas.area.width);
    now(app, "now  ", row, width, &mut lines);
    if let Some(branch) = app.detailed_branch(key) {
        now(app, "sum  ", Some(branch), width, &mut lines);
        let below = branch
            .group()
            .map_or(0, |group| group.tasks.saturating_sub(1));
        let text = format!("     with the {below} below it: what its row in the tree shows");
        lines.push(Line::styled(text, DIM));
    }
    lines.push(Line::raw(""));
    last_minute(canvas, app, key, &mut lines);
    scrolled(canvas, app, lines, bottom)
}

fn who(
    canvas: &Canvas<'_, '_>,
    app: &App,
    key: &RowKey,
    by: GroupBy,
    row: Option<Row<'_>>,
    lines: &mut Vec<Line<'static>>,
) {
    let theme = canvas.theme;
    match (key, row) {
        (RowKey::Group(name), _) => {
            let name = name
                .as_deref()
                .map_or("(none or unknown)".into(), |n| theme.text(n));
            lines.push(Line::styled(format!("{} {name}", by.name()), BOLD));
        }
        (RowKey::Task(_), Some(Row::Task(task))) => of_task(canvas, app, task, lines),
        // A fold is opened, and has no page of its own.
        (RowKey::Fold(_, name), _) => lines.push(Line::styled(name.to_string(), BOLD)),
        (RowKey::Task(key), _) => {
            lines.push(Line::styled(format!("task {} (gone)", key.tid), BOLD));
        }
    }
}

fn of_task(canvas: &Canvas<'_, '_>, app: &App, task: &Task, lines: &mut Vec<Line<'static>>) {
    let theme = canvas.theme;
    let name = task_name(&task.comm, task.kthread);
    let mut title = match task.tid == task.pid {
        _ if task.is_crowd() => fields::command(task).into_owned(),
        true => format!("{name} (PID {})", task.pid),
        false => format!("{name} (TID {} of PID {})", task.tid, task.pid),
    };
    if task.kthread {
        title.push_str(", a kernel thread");
    }
    if task.exited {
        title.push_str(", exited");
    }
    lines.push(Line::styled(theme.text(&title).into_owned(), BOLD));
    let width = usize::from(canvas.area.width - BAR);
    if let Some(cmdline) = &task.cmdline {
        let text = wrapped(&theme.text(cmdline), width, "  ");
        lines.extend(text.into_iter().map(Line::raw));
    }
    // A thread may have a name of its own; its process was launched.
    let program = match &app.interval {
        Some(interval) => Commands::new(&interval.tasks).comm(task),
        None => task.comm.clone(),
    };
    let parents = task.parents.as_deref();
    let chain = parents.map(|parents| theme.text(&chain(&program, parents)).into_owned());
    let started = task.start_time.map(|start| {
        let start = start.to_zoned_datetime(app.zone.clone());
        format!("started {}", start.strftime("%Y-%m-%d %H:%M:%S%:z"))
    });
    let launched: Vec<String> = chain.into_iter().chain(started).collect();
    if !launched.is_empty() {
        let text = wrapped(&launched.join("   "), width, "  ");
        lines.extend(text.into_iter().map(Line::raw));
    }
    let said = [
        ("user", &task.user),
        ("unit", &task.unit),
        ("container", &task.container),
        ("cgroup", &task.cgroup),
        ("priority", &task.prio),
    ];
    let said: Vec<String> = said
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", theme.text(value.as_deref()?))))
        .collect();
    let text = wrapped(&said.join("   "), width, "  ");
    lines.extend(text.into_iter().map(|line| Line::styled(line, DIM)));
}

/// The figures of the last interval that are not 0.
fn now(
    app: &App,
    label: &'static str,
    row: Option<Row<'_>>,
    width: usize,
    lines: &mut Vec<Line<'static>>,
) {
    let (Some(row), Some(interval)) = (row, &app.interval) else {
        return;
    };
    let scale = Scale {
        interval: interval.interval,
        accumulated: false,
        kilobytes: app.settings.kilobytes,
    };
    let figures = [
        ("read", "read_bytes"),
        ("dirtied", "write_bytes"),
        ("caused", "caused_bytes"),
        ("submitted by itself", "block_write_self_bytes"),
        ("by others", "block_write_flushed_bytes"),
        ("estimated", "block_write_shared_bytes"),
        ("journal", "journal_bytes"),
        ("home", "home_bytes"),
        ("tree", "tree_bytes"),
        ("for others", "submitted_for_others_bytes"),
        ("pending", "dirty_pending_bytes"),
        ("I/O wait", "blkio_delay_ns"),
        ("throttled", "throttled_ns"),
        ("syncs", "sync_count"),
    ];
    let mut line = vec![Span::styled(label, DIM)];
    for (words, name) in figures {
        let Ok(field) = fields::find(name) else {
            continue;
        };
        let cell = scale.cell(field, row, false);
        if !matches!(cell.as_str(), "-" | "0B/s" | "0B" | "0.00%" | "0" | "0.0/s") {
            let taken: usize = line.iter().map(Span::width).sum();
            if taken + words.len() + 1 + cell.len() > width {
                lines.push(Line::from(std::mem::take(&mut line)));
                line.push(Span::raw("     "));
            }
            line.push(Span::raw(format!("{words} ")));
            line.push(Span::styled(format!("{cell}   "), BOLD));
        }
    }
    if line.len() == 1 {
        line.push(Span::raw("no activity"));
    }
    lines.push(Line::from(line));
}

fn last_minute(canvas: &Canvas<'_, '_>, app: &App, key: &RowKey, lines: &mut Vec<Line<'static>>) {
    let detail = &app.detail;
    let span = units::duration(detail.span);
    let bytes = |n: u64| units::bytes(n as f64, app.settings.kilobytes);
    let mut line = vec![
        Span::styled(format!("last {span}  "), DIM),
        Span::raw("caused "),
        Span::styled(bytes(detail.written), canvas.tone(Tone::Owned).patch(BOLD)),
        Span::raw("   read "),
        Span::styled(bytes(detail.read), canvas.tone(Tone::Read).patch(BOLD)),
    ];
    if detail.for_others != 0 {
        line.push(Span::raw(format!(
            "   submitted for others {}",
            bytes(detail.for_others)
        )));
    }
    lines.push(Line::from(line));
    if detail.calls.is_some() || detail.reached.shared != 0 {
        let reached = detail.reached;
        let text = reached.sentence(detail.calls, app.settings.kilobytes);
        let text = wrapped(&text, usize::from(canvas.area.width - BAR), "  ");
        lines.extend(text.into_iter().map(Line::raw));
    }
    if let Some(lag) = &detail.lag {
        let text = format!("pages were dirty for {}", dirty_for(lag));
        let text = wrapped(&text, usize::from(canvas.area.width - BAR), "  ");
        lines.extend(text.into_iter().map(Line::raw));
    }
    for (name, graph, tone) in [
        ("writes", Graph::Caused, Tone::Owned),
        ("reads", Graph::Read, Tone::Read),
    ] {
        // The newest are at the end.
        let length = LENGTH.min(usize::from(canvas.area.width - BAR) - LABEL);
        let values = app.histories.of(key, graph, length);
        if values.iter().any(|value| *value != 0) {
            let text = graph::line(&values, length, &canvas.theme.bars());
            lines.push(Line::from(vec![
                Span::styled(format!("{name:<LABEL$}"), DIM),
                Span::styled(text, canvas.tone(tone)),
            ]));
        }
    }
    let all = detail.written + detail.read;
    for (title, parts) in [
        ("FILES", &detail.files),
        ("WHOSE DATA", &detail.owners),
        ("SUBMITTED BY", &detail.submitters),
        ("DEVICES", &detail.devices),
    ] {
        table(
            canvas,
            title,
            parts,
            all.max(detail.for_others),
            app.settings.kilobytes,
            lines,
        );
    }
    if all == 0 && detail.owners.is_empty() {
        lines.push(Line::styled("no block I/O in this period", DIM));
    }
}

fn table(
    canvas: &Canvas<'_, '_>,
    title: &str,
    parts: &[Part],
    all: u64,
    kilobytes: bool,
    lines: &mut Vec<Line<'static>>,
) {
    if parts.is_empty() {
        return;
    }
    let bytes = |n: u64| match n {
        0 => units::UNKNOWN.to_owned(),
        n => units::bytes(n as f64, kilobytes),
    };
    lines.push(Line::raw(""));
    lines.push(Line::styled(
        format!("{:>10} {:>10} {:>6}  {title}", "WRITTEN", "READ", ""),
        BOLD,
    ));
    let room = usize::from(canvas.area.width - BAR).saturating_sub(BEFORE_PART);
    for part in parts.iter().take(NAMED) {
        let share = 100.0 * (part.written + part.read) as f64 / all.max(1) as f64;
        lines.push(Line::from(vec![
            Span::styled(
                format!("{:>10} ", bytes(part.written)),
                canvas.tone(Tone::Owned),
            ),
            Span::styled(
                format!("{:>10} ", bytes(part.read)),
                canvas.tone(Tone::Read),
            ),
            Span::raw(format!("{share:>5.1}%  ")),
            Span::raw(part_name(&part.name, room, canvas.theme)),
        ]));
    }
    if let Some(rest) = parts.len().checked_sub(NAMED).filter(|rest| *rest != 0) {
        lines.push(Line::styled(format!("{rest:>31} more"), DIM));
    }
}

/// A name that is cut keeps its kind at the end: `ext4 metadata of sda1: jour…, ~home`.
fn part_name(name: &str, room: usize, theme: Theme) -> String {
    let name = theme.text(name);
    let kind = name.rfind(", ~").map_or("", |at| &name[at..]);
    let rest = &name[..name.len() - kind.len()];
    let rest = shortened(rest, room.saturating_sub(kind.width()), theme);
    format!("{rest}{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::state::settings::Colors;

    #[test]
    fn a_file_that_is_cut_keeps_the_kind_of_its_bytes() {
        let theme = Theme {
            colors: Colors::None,
            ascii: false,
        };
        let name = "ext4 metadata of sda1: journal, inode tables, ~home";
        assert_eq!(part_name(name, 60, theme), name);
        assert_eq!(part_name(name, 30, theme), "ext4 metadata of sda1:…, ~home");
        assert_eq!(part_name("/srv/file", 6, theme), "/srv/…");
    }
}
