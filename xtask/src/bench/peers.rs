//! The programs that are compared, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// The yardstick of the CPU budget.
pub const IOTOP_C: &str = "iotop-c";

/// A program that shows the I/O of all tasks.
pub struct Tool {
    pub name: &'static str,
    program: PathBuf,
}

/// Ours first, then those of the peers that are installed.
pub fn all(ours: &Path) -> Vec<Tool> {
    let mut tools = vec![Tool {
        name: "iotop-trace",
        program: ours.to_owned(),
    }];
    // Debian's iotop is iotop-py: both packages may be there at the same time.
    for (name, files) in [
        (IOTOP_C, ["iotop-c"].as_slice()),
        ("iotop", &["iotop-py", "iotop"]),
    ] {
        let program = files.iter().find_map(|file| process::find(file));
        tools.extend(program.map(|program| Tool { name, program }));
    }
    tools
}

impl Tool {
    /// A batch run with this delay. stdbuf: iotop-c leaves its lines in a
    /// buffer otherwise, and a refresh could not be seen.
    pub fn batch(&self, delay: &str) -> Command {
        let mut command = Command::new("stdbuf");
        command
            .arg("-oL")
            .arg(&self.program)
            .args(["-b", "-o", "-d", delay]);
        command
    }

    /// Its name and version.
    pub fn version(&self) -> String {
        let said = process::output(Command::new(&self.program).arg("--version"));
        let said = said.unwrap_or_default();
        let version = said.split_whitespace().next_back().unwrap_or("?");
        format!("{} {version}", self.name)
    }
}
