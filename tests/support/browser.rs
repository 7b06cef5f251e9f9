//! Chromium without a window: what a page looks like, and what is in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::deadline::Deadline;

const PROGRAM: &str = "chromium";

/// A page shows itself to a test by these lines; the test's own script fills `result`.
const RESULT: (&str, &str) = ("<pre id=\"result\">", "</pre>");

/// A browser with its own new profile.
pub struct Browser {
    directory: TempDir,
}

/// What a run of the browser printed.
pub struct Said {
    pub stdout: String,
    pub stderr: String,
}

impl Browser {
    /// `None` if no Chromium is installed.
    pub fn find() -> Result<Option<Browser>> {
        let found =
            Deadline::after(Duration::from_secs(20)).output(Command::new(PROGRAM).arg("--version"));
        match found {
            Ok(_) => Ok(Some(Browser {
                directory: TempDir::new()?,
            })),
            Err(_) => Ok(None),
        }
    }

    /// Opens this page with more arguments.
    pub fn open(&self, page: &str, args: &[&str]) -> Result<Said> {
        let file = self.directory.path().join("page.html");
        fs::write(&file, page)?;
        let profile = TempDir::new()?;
        let mut command = Command::new(PROGRAM);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--hide-scrollbars",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        command.args(args).arg(format!("file://{}", file.display()));
        let output = Deadline::after(Duration::from_secs(60)).output(&mut command)?;
        let said = Said {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        ensure!(
            output.status.success(),
            "{}: {}",
            output.status,
            said.stderr
        );
        Ok(said)
    }

    /// Shows `page` in a frame of this width, and returns what `script`, the body of a function
    /// of the frame's document, says about it. The page's own policy holds for the page only.
    pub fn ask(&self, page: &str, width: u32, script: &str) -> Result<Value> {
        let (before, after) = RESULT;
        let page = quoted(page);
        let wrapper = format!(
            r#"<!doctype html><meta charset="utf-8">
<iframe width="{width}" height="9000" style="border:0" srcdoc="{page}"></iframe>
{before}{after}
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument;
  const said = (function () {{ {script} }})();
  const text = JSON.stringify(said).replace(/[<>&\u0080-\uffff]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
  document.getElementById("result").textContent = text;
  frame.remove();
}};
</script>"#
        );
        let said = self.open(&wrapper, &["--dump-dom", "--virtual-time-budget=10000"])?;
        let text = said.stdout.rsplit_once(before).context("no result")?.1;
        let text = text.split_once(after).context("no end of the result")?.0;
        serde_json::from_str(text).with_context(|| format!("{text:?}: {}", said.stderr))
    }

    /// A picture of the page at this size, in the dark colours if they are wanted.
    pub fn picture(&self, page: &str, to: &Path, size: (u32, u32), dark: bool) -> Result<()> {
        let (width, height) = size;
        // A window is never narrower than about 500 pixels.
        let wrapper = format!(
            r#"<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<style>body {{ margin: 0 }}</style>
<iframe width="{width}" height="{height}" style="border:0" srcdoc="{}"></iframe>"#,
            quoted(page)
        );
        let scheme = if dark { 0 } else { 1 };
        self.open(
            &wrapper,
            &[
                &format!("--blink-settings=preferredColorScheme={scheme}"),
                &format!("--window-size={},{height}", width.max(600)),
                &format!("--screenshot={}", to.display()),
            ],
        )?;
        ensure!(fs::metadata(to)?.len() > 0, "an empty picture");
        Ok(())
    }

    /// The page as a PDF.
    pub fn print(&self, page: &str, to: &Path) -> Result<PathBuf> {
        let pdf = format!("--print-to-pdf={}", to.display());
        self.open(page, &["--no-pdf-header-footer", &pdf])?;
        Ok(to.to_owned())
    }
}

fn quoted(page: &str) -> String {
    page.replace('&', "&amp;").replace('"', "&quot;")
}
