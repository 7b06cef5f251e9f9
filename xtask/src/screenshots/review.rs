//! Pictures to look at before a release: every page at three sizes, in three looks.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use crate::svg::{self, Paper};
use crate::terminal::Terminal;
use crate::workspace;

const SIZES: [(u16, u16); 3] = [(150, 45), (80, 24), (40, 10)];
/// Name, the terminal's own colours, and whether the program uses colours.
const LOOKS: [(&str, Paper, bool); 3] = [
    ("dark", Paper::DARK, true),
    ("light", Paper::LIGHT, true),
    ("mono", Paper::DARK, false),
];

const ESC: &str = "\x1b";
const F2: &str = "\x1bOQ";

const F3: &str = "\x1bOR";

/// Pages, and the keys that lead from each to the next one. While little happens the first ones
/// are enough.
const PAGES: [(&str, &[&str]); 12] = [
    ("table", &[]),
    ("why", &["w"]),
    ("detail", &[ESC, F3, "fio\r", "\r"]),
    ("tree", &[ESC, "t"]),
    ("closed", &[F3, "xtask\r", "-"]),
    ("parents", &["+", "t", "bbb"]),
    ("columns", &[F2]),
    ("files", &[ESC, "BBBB"]),
    ("both", &["b", "aa"]),
    ("prompt", &["a", "/", "dd"]),
    ("flush", &[ESC, "w", "\r"]),
    ("help", &[ESC, "?"]),
];
const QUIET_PAGES: usize = 3;

/// Takes the pictures of a machine on which little happens, or much.
pub fn take(program: &Path, directory: &Path, busy: bool) -> Result<()> {
    let pages = match busy {
        true => &PAGES[..],
        false => &PAGES[..QUIET_PAGES],
    };
    for (look, paper, colours) in LOOKS {
        for size in SIZES {
            let variables = [
                ("TERM", Some("xterm-256color")),
                ("COLORTERM", Some("truecolor")),
                ("LC_ALL", Some("C.UTF-8")),
                ("NO_COLOR", (!colours).then_some("1")),
                ("XDG_CONFIG_HOME", directory.to_str()),
            ];
            let mut terminal = Terminal::start::<&str>(program, &[], &variables, size)?;
            terminal.wait_for("the table", |text| text.contains("COMMAND"))?;
            sleep(Duration::from_secs(6));
            for (page, keys) in pages {
                for key in *keys {
                    terminal.keys(key)?;
                    // A key right after Esc would be taken for Alt and that key.
                    sleep(Duration::from_millis(300));
                }
                sleep(Duration::from_millis(900));
                let quiet = if busy { "" } else { "quiet_" };
                let name = format!("{look}_{}x{}_{quiet}{page}", size.0, size.1);
                let place = workspace::target().join("screens");
                fs::create_dir_all(&place)?;
                let picture = svg::picture(&terminal.screen(), &name, paper);
                fs::write(place.join(format!("{name}.svg")), picture)?;
            }
            terminal.keys(ESC)?;
            sleep(Duration::from_millis(300));
            terminal.keys("q")?;
            terminal.end()?;
            eprintln!("{look} {}x{}", size.0, size.1);
        }
    }
    Ok(())
}
