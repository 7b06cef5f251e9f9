//! The live view.
//!
//! A thread takes samples. Everything else is one loop: a sample or a key changes the
//! state, then the screen is drawn. Drawing looks nothing up.

mod draw;
#[cfg(test)]
mod golden;
mod input;
pub mod replay;
mod sampler;
pub(crate) mod state;
pub mod terminal;

use std::{io, mem, time::Duration};

use anyhow::{Context as _, Result, bail};
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use ratatui::Frame;
use tokio::{
    signal::unix::{self, SignalKind},
    time::timeout,
};

use crate::{
    cli::{GroupBy, Live},
    collect::{Collector, Exited, Waker, Wanted},
    host::signals::Ending,
    tui::{
        draw::{draw, theme::Theme},
        sampler::{Request, Sampler},
        state::{
            app::{App, Effect},
            pages::Page,
            rows::{Scope, wanted_rows},
            settings::Figures,
        },
        terminal::Screen,
    },
};
pub use state::{
    app::Surroundings,
    settings::{self, Settings},
};

/// At most this many exited tasks of an interval have a row of their own.
const EXITED: usize = 500;

/// The settings of the configuration file, overridden by the command line.
pub fn with_options(settings: Settings, live: &Live) -> Settings {
    let figures = match live.accumulated {
        true => Figures::Totals,
        false => settings.figures,
    };
    // `--fields` and `--sort` name fields of tasks unless `--group-by` says otherwise,
    // so without it they imply rows by thread.
    let names_fields = !live.columns.is_empty() || live.sort.is_some();
    let by = live
        .group_by
        .or_else(|| names_fields.then_some(GroupBy::Thread));
    let mut settings = Settings {
        delay: live
            .delay
            .map_or(settings.delay, |delay| delay.as_secs_f64()),
        group_by: by.unwrap_or(settings.group_by),
        // The page of a process that does nothing needs its row.
        only: live.only || settings.only && live.detail.is_none(),
        figures,
        kilobytes: live.kilobytes || settings.kilobytes,
        command_line: live.command_line || settings.command_line,
        sort: live.sort.clone().or(settings.sort),
        ..settings
    };
    if !live.columns.is_empty() {
        settings.chosen_mut().clone_from(&live.columns);
    }
    settings
}

/// What the live view asks the collector for.
pub fn wanted(settings: &Settings, live: &Live) -> Wanted {
    Wanted {
        rows: wanted_rows(settings),
        leaders: true,
        exited: Exited::Few(EXITED),
        flushes: true,
        spikes: Some(live.spikes),
        wakes: Some(live.wakes),
        ..Wanted::default()
    }
}

/// Runs the live view until the user quits, a signal ends it, or all requested
/// iterations are shown.
///
/// # Errors
///
/// A source can no longer be read, or the terminal can't be used.
pub async fn run(
    collector: Collector,
    live: Live,
    settings: Settings,
    machine: Surroundings,
) -> Result<()> {
    let theme = Theme::new(settings.colors, settings.characters);
    let scope = Scope {
        pids: collector.choose(&live.pids),
        uids: live.uids,
        filter: live.filter,
        device: live.device,
    };
    let mut app = App::new(settings, scope, machine, TimeZone::system());
    for process in collector.choose(live.detail.as_slice()) {
        app.open_process(&process);
    }
    app.log.explain.full_command = live.command_line;
    app.wake_log.format.full_command = live.command_line;
    app.idle = live.wakes.idle;
    if live.explain {
        app.open(Page::Log);
    }
    if live.explain_wakes {
        app.open(Page::Wakes);
    }
    let mut ending = Ending::watch(terminal::release).context("waiting for signals")?;
    let waker = collector.waker().context("watching the kernel half")?;
    let sampler =
        Sampler::start(collector, app.delay()).context("starting the collector's thread")?;
    let screen = Screen::enter().context("taking over the terminal")?;
    let shown = show(
        &mut app,
        theme,
        live.iterations,
        screen,
        sampler,
        waker,
        &mut ending,
    )
    .await;
    shown.or_else(|error| match terminal::is_gone() {
        true => Ok(()),
        false => Err(error),
    })
}

/// Shows every change until it is to end.
async fn show(
    app: &mut App,
    theme: Theme,
    iterations: Option<u64>,
    mut screen: Screen,
    mut sampler: Sampler,
    waker: Waker,
    ending: &mut Ending,
) -> Result<()> {
    let mut signals = Signals::new().context("waiting for signals")?;
    let mut events = EventStream::new();
    let mut left = iterations;
    let mut again = false;
    loop {
        // A terminal that has not taken the last picture gets no further one.
        let is_drawn = screen.is_ready();
        if is_drawn {
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
            if left == Some(0) {
                break;
            }
        }
        let effect = tokio::select! {
            // `biased`: signals and keys are handled before the next sample.
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
                Some(Ok(event)) => take(app, event),
                Some(Err(error)) => return Err(error).context("reading the terminal"),
                None => Some(Effect::Quit),
            },
            sample = sampler.next() => {
                let Some(sample) = sample else {
                    bail!("the collector's thread has ended");
                };
                app.sample(sample.context("reading the kernel's counters")?);
                if app.settings.figures != Figures::Rates && app.totals.is_none() {
                    app.count_from_now();
                }
                left = left.map(|left| left.saturating_sub(1));
                None
            }
            () = waker.asked() => Some(Effect::Ask(Request::Gather)),
            () = screen.ready(), if !is_drawn => None,
        };
        match effect {
            None => {}
            Some(Effect::Quit) => break,
            Some(Effect::Ask(request)) => sampler.ask(request),
            // Only recordings have other places.
            Some(Effect::Go(_)) => {}
            Some(Effect::Redraw) => again = true,
            Some(Effect::Suspend) => stop_all(),
        }
    }
    // The terminal may be blocked, and the collector may wait for a hung file system.
    ending.finish();
    Ok(())
}

fn take(app: &mut App, event: Event) -> Option<Effect> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => app.key(key),
        Event::Mouse(mouse) => app.mouse(mouse),
        _ => None,
    }
}

/// Stops the whole process group, `sudo` included, as the terminal does for ^Z. This
/// process gets the signal too, and handles it in the loop.
fn stop_all() {
    // SAFETY: kill takes plain numbers.
    unsafe { libc::kill(0, libc::SIGTSTP) };
}

/// Time in which SIGCONT is handled after it has continued the process.
const CONTINUED: Duration = Duration::from_millis(200);

enum Signal {
    Stop,
    Continued,
}

/// The signals of job control.
struct Signals {
    stop: unix::Signal,
    continued: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            stop: unix::signal(SignalKind::from_raw(libc::SIGTSTP))?,
            continued: unix::signal(SignalKind::from_raw(libc::SIGCONT))?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.stop.recv() => Signal::Stop,
            _ = self.continued.recv() => Signal::Continued,
        }
    }

    /// Whether the process was stopped, and is continued now.
    async fn is_continued(&mut self) -> bool {
        timeout(CONTINUED, self.continued.recv()).await.is_ok()
    }
}
