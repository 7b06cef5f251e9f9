//! Draws the lines above the table: the figures of the whole machine.

use ratatui::{
    style::Style,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr as _;

use super::{BOLD, CHOSEN, Canvas, DIM, Tone, graph, replay, start_of};
use crate::{
    host::Notice,
    output::{cell::Scale, losses_named, nameless, table::reasons, units},
    sample::{BlockTotals, Disk, Reason, Sample, SharedTask, TaskCounters, Unattributed},
    tui::state::{
        app::App,
        columns::sorted,
        settings::{Figures, Settings},
    },
};

/// Smallest height that shows all lines. On a lower screen the header takes at most five.
const FULL: u16 = 30;
/// Smallest height that shows the memory line, unless something is wrong.
const MEDIUM: u16 = 16;
/// Smallest width of lines without abbreviations.
const WIDE: u16 = 78;
/// Smallest width that shows all percentages.
const ROOMY: u16 = 100;
/// Lines of the machine's graph.
const GRAPH: usize = 3;

/// The shortest header: the title and the problems.
pub(super) fn short(canvas: &mut Canvas<'_, '_>, app: &App) {
    title(canvas, app);
    problems(canvas, app);
}

pub(super) fn draw(canvas: &mut Canvas<'_, '_>, app: &App) {
    title(canvas, app);
    let Some(shown) = &app.shown else {
        let waiting = match app.replay {
            // Its file was removed because it is old.
            Some(_) => "this sample can't be read any more; go to another one",
            None => "waiting for the end of the first interval",
        };
        canvas.line(Line::raw(waiting));
        return problems(canvas, app);
    };
    let sample = &shown.sample;
    let scale = Scale {
        interval: sample.interval,
        accumulated: app.has_totals(),
        kilobytes: app.settings.kilobytes,
    };
    let wide = canvas.area.width >= WIDE;
    io(canvas, sample, &scale, wide);
    attributed(canvas, app, sample, &scale, wide);
    let height = canvas.area.height;
    if height >= FULL || height >= MEDIUM && problem(app, height).is_none() {
        memory(canvas, sample, &scale, wide);
    }
    if height >= FULL {
        disks(canvas, app);
        history(canvas, app);
    }
    problems(canvas, app);
}

/// What is shown: the time, the rows, and what leaves rows out.
pub(super) fn title(canvas: &mut Canvas<'_, '_>, app: &App) {
    let Settings {
        group_by,
        only,
        tree,
        figures,
        ..
    } = &app.settings;
    let mut words = vec![Span::styled("iotop-trace", BOLD)];
    let mut word = |text: String| {
        words.push(Span::raw("  "));
        words.push(Span::raw(text));
    };
    match (&app.replay, &app.interval) {
        (Some(_), interval) => {
            word("REPLAY".to_owned());
            let interval = interval.as_ref().filter(|_| canvas.area.width >= WIDE);
            if let Some(sample) = interval {
                word(format!("every {}", units::duration(sample.interval)));
            }
        }
        (None, Some(sample)) => {
            let time = sample.time.to_zoned_datetime(app.zone.clone());
            word(time.strftime("%H:%M:%S").to_string());
        }
        (None, None) => {}
    }
    if app.replay.is_none() && canvas.area.width >= WIDE {
        word(format!("every {}s", app.settings.delay));
    }
    word(format!("by {}", group_by.name()));
    let scope = &app.scope;
    let theme = canvas.theme;
    let busiest = sorted(&app.settings).is_none() && !app.has_totals();
    let said = [
        (busiest && canvas.area.width >= WIDE).then(|| "busiest first".to_owned()),
        (*tree && group_by.by().is_none()).then(|| match canvas.area.width >= WIDE {
            true => format!("tree ({}= branch)", theme.sum()),
            false => "tree".to_owned(),
        }),
        only.then(|| "only active".to_owned()),
        (!scope.pids.is_empty()).then(|| {
            let pids: Vec<u32> = scope.pids.iter().map(|one| one.pid).collect();
            format!("PID {pids:?}")
        }),
        (!scope.uids.is_empty()).then(|| format!("UID {:?}", scope.uids)),
        scope
            .filter
            .as_ref()
            .map(|filter| format!("/{}/", theme.text(&filter.to_string()))),
        scope
            .device
            .as_ref()
            .map(|device| format!("on {}", theme.text(&device.name))),
        match (figures, &app.totals) {
            (Figures::Rates, _) | (_, None) => None,
            (_, Some((since, ..))) => {
                let format = if app.replay.is_some() { "%F %T" } else { "%T" };
                let since = since.to_zoned_datetime(app.zone.clone());
                Some(format!("totals since {}", since.strftime(format)))
            }
        },
    ];
    said.into_iter().flatten().for_each(&mut word);
    if app.frozen {
        words.push(Span::raw("  "));
        words.push(Span::styled(" FROZEN ", CHOSEN));
    }
    let counts = app.interval.as_ref().and_then(|sample| {
        let all = sample.system.tasks_total?;
        let active = sample.system.tasks_running_io?;
        Some(match active > all {
            true => format!("{all} tasks now, {active} with I/O before they exited"),
            false => format!("{all} tasks, {active} with I/O"),
        })
    });
    let line = Line::from(words);
    let room = usize::from(canvas.area.width).saturating_sub(line.width());
    match counts.filter(|counts| counts.len() + 2 <= room) {
        Some(counts) => {
            let mut line = line;
            line.push_span(Span::raw(" ".repeat(room - counts.len())));
            line.push_span(Span::styled(counts, DIM));
            canvas.line(line);
        }
        None => canvas.line(line),
    }
    replay::draw(canvas, app);
}

/// The sum of the rows, and below it the kernel's figures for the whole machine.
fn io(canvas: &mut Canvas<'_, '_>, sample: &Sample, scale: &Scale, wide: bool) {
    let system = &sample.system;
    let sum = |sum: TaskCounters, task: &SharedTask| sum + task.stats;
    let total = sample.tasks.iter().fold(system.counted, sum);
    let lines = [
        ("Total", total.read_bytes, total.write_bytes),
        ("Actual", system.pgpgin_bytes, system.pgpgout_bytes),
    ];
    for (name, read, write) in lines {
        let (read, write) = (scale.rate(read), scale.rate(write));
        canvas.line(match wide {
            true => Line::from(vec![
                Span::raw(format!("{:<25}", format!("{name} DISK READ:"))),
                Span::styled(format!("{read:>11}"), BOLD),
                Span::raw(format!("  |  {:<20}", format!("{name} DISK WRITE:"))),
                Span::styled(format!("{write:>11}"), BOLD),
            ]),
            false => Line::raw(format!("{name:<6} R {read:>11}  W {write:>11}")),
        });
    }
}

fn attributed(canvas: &mut Canvas<'_, '_>, app: &App, sample: &Sample, scale: &Scale, wide: bool) {
    let block = sample.system.block.as_ref();
    let share = |part: fn(&BlockTotals) -> u64| match block {
        Some(block) if block.write != 0 => {
            format!(" {:.1}%", 100.0 * part(block) as f64 / block.write as f64)
        }
        _ => String::new(),
    };
    let rate = |part: fn(&BlockTotals) -> u64| scale.rate(block.map(part));
    let unattributed = |block: &BlockTotals| block.unattributed.in_total();
    let roomy = canvas.area.width >= ROOMY;
    let share_if_roomy = |part| if roomy { share(part) } else { String::new() };
    let on = app.scope.device.as_ref().map(|_| "On the device: ");
    let owned = canvas.tone(Tone::Owned);
    let none = canvas.tone(Tone::Nobodys);
    let shared = |block: &BlockTotals| block.shared;
    // A part that is 0 gives way on a narrow screen.
    let has_shared = roomy || block.is_none_or(|block| block.shared != 0);
    let between = if roomy { "  |  " } else { " | " };
    let line = match wide {
        true => {
            let mut line = vec![
                Span::raw(on.unwrap_or_default()),
                Span::raw("Attributed: "),
                Span::styled(
                    format!("{}{}", rate(|b| b.attributed), share(|b| b.attributed)),
                    owned,
                ),
            ];
            if has_shared {
                line.push(Span::raw(format!("{between}Shared: ")));
                let text = format!("{}{}", rate(shared), share_if_roomy(shared));
                line.push(Span::styled(text, owned));
            }
            line.push(Span::raw(format!("{between}Unattributed: ")));
            let text = format!("{}{}", rate(unattributed), share_if_roomy(unattributed));
            line.push(Span::styled(text, none));
            line.push(Span::raw(block.map_or(String::new(), |block| {
                unattributed_reasons(&block.unattributed, scale)
            })));
            line
        }
        false => vec![
            Span::raw("Attr "),
            Span::styled(
                format!("{}{}", rate(|b| b.attributed), share(|b| b.attributed)),
                owned,
            ),
            Span::raw(" no owner "),
            Span::styled(rate(unattributed), none),
        ],
    };
    canvas.line(Line::from(line));
}

/// The reasons in brackets. A single reason has no figure, because the sum before it is
/// the same.
fn unattributed_reasons(of: &Unattributed, scale: &Scale) -> String {
    let reasons = reasons(of, scale);
    let all = format!(" {})", scale.rate(Some(of.in_total())));
    match reasons.strip_suffix(&all) {
        Some(one) if of[Reason::Stacked] == 0 && !one.contains(',') => format!("{one})"),
        _ => reasons,
    }
}

/// Dirty page cache as a bar. It ends at the limit at which the kernel throttles
/// writers.
fn memory(canvas: &mut Canvas<'_, '_>, sample: &Sample, scale: &Scale, wide: bool) {
    let system = &sample.system;
    let level = |bytes: Option<u64>| match bytes {
        Some(bytes) => units::bytes(bytes as f64, scale.kilobytes),
        None => units::UNKNOWN.to_owned(),
    };
    let mut line = vec![
        Span::raw("Dirty: "),
        Span::styled(level(system.dirty_bytes), BOLD),
    ];
    let levels = (
        system.dirty_bytes,
        system.background_threshold_bytes,
        system.dirty_threshold_bytes,
    );
    if let (true, (Some(dirty), Some(background), Some(limit))) = (wide, levels) {
        let tone = match dirty {
            dirty if dirty > background => canvas.tone(Tone::Alarm),
            _ => canvas.tone(Tone::Owned),
        };
        let length = if canvas.area.width < ROOMY { 10 } else { 20 };
        let (filled, mark) = bar(dirty, background, limit, length);
        let cell = |at: usize| match at {
            at if at == mark => '|',
            at if at < filled => '#',
            _ => '.',
        };
        let (before, after): (String, String) = (
            (0..filled).map(cell).collect(),
            (filled..length).map(cell).collect(),
        );
        line.push(Span::raw(" ["));
        line.push(Span::styled(before, tone));
        line.push(Span::styled(after, DIM));
        line.push(Span::raw("]"));
    }
    line.push(Span::raw(match wide {
        true => format!(
            " background {}, limit {}{}Writeback: {}",
            level(system.background_threshold_bytes),
            level(system.dirty_threshold_bytes),
            if canvas.area.width < ROOMY {
                " | "
            } else {
                "  |  "
            },
            level(system.writeback_bytes),
        ),
        false => format!(
            " of {}, writeback {}",
            level(system.dirty_threshold_bytes),
            level(system.writeback_bytes),
        ),
    }));
    canvas.line(Line::from(line));
}

/// How much of a bar is filled, and where the background threshold is.
fn bar(dirty: u64, background: u64, limit: u64, length: usize) -> (usize, usize) {
    let part = |bytes: u64| (bytes as f64 / limit.max(1) as f64 * length as f64).round() as usize;
    (part(dirty).min(length), part(background).min(length - 1))
}

fn disks(canvas: &mut Canvas<'_, '_>, app: &App) {
    // Never totals: the line says which disks are busy now.
    let Some(sample) = &app.interval else { return };
    let seconds = sample.interval.as_secs_f64().max(0.001);
    let kilobytes = app.settings.kilobytes;
    let rate = |bytes: u64| format!("{}/s", units::bytes(bytes as f64 / seconds, kilobytes));
    let idle = |disk: &&Disk| disk.read == 0 && disk.write == 0 && disk.busy.is_zero();
    let mut disks: Vec<_> = sample.disks.iter().filter(|disk| !idle(disk)).collect();
    // The busiest disks get the room, in an order that does not change with load.
    disks.sort_by_key(|disk| (std::cmp::Reverse(disk.busy), disk.number));
    let mut said = Vec::new();
    let mut room = usize::from(canvas.area.width).saturating_sub(7);
    for disk in disks {
        let busy = (100.0 * disk.busy.as_secs_f64() / seconds).min(100.0);
        let name = format!("{} ", canvas.theme.text(&disk.name));
        let percent = format!("{busy:.0}% busy");
        let moved = format!(" r {} w {}   ", rate(disk.read), rate(disk.write));
        let width = name.width() + percent.width() + moved.width();
        if width > room + 3 {
            break;
        }
        room = room.saturating_sub(width);
        let tone = if busy > 90.0 {
            canvas.tone(Tone::Alarm)
        } else {
            BOLD
        };
        let spans = [
            Span::raw(name),
            Span::styled(percent, tone),
            Span::styled(moved, DIM),
        ];
        said.push((disk.number, spans));
    }
    said.sort_by_key(|(number, _)| *number);
    let mut line = vec![Span::raw("Disks: ")];
    line.extend(said.into_iter().flat_map(|(_, spans)| spans));
    if line.len() == 1 {
        line.push(Span::styled("all idle", DIM));
    }
    canvas.line(Line::from(line));
}

/// The machine's writes as a graph. The colour of a column says whether more of its
/// bytes have an owner or have none.
fn history(canvas: &mut Canvas<'_, '_>, app: &App) {
    let label = 22;
    let width = usize::from(canvas.area.width).saturating_sub(label);
    let from = app.history.len().saturating_sub(width);
    let writes: Vec<u64> = app
        .history
        .range(from..)
        .map(|moment| moment.write)
        .collect();
    let most = writes.iter().copied().max().unwrap_or(0);
    let rows = graph::area(&writes, width, GRAPH, &canvas.theme.bars());
    let span = app.history.range(from..).map(|moment| moment.length).sum();
    let labels = [
        "Written".to_owned(),
        format!(
            "max {}/s",
            units::bytes(most as f64, app.settings.kilobytes)
        ),
        format!("last {}", units::duration(span)),
    ];
    let owned = canvas.tone(Tone::Owned);
    let none = canvas.tone(Tone::Nobodys);
    let moments: Vec<_> = app.history.range(from..).collect();
    let blank = width - moments.len();
    for (label_text, row) in labels.iter().zip(rows) {
        let mut line = vec![Span::styled(format!("{label_text:<label$}"), DIM)];
        for (at, symbol) in row.chars().enumerate() {
            let moment = at.checked_sub(blank).and_then(|at| moments.get(at));
            // A column has the colour of its larger part.
            let mostly_owned = moment.is_some_and(|moment| 2 * moment.owned >= moment.write);
            line.push(Span::styled(
                symbol.to_string(),
                if mostly_owned { owned } else { none },
            ));
        }
        canvas.line(Line::from(line));
    }
}

/// What was lost and what is missing, on one line that is never left out. Only lost bytes are
/// an alarm.
fn problems(canvas: &mut Canvas<'_, '_>, app: &App) {
    let Some(problem) = problem(app, canvas.area.height) else {
        return;
    };
    let style = match problem.kind {
        ProblemKind::Lost => canvas.tone(Tone::Alarm),
        ProblemKind::Notice => Style::new(),
        ProblemKind::Note => DIM,
    };
    let more = match problem.others {
        0 => String::new(),
        1 => "  +1 notice, press ?".to_owned(),
        n => format!("  +{n} notices, press ?"),
    };
    let text = canvas.theme.text(&problem.text).into_owned();
    let width = usize::from(canvas.area.width);
    let text = match text.width() + more.width() > width {
        true => {
            let more = if more.is_empty() { ".. press ?" } else { &more };
            let (start, _) = start_of(&text, width.saturating_sub(more.width()));
            format!("{start}{more}")
        }
        false => format!("{text}{more}"),
    };
    canvas.line(Line::styled(text, style));
}

/// The worst of what is wrong.
struct Problem {
    kind: ProblemKind,
    text: String,
    /// Number of those that are not shown.
    others: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum ProblemKind {
    /// Bytes are missing, or their owners.
    Lost,
    /// Something is missing on this machine, and the user can do something about it.
    Notice,
    /// Names are missing.
    Note,
}

/// What was lost of the bytes. Of a recording: of those that are shown.
pub(super) fn losses(app: &App) -> Option<String> {
    let (lost, when) = match (&app.replay, &app.interval, &app.totals) {
        (None, ..) => (&app.lost, "so far"),
        (Some(_), _, Some((.., sum))) => (&sum.system.lost, "since the start"),
        (Some(_), Some(sample), None) => (&sample.system.lost, "in this interval"),
        (Some(_), None, None) => return None,
    };
    let lost = losses_named(lost)?;
    Some(format!("! lost {when}: {lost}; figures are incomplete"))
}

fn problem(app: &App, height: u16) -> Option<Problem> {
    let lost = losses(app);
    // Hides the notice about delay accounting once delays are counted, and on low
    // screens, where a row is worth more.
    let counts = app.interval.is_some() && app.known().delays || height < FULL;
    let matters = |notice: &&Notice| match notice {
        Notice::DelaysOff => !counts,
        Notice::IoMaxUnseen(_) => app.io_max.holds_back,
        notice => !notice.is_permanent(),
    };
    let notices = app.machine.notices.iter().filter(matters);
    let lost = lost.map(|lost| (ProblemKind::Lost, lost));
    let notices = notices.map(|notice| (ProblemKind::Notice, format!("! {notice}")));
    let note = nameless(&app.lately.sum()).map(|note| (ProblemKind::Note, note));
    let mut all = lost.into_iter().chain(notices).chain(note);
    let (kind, text) = all.next()?;
    Some(Problem {
        kind,
        text,
        others: all.count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_ends_at_the_limit() {
        assert_eq!(bar(0, 50, 100, 20), (0, 10));
        assert_eq!(bar(50, 50, 100, 20), (10, 10));
        assert_eq!(bar(500, 100, 100, 20), (20, 19));
        assert_eq!(bar(5, 0, 0, 20), (20, 0));
    }
}
