//! docs/questions.md: what a newcomer asks, and the screens that answer, captured.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::terminal::Terminal;
use crate::workspace;

const SIZE: (u16, u16) = (128, 30);

const HEAD: &str = "\
# Ten questions

Screens of a real run, captured by `cargo xtask screenshots`. A database commits, a backup is made by one
short-lived `dd` after the other, a service appends to a log, and another one searches a file that is not cached.
Each is a unit of its own.
";

/// A screen: how to get there, what is on it, and the questions that it answers.
struct Answer {
    options: &'static [&'static str],
    keys: &'static str,
    how: &'static str,
    questions: &'static str,
}

const ANSWERS: [Answer; 5] = [
    Answer {
        options: &["-o"],
        keys: "",
        how: "The first screen: `sudo iotop-trace -o`",
        questions: "\
- **Who writes now?** The rows, by CAUSED: what each task's data and metadata put on a device, whoever
  submitted it.
- **Whose data is this kworker writing?** Its row says so: `flush 7:0 -> dd 100%`. jbd2 and other threads do
  the same.
- **What did the dead one write?** `(exited)` rows keep their bytes, their arguments and what is PENDING.
- **What is lost?** Nothing, or a line that starts with `!` says what, and that figures are incomplete.
  Attributed + Shared + Unattributed is what the block layer wrote. `?` has the limits of this kernel.",
    },
    Answer {
        options: &["-o", "--filter", "^fio$"],
        keys: "\r",
        how: "`Enter` on a row (here `fio`)",
        questions: "\
- **Which file?** The files, each with its bytes in the last minute.
- **Which unit?** The unit, the container and the cgroup stand below the command line. `b` goes through rows by
  unit, container, user and others.
- **Who started it?** Its parents, also those that have exited, and when it started.",
    },
    Answer {
        options: &["-o"],
        keys: "w",
        how: "`w`",
        questions: "\
- **Why every 5 s?** Each flush with its reason, its size and whose data it was: the periodic timer, a call of
  fsync(2), sync(2), too much dirty memory. `Enter` opens one.",
    },
    Answer {
        options: &["-o", "--sort", "read_bytes"],
        keys: "",
        how: "Sorted by DISK_READ: `Left` and `Right`, `F6`, or `--sort read_bytes`",
        questions: "- **Who reads?** The first rows. `Enter` shows which files.",
    },
    Answer {
        options: &["-o", "-a", "--group-by", "command"],
        keys: "",
        how: "`a` for totals and `b` for rows by command, or `-a --group-by command`",
        questions: "\
- **How much since the start, by command?** All processes with one name are one row, however short they lived.",
    },
];

/// Captures the screens and writes the page.
pub fn write(program: &Path, variables: &[(&str, Option<&str>)]) -> Result<()> {
    let mut page = HEAD.to_owned();
    for answer in &ANSWERS {
        let mut terminal = Terminal::start(program, answer.options, variables, SIZE)?;
        terminal.wait_for("the database", |text| text.contains("fio"))?;
        sleep(Duration::from_secs(8));
        terminal.keys(answer.keys)?;
        sleep(Duration::from_secs(2));
        let screen = terminal.screen().contents();
        let lines: Vec<&str> = screen.lines().map(str::trim_end).collect();
        write!(
            page,
            "\n## {}\n\n{}\n\n```text\n{}\n```\n",
            answer.how,
            answer.questions,
            lines.join("\n").trim_end()
        )?;
        terminal.keys("q")?;
        terminal.end()?;
    }
    let path = workspace::root().join("docs/questions.md");
    fs::write(&path, page).with_context(|| format!("could not write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
