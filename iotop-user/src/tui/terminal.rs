//! Takes over the terminal, and restores it however the program ends.

use std::{
    io::{self, Stdout, Write as _, stdout},
    panic,
};

use crossterm::{
    cursor::Show,
    event::{DisableMouseCapture, EnableMouseCapture},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Terminal, backend::CrosstermBackend, layout::Rect};

/// The terminal while we draw on it.
pub struct Screen {
    /// Where to draw.
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes over the terminal. A panic restores it before the panic message is
    /// printed.
    ///
    /// # Errors
    ///
    /// There is no terminal, or it is gone.
    pub fn enter() -> io::Result<Screen> {
        let message = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            message(panic);
        }));
        take_over().inspect_err(|_| restore())?;
        Ok(Screen {
            terminal: Terminal::new(CrosstermBackend::new(stdout()))?,
        })
    }

    /// Restores the terminal and stops this process, as ^Z does. Takes the terminal
    /// over again once SIGCONT continues the process.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        // SAFETY: raise takes a plain number. SIGSTOP can't be caught, so this
        // returns once SIGCONT has arrived.
        unsafe { libc::raise(libc::SIGSTOP) };
        self.again()
    }

    /// Takes the terminal over again. The next draw repaints the whole screen.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn again(&mut self) -> io::Result<()> {
        take_over()?;
        // Terminal::clear would ask the terminal for the cursor's position, and the
        // answer would be read as keys.
        let size = self.terminal.size()?;
        self.terminal
            .resize(Rect::new(0, 0, size.width, size.height))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, EnableMouseCapture)
}

/// Restores the terminal. Errors are ignored: it may be gone.
fn restore() {
    let _ = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}
