//! The terminal: taken over, and given back however the program ends.

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
    /// Takes the terminal over. A panic gives it back before its message is
    /// printed.
    ///
    /// # Errors
    ///
    /// It is none, or it is gone.
    pub fn enter() -> io::Result<Screen> {
        let message = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            give_back();
            message(panic);
        }));
        take_over().inspect_err(|_| give_back())?;
        Ok(Screen {
            terminal: Terminal::new(CrosstermBackend::new(stdout()))?,
        })
    }

    /// Stops this program as ^Z does, and goes on when it is continued.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        // SAFETY: raise takes a plain number. SIGSTOP can't be caught, so this
        // returns when somebody sent SIGCONT.
        unsafe { libc::raise(libc::SIGSTOP) };
        self.again()
    }

    /// Takes the terminal over once more, and draws all of it.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub fn again(&mut self) -> io::Result<()> {
        take_over()?;
        // Terminal::clear asks the terminal for the cursor, and the answer
        // would be read as keys.
        let size = self.terminal.size()?;
        self.terminal
            .resize(Rect::new(0, 0, size.width, size.height))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, EnableMouseCapture)
}

/// As far as it is still there.
fn give_back() {
    let _ = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
    let _ = stdout().flush();
}
