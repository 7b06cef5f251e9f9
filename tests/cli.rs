//! The command line's contract: exit status, what goes to which stream, and
//! that nothing stays behind.

#[path = "cli/bounds.rs"]
mod bounds;
#[path = "support/browser.rs"]
mod browser;
#[path = "support/deadline.rs"]
mod deadline;
#[path = "cli/ending.rs"]
mod ending;
#[path = "cli/forms.rs"]
mod forms;
#[path = "cli/html.rs"]
mod html;
#[path = "cli/kills.rs"]
mod kills;
#[path = "cli/limits.rs"]
mod limits;
#[path = "support/made_up.rs"]
mod made_up;
#[path = "cli/measured.rs"]
mod measured;
#[path = "cli/privilege.rs"]
mod privilege;
#[path = "support/program.rs"]
mod program;
#[path = "cli/recordings.rs"]
mod recordings;
#[path = "cli/starting.rs"]
mod starting;
#[path = "cli/unprivileged.rs"]
mod unprivileged;
#[path = "cli/usage.rs"]
mod usage;

use anyhow::{Result, ensure};

use program::{BINARY, NDJSON, as_nobody, complaint, is_root, json_lines, run, soon};

#[test]
fn help_and_version_are_data() -> Result<()> {
    for option in ["--help", "--version"] {
        let output = run(&[option])?;
        ensure!(
            output.status.success() && output.stderr.is_empty(),
            "{option}"
        );
        let text = String::from_utf8(output.stdout)?;
        ensure!(text.contains("iotop-trace"), "{option}: {text:?}");
    }
    Ok(())
}

#[test]
fn the_text_table_goes_to_standard_output() -> Result<()> {
    let output = run(&["-b", "-n", "1", "-d", "0.1"])?;
    ensure!(output.status.success(), "{}", complaint(&output));
    let text = String::from_utf8(output.stdout)?;
    let head: String = text
        .lines()
        .take(10)
        .flat_map(|line| line.chars().take(200))
        .collect();
    for column in [
        "Total DISK READ",
        "Actual DISK WRITE",
        "CAUSED",
        "VIA_KERNEL",
        "METADATA",
        "AMPLIF",
    ] {
        ensure!(text.contains(column), "no {column:?} in {head:?}");
    }
    Ok(())
}
