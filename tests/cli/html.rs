//! `report --format html`: the page has the figures of NDJSON, loads nothing, and fits a phone,
//! all as a browser sees it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::browser::Browser;
use super::made_up::{self, HOSTILE};
use super::{BINARY, complaint, json_lines, soon};

/// If it is set, as in CI, what is not installed is a failure.
const REQUIRED: &str = "IOTOP_TRACE_REQUIRE_EBPF";

fn browser() -> Result<Option<Browser>> {
    let found = Browser::find()?;
    if found.is_none() {
        ensure!(
            std::env::var_os(REQUIRED).is_none(),
            "chromium is not installed"
        );
        eprintln!("ignored: chromium is not installed");
    }
    Ok(found)
}

fn recording() -> Result<TempDir> {
    let directory = TempDir::new()?;
    made_up::record(&directory.path().join("recording"))?;
    Ok(directory)
}

/// Where the pictures are kept, to be looked at.
fn pictures() -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

fn report(directory: &TempDir, args: &[&str]) -> Result<Output> {
    let recording = directory.path().join("recording");
    let mut command = Command::new(BINARY);
    command.arg("report").arg(recording).args(args);
    let output = soon().output(command.env("TZ", "Europe/Berlin"))?;
    ensure!(output.status.success(), "{}", complaint(&output));
    Ok(output)
}

fn page(directory: &TempDir, args: &[&str]) -> Result<String> {
    let args = [&["--format", "html"], args].concat();
    Ok(String::from_utf8(report(directory, &args)?.stdout)?)
}

/// Everything that a test wants to know of a page.
const FIGURES: &str = r#"
const sum = (nodes, of) => [...nodes].reduce((sum, node) => sum + BigInt(of(node)), 0n).toString();
const data = (node) => node.querySelector("data")?.value ?? null;
const cell = (row, label) => data(row.querySelector(`td[data-label="${label}"]`));
const main = page.querySelector("section[aria-labelledby=rows] > table");
const overflow = () => page.documentElement.scrollWidth - page.documentElement.clientWidth;
const closed = overflow();
const loaded = frame.contentWindow.performance.getEntriesByType("resource").map((one) => one.name);
const buckets = sum(page.querySelectorAll(".hit"), (hit) => hit.dataset.bytes);
const result = {
  width: frame.contentWindow.innerWidth,
  policy: page.querySelector("meta[http-equiv]").content,
  scripts: page.querySelectorAll("script, [onload], iframe, object, img").length,
  addresses: [...page.querySelectorAll("[href], [src]")].map((one) =>
    one.getAttribute("href") ?? one.getAttribute("src")),
  loaded, closed, buckets,
  buckets_count: page.querySelectorAll(".hit").length,
  layers: sum(page.querySelectorAll(".plot .legend data"), (one) => one.value),
  cells: sum(page.querySelectorAll(".heat td:not(.sum) data"), (one) => one.value),
  unknown: [...page.querySelectorAll(".heat td.gap, .heat td.untraced")].map((one) => one.title),
  spikes: [...page.querySelectorAll(".spikes > tbody")].map((one) => cell(one, "Written")),
  rows: [...main.tBodies].map((body) => ({
    kind: body.className,
    name: body.querySelector("th bdi").textContent,
    written: cell(body, "Written"),
    data: cell(body, "Data"),
    metadata: cell(body, "Metadata"),
    read: cell(body, "Read"),
    parts: [...body.querySelectorAll(".parts tbody tr:not(.rest)")].map((part) => [
      part.querySelector("th").textContent, data(part)]),
  })),
};
for (const one of page.querySelectorAll("details")) one.open = true;
result.open = overflow();
return result;
"#;

#[test]
fn a_page_has_the_figures_of_ndjson_in_a_browser() -> Result<()> {
    let Some(browser) = browser()? else {
        return Ok(());
    };
    let directory = recording()?;
    for by in ["command", "unit", "file", "device"] {
        let lines = json_lines(&report(&directory, &["--format", "ndjson", "--by", by])?)?;
        let page = page(&directory, &["--by", by])?;
        let shown = browser.ask(&page, 1280, FIGURES)?;
        let total = lines[0]["written_bytes"].to_string();
        for sum in ["buckets", "layers", "cells"] {
            ensure!(
                shown[sum] == total.as_str(),
                "{by}: {sum} {} {total}",
                shown[sum]
            );
        }
        ensure!(
            shown["buckets_count"]
                .as_u64()
                .is_some_and(|n| (50..=401).contains(&n))
        );
        let rows = shown["rows"].as_array().context("rows")?;
        let (last, rows) = rows.split_last().context("a total")?;
        ensure!(rows.len() == lines.len() - 1, "{by}: {} rows", rows.len());
        for (row, line) in rows.iter().zip(&lines[1..]).chain([(last, &lines[0])]) {
            check(row, line).with_context(|| format!("{by}: {row} {line}"))?;
        }
    }
    Ok(())
}

fn check(row: &Value, line: &Value) -> Result<()> {
    let number = |name: &str| line[name].as_u64().context("a number");
    let data = number("exact_bytes")? + number("shared_data_bytes")?;
    ensure!(row["kind"] == line["kind"]);
    ensure!(row["written"] == number("written_bytes")?.to_string().as_str());
    if line["kind"] != "unattributed" {
        ensure!(row["data"] == data.to_string().as_str());
        ensure!(row["metadata"] == number("metadata_bytes")?.to_string().as_str());
        ensure!(row["read"] == number("read_bytes")?.to_string().as_str());
    }
    let parts = row["parts"].as_array().context("parts")?;
    let wanted = line["parts"].as_array().map_or(&[][..], |parts| parts);
    ensure!(parts.len() == wanted.len().min(10), "{} parts", parts.len());
    for (part, wanted) in parts.iter().zip(wanted) {
        ensure!(
            part[1] == wanted["written_bytes"].to_string().as_str(),
            "{part} {wanted}"
        );
    }
    Ok(())
}

#[test]
fn a_page_loads_nothing_and_fits_a_phone() -> Result<()> {
    let Some(browser) = browser()? else {
        return Ok(());
    };
    let directory = recording()?;
    let page = page(&directory, &["--by", "command"])?;
    ensure!(page.len() < 300_000, "{} bytes", page.len());
    for width in [1280, 390] {
        let shown = browser.ask(&page, width, FIGURES)?;
        ensure!(shown["width"] == width, "{}", shown["width"]);
        ensure!(
            shown["closed"] == 0 && shown["open"] == 0,
            "{width}: {shown}"
        );
        ensure!(shown["scripts"] == 0, "{}", shown["scripts"]);
        ensure!(
            shown["loaded"].as_array().is_some_and(Vec::is_empty),
            "{}",
            shown["loaded"]
        );
        let addresses = shown["addresses"].as_array().context("addresses")?;
        let is_inside = |one: &Value| {
            let one = one.as_str().unwrap_or_default();
            one.starts_with('#') || one == "data:,"
        };
        ensure!(addresses.iter().all(is_inside), "{addresses:?}");
        let spikes = shown["spikes"].as_array().context("spikes")?;
        ensure!(spikes.len() == 12, "{spikes:?}");
        let unknown = shown["unknown"].to_string();
        ensure!(
            unknown.contains("Wed 25 Nov 14:00: not recorded"),
            "{unknown}"
        );
        ensure!(
            unknown.contains("Thu 26 Nov 09:00: recorded without eBPF"),
            "{unknown}"
        );
    }
    let said = browser.open(&page, &["--dump-dom"])?;
    ensure!(!is_refused(&said.stderr), "{}", said.stderr);
    Ok(())
}

/// True if the browser refused to load something that a page asked for.
fn is_refused(said: &str) -> bool {
    said.contains("Content Security Policy")
}

/// What the tests of the page rest on: that a browser would say so.
#[test]
fn a_page_that_loads_something_or_is_too_wide_is_found() -> Result<()> {
    let Some(browser) = browser()? else {
        return Ok(());
    };
    let directory = recording()?;
    let page = page(&directory, &["--by", "command"])?;
    let loads = "<img src=\"http://127.0.0.1:9/x.png\">\
                 <div style=\"width:900px\">wide</div></body>";
    let bad = page.replace("</body>", loads);
    let said = browser.open(&bad, &["--dump-dom"])?;
    ensure!(is_refused(&said.stderr), "{}", said.stderr);
    let shown = browser.ask(&bad, 390, FIGURES)?;
    ensure!(
        shown["closed"].as_i64().is_some_and(|n| n > 400),
        "{}",
        shown["closed"]
    );
    ensure!(shown["scripts"] == 1, "{}", shown["scripts"]);
    Ok(())
}

#[test]
fn a_hostile_name_is_text_on_the_page() -> Result<()> {
    let Some(browser) = browser()? else {
        return Ok(());
    };
    let directory = recording()?;
    let page = page(&directory, &["--by", "unit"])?;
    for c in ['\u{1b}', '\u{202e}'] {
        ensure!(!page.contains(c), "{:?}", c);
    }
    let shown = browser.ask(&page, 1280, FIGURES)?;
    let rows = shown["rows"].as_array().context("rows")?;
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    for name in HOSTILE {
        let escaped = name.replace('\u{1b}', "\\x1b").replace('\n', "\\n");
        let escaped = escaped.replace('\u{202e}', "\\u{202e}");
        ensure!(names.contains(&&*escaped), "{escaped:?} in {names:?}");
    }
    ensure!(shown["scripts"] == 0, "{}", shown["scripts"]);
    Ok(())
}

#[test]
fn a_page_can_be_looked_at_and_printed() -> Result<()> {
    let Some(browser) = browser()? else {
        return Ok(());
    };
    let directory = recording()?;
    let page = page(&directory, &["--by", "command"])?;
    let at = pictures()?;
    fs::write(at.join("report.html"), &page)?;
    let picture = |name: &str, size, dark| browser.picture(&page, &at.join(name), size, dark);
    picture("light.png", (1280, 2600), false)?;
    picture("dark.png", (1280, 2600), true)?;
    picture("phone.png", (390, 4200), false)?;
    let [light, dark] = ["light.png", "dark.png"].map(|name| fs::read(at.join(name)));
    ensure!(light? != dark?, "dark colours are the light ones");
    browser.print(&page, &at.join("report.pdf"))?;
    let opened = page.replace("<details>", "<details open>");
    browser.print(&opened, &at.join("opened.pdf"))?;
    let sizes = ["report.pdf", "opened.pdf"].map(|name| pages(&at.join(name)));
    match sizes {
        [Ok(closed), Ok(opened)] => ensure!(closed == opened, "{closed} pages, {opened} if open"),
        [Err(error), _] | [_, Err(error)] => bail!(error),
    }
    Ok(())
}

/// The number of pages of a PDF.
fn pages(pdf: &Path) -> Result<usize> {
    let text = String::from_utf8_lossy(&fs::read(pdf)?).into_owned();
    let count = text.rsplit_once("/Count ").context("no count of pages")?.1;
    let digits: String = count.chars().take_while(char::is_ascii_digit).collect();
    Ok(digits.parse()?)
}

#[test]
fn a_comparison_is_a_page_too() -> Result<()> {
    let directory = recording()?;
    let days = ["--compare", "2026-11-24", "2026-11-25", "--by", "unit"];
    let page = page(&directory, &days)?;
    ensure!(page.contains("Block writes by unit, compared"), "{page}");
    ensure!(
        page.contains("<bdi>user@1000.service/app.slice</bdi>"),
        "{page}"
    );
    ensure!(
        page.contains("<span class=\"what new\">new</span>"),
        "{page}"
    );
    Ok(())
}
