//! The live view over a recording: the same screens, and keys that go back and forth.

mod player;
mod search;
mod sums;
#[cfg(test)]
mod tests;

use std::{future::pending, mem, time::Instant};

use anyhow::{Context as _, Result};
use crossterm::event::{Event, EventStream, KeyCode};
use futures_util::StreamExt as _;
use jiff::{Timestamp, tz::TimeZone};
use ratatui::Frame;
use tokio::{task::yield_now, time::sleep_until};

use player::Player;

use super::{
    EXITED, Signal, Signals,
    draw::{draw, theme::Theme},
    state::{
        app::{App, Effect, Surroundings},
        pages::Page,
        replaying::Replaying,
        rows::Scope,
        settings::Settings,
    },
    stop_all, take,
    terminal::{self, Screen},
};
use crate::{
    cli::Live,
    collect::{Chosen, Exited, Rows, Wanted},
    host::{Notice, signals::Ending},
    record::Timeline,
    view::RecordedNames,
};

/// What of a recording is shown.
pub struct Opened {
    /// Its samples.
    pub timeline: Timeline,
    /// Where to start; `None`: at the first sample.
    pub at: Option<Timestamp>,
    /// The names that were looked up in it.
    pub names: RecordedNames,
}

/// Shows a recording until the user quits or a signal ends it. Returns false if no sample of it
/// can be read.
///
/// # Errors
///
/// The terminal can't be used.
pub async fn run(
    opened: Opened,
    live: Live,
    settings: Settings,
    machine: Surroundings,
) -> Result<bool> {
    let theme = Theme::new(settings.colors, settings.characters);
    let Some((mut app, mut player)) = start(opened, live, settings, machine, TimeZone::system())
    else {
        return Ok(false);
    };
    let mut ending = Ending::watch(terminal::release).context("waiting for signals")?;
    let screen = Screen::enter().context("taking over the terminal")?;
    let shown = show(&mut app, &mut player, theme, screen, &mut ending).await;
    shown
        .map(|()| true)
        .or_else(|error| match terminal::is_gone() {
            true => Ok(true),
            false => Err(error),
        })
}

/// The state before the first sample, and its player. `None` if no sample can be read.
fn start(
    opened: Opened,
    live: Live,
    settings: Settings,
    machine: Surroundings,
    zone: TimeZone,
) -> Option<(App, Player)> {
    let directory = opened.timeline.directory().display().to_string();
    let mut player = Player::start(opened.timeline, wanted(), opened.at)?;
    let mut app = app(live, settings, machine, zone);
    app.replay = Some(Replaying {
        directory,
        names: opened.names,
        ..Replaying::default()
    });
    player.say_where(&mut app, opened.at);
    let skipped = player.skipped().into_iter();
    app.machine.notices.extend(skipped.map(Notice::LeftOut));
    Some((app, player))
}

/// What of a recorded sample is shown.
fn wanted() -> Wanted {
    Wanted {
        rows: Rows::All,
        leaders: true,
        exited: Exited::Few(EXITED),
        flushes: true,
        spikes: Some(Default::default()),
        ..Wanted::default()
    }
}

/// The state before the first sample.
fn app(live: Live, settings: Settings, machine: Surroundings, zone: TimeZone) -> App {
    let scope = Scope {
        pids: live.pids.iter().copied().map(Chosen::new).collect(),
        uids: live.uids,
        filter: live.filter,
        device: live.device,
    };
    let mut app = App::new(settings, scope, machine, zone);
    app.log.explain.full_command = live.command_line;
    app.wake_log.format.full_command = live.command_line;
    app
}

/// Shows every change until it is to end.
async fn show(
    app: &mut App,
    player: &mut Player,
    theme: Theme,
    mut screen: Screen,
    ending: &mut Ending,
) -> Result<()> {
    let mut signals = Signals::new().context("waiting for signals")?;
    let mut events = EventStream::new();
    let mut again = false;
    player.work(app);
    loop {
        // A terminal that has not taken the last picture gets no further one.
        let is_ready = screen.is_ready();
        if is_ready && (player.may_draw(app) || again) {
            if mem::take(&mut again) {
                screen.again().context("redrawing the screen")?;
            }
            let picture = |frame: &mut Frame<'_>| {
                app.drawn = draw(frame, app, theme);
                app.first = match app.place().page {
                    Page::Table => app.drawn.first,
                    _ => app.first,
                };
            };
            screen.draw(picture).context("drawing")?;
        }
        let due = player.due(app);
        let effect = tokio::select! {
            // `biased`: signals and keys are handled before anything else is read.
            biased;
            () = ending.asked() => Some(Effect::Quit),
            () = screen.gone() => Some(Effect::Quit),
            signal = signals.next() => match signal {
                Signal::Stop => {
                    screen.give_back();
                    terminal::stop();
                    if !signals.is_continued().await {
                        app.say("not suspended: no shell could continue it here");
                    }
                    Some(Effect::Redraw)
                }
                Signal::Continued => Some(Effect::Redraw),
            },
            event = events.next() => match event {
                Some(Ok(event)) if is_escape(&event) && player.cancel(app) => None,
                Some(Ok(event)) => take(app, event),
                Some(Err(error)) => return Err(error).context("reading the terminal"),
                None => Some(Effect::Quit),
            },
            () = yield_now(), if player.has_work(app) => {
                player.work(app);
                None
            }
            () = wait_until(due) => {
                player.tick(app);
                None
            }
            () = screen.ready(), if !is_ready => None,
        };
        match effect {
            // There is no collector.
            None | Some(Effect::Ask(_)) => {}
            Some(Effect::Quit) => break,
            Some(Effect::Redraw) => again = true,
            Some(Effect::Suspend) => stop_all(),
            Some(Effect::Go(go)) => player.go(app, go),
        }
    }
    ending.finish();
    Ok(())
}

fn is_escape(event: &Event) -> bool {
    matches!(event, Event::Key(key) if key.code == KeyCode::Esc)
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => pending().await,
    }
}
