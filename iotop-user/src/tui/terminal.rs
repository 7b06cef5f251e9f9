//! Takes over the terminal, and restores it however the program ends.

use std::{
    env,
    io::{self, IsTerminal as _, Write, stdout},
    mem::MaybeUninit,
    panic,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use crossterm::{
    cursor::Show,
    event::{DisableMouseCapture, EnableMouseCapture},
    execute,
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode, size,
    },
};
use ratatui::{
    Frame, Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use signal_hook::low_level;
use tokio::sync::Notify;

use crate::output::Outlet;

/// A terminal that is given back has this time to take what was drawn before.
const PATIENCE: Duration = Duration::from_millis(300);
/// The size of a terminal that does not know its own, such as a serial line.
const UNKNOWN: Rect = Rect::new(0, 0, 80, 24);

/// The terminal while we draw on it. A terminal that does not take what is drawn, for
/// example because it is stopped, blocks nothing else.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Drawing>>,
    viewport: Viewport,
    outlet: Outlet,
    hang_up: Arc<Notify>,
}

impl Screen {
    /// Takes over the terminal. A panic restores it before the panic message is
    /// printed.
    ///
    /// # Errors
    ///
    /// There is no terminal, or it is gone.
    pub fn enter() -> io::Result<Screen> {
        let outlet = Outlet::start(stdout())?;
        let message = panic::take_hook();
        let panicking = outlet.clone();
        panic::set_hook(Box::new(move |panic| {
            restore(&panicking);
            message(panic);
        }));
        let hang_up = hang_up()?;
        take_over(&outlet)?;
        let made = viewport().and_then(|viewport| Ok((terminal(&outlet, &viewport)?, viewport)));
        let (terminal, viewport) = made.inspect_err(|_| restore(&outlet))?;
        Ok(Screen {
            terminal,
            viewport,
            outlet,
            hang_up,
        })
    }

    /// Draws a picture.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        if viewport()? != self.viewport {
            self.again()?;
        }
        self.terminal.draw(picture).map(drop)
    }

    /// Whether the terminal has taken everything that was drawn.
    pub fn is_ready(&self) -> bool {
        self.outlet.waiting() == 0
    }

    /// Returns when the terminal has taken everything that was drawn.
    pub async fn ready(&self) {
        if self.outlet.written().await.is_err() {
            // It never will. `gone` says so.
            std::future::pending().await
        }
    }

    /// Returns when the terminal is gone.
    pub async fn gone(&self) {
        tokio::select! {
            _ = self.outlet.failed() => {}
            () = self.hang_up.notified() => {}
        }
    }

    /// Gives the terminal back, until it is taken over [`again`](Screen::again).
    pub fn give_back(&self) {
        restore(&self.outlet);
    }

    /// Takes the terminal over again. The next draw repaints the whole screen.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn again(&mut self) -> io::Result<()> {
        take_over(&self.outlet)?;
        self.viewport = viewport()?;
        self.terminal = terminal(&self.outlet, &self.viewport)?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore(&self.outlet);
    }
}

/// Collects what is drawn, and gives it to the thread that writes it. It can't fail, so
/// ratatui has no error to print on a terminal that is gone.
pub struct Drawing {
    drawn: BytesMut,
    outlet: Outlet,
}

impl Drawing {
    fn on(outlet: &Outlet) -> Drawing {
        Drawing {
            drawn: BytesMut::new(),
            outlet: outlet.clone(),
        }
    }
}

impl Write for Drawing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.drawn.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.drawn.is_empty() {
            self.outlet.put(self.drawn.split());
        }
        Ok(())
    }
}

/// Whether standard output is a terminal that can show the live view. `TERM` tells.
pub fn can_show() -> bool {
    let term = env::var_os("TERM").unwrap_or_default();
    stdout().is_terminal() && !term.is_empty() && term != "dumb"
}

/// Whether the terminal is gone.
pub fn is_gone() -> bool {
    hung_up(Some(&Timespec::default())).unwrap_or(false)
}

/// Gives back the terminal's modes, and waits for nothing.
pub fn release() {
    let _ = disable_raw_mode();
}

/// Stops this process as SIGTSTP does by default. Returns once SIGCONT has continued it,
/// or at once if the kernel ignores the signal. It does so if the process group is
/// orphaned: no shell could continue it.
pub fn stop() {
    let default = MaybeUninit::<libc::sigaction>::zeroed();
    let mut before = default;
    // SAFETY: all pointers are to our own structures. A sigaction of zeros is valid and
    // means SIG_DFL without flags. The kernel fills in `before` before it is used.
    unsafe {
        libc::sigaction(libc::SIGTSTP, default.as_ptr(), before.as_mut_ptr());
        libc::raise(libc::SIGTSTP);
        libc::sigaction(libc::SIGTSTP, before.as_ptr(), std::ptr::null_mut());
    }
}

/// The part of the terminal to draw on: all of it, or `UNKNOWN` if it has no size.
fn viewport() -> io::Result<Viewport> {
    Ok(match size()? {
        (0, _) | (_, 0) => Viewport::Fixed(UNKNOWN),
        _ => Viewport::Fullscreen,
    })
}

fn terminal(
    outlet: &Outlet,
    viewport: &Viewport,
) -> io::Result<Terminal<CrosstermBackend<Drawing>>> {
    let viewport = viewport.clone();
    let backend = CrosstermBackend::new(Drawing::on(outlet));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

fn take_over(outlet: &Outlet) -> io::Result<()> {
    enable_raw_mode()?;
    let mut drawing = Drawing::on(outlet);
    execute!(
        drawing,
        EnterAlternateScreen,
        Clear(ClearType::All),
        EnableMouseCapture
    )
}

/// Restores the terminal. Errors are ignored: it may be gone.
fn restore(outlet: &Outlet) {
    let mut drawing = Drawing::on(outlet);
    let _ = execute!(drawing, DisableMouseCapture, LeaveAlternateScreen, Show);
    let start = Instant::now();
    while outlet.waiting() > 0 && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(1));
    }
    let _ = disable_raw_mode();
}

/// Notifies when the terminal is gone. crossterm does not: it reads the end of input again
/// and again. If it has begun to, the program can't end by itself, and nothing is left to
/// show: it is ended here.
fn hang_up() -> io::Result<Arc<Notify>> {
    let notify = Arc::new(Notify::new());
    let told = Arc::clone(&notify);
    thread::Builder::new()
        .name("terminal".to_owned())
        .spawn(move || {
            while let Ok(false) | Err(Errno::INTR) = hung_up(None) {}
            told.notify_one();
            thread::sleep(PATIENCE);
            low_level::exit(0);
        })?;
    Ok(notify)
}

/// Waits until the terminal is gone, but not longer than `patience`.
fn hung_up(patience: Option<&Timespec>) -> Result<bool, Errno> {
    let stdout = stdout();
    // POLLHUP and POLLERR are always reported.
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    Ok(poll(&mut polled, patience)? > 0)
}
