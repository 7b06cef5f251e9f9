//! The live view.
//!
//! A thread takes samples. Everything else is one loop: a sample or a key changes the
//! state, then the screen is drawn. Drawing looks nothing up.

mod draw;
#[cfg(test)]
mod golden;
mod input;
mod sampler;
mod state;
pub mod terminal;

use std::io;

use anyhow::{Context as _, Result, bail};
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{GroupBy, Live},
    collect::{Collector, Wanted},
    tui::{
        draw::{draw, theme::Theme},
        sampler::Sampler,
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
    Settings {
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
        columns: match live.columns.is_empty() {
            true => settings.columns,
            false => live.columns.clone(),
        },
        ..settings
    }
}

/// What the live view asks the collector for.
pub fn wanted(settings: &Settings, live: &Live) -> Wanted {
    Wanted {
        rows: wanted_rows(settings),
        leaders: true,
        flushes: true,
        spikes: Some(live.spikes),
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
    if live.explain {
        app.open(Page::Log);
    }
    let mut signals = Signals::new().context("waiting for signals")?;
    let mut sampler =
        Sampler::start(collector, app.delay()).context("starting the collector's thread")?;
    let mut screen = Screen::enter().context("taking over the terminal")?;
    let mut events = EventStream::new();
    let mut left = live.iterations;
    loop {
        screen
            .terminal
            .draw(|frame| {
                app.drawn = draw(frame, &app, theme);
                app.first = match app.place().page {
                    Page::Table => app.drawn.first,
                    _ => app.first,
                };
            })
            .context("drawing")?;
        if left == Some(0) {
            return Ok(());
        }
        let effect = tokio::select! {
            // `biased`: signals and keys are handled before the next sample.
            biased;
            signal = signals.next() => match signal {
                Signal::End => return Ok(()),
                Signal::Stop => {
                    screen.suspend().context("resuming after a stop")?;
                    None
                }
                Signal::Continued => Some(Effect::Redraw),
            },
            event = events.next() => match event {
                Some(Ok(event)) => take(&mut app, event),
                Some(Err(error)) => return Err(error).context("reading the terminal"),
                None => return Ok(()),
            },
            sample = sampler.next() => {
                let Some(sample) = sample else {
                    bail!("the collector's thread has ended");
                };
                app.sample(sample.context("reading the kernel's counters")?);
                if app.settings.figures != Figures::Rates && app.totals.is_none() {
                    app.count_from_now();
                }
                left = left.map(|left| left - 1);
                None
            }
        };
        match effect {
            None => {}
            Some(Effect::Quit) => return Ok(()),
            Some(Effect::Ask(request)) => sampler.ask(request),
            Some(Effect::Redraw) => screen.again().context("redrawing the screen")?,
            Some(Effect::Suspend) => stop_all(),
        }
    }
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

enum Signal {
    End,
    Stop,
    Continued,
}

struct Signals([(tokio::signal::unix::Signal, fn() -> Signal); 5]);

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals([
            (signal(SignalKind::interrupt())?, || Signal::End),
            (signal(SignalKind::terminate())?, || Signal::End),
            (signal(SignalKind::hangup())?, || Signal::End),
            (signal(SignalKind::from_raw(libc::SIGTSTP))?, || {
                Signal::Stop
            }),
            (signal(SignalKind::from_raw(libc::SIGCONT))?, || {
                Signal::Continued
            }),
        ]))
    }

    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (signal, meaning) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready(meaning());
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
