//! Pages of made-up samples. A browser looks at pages in `tests/cli/html.rs`.

use std::{collections::HashMap, path::Path, time::Duration};

use jiff::{Timestamp, ToSpan as _};
use regex::Regex;

use super::*;
use crate::{
    golden::{journaled, spiked, without_ebpf},
    report::{Gather, ReportBy, compare},
    sample::{BlockTotals, Sample, SharedTask, Task},
};

fn gathered(by: ReportBy, samples: &[Sample]) -> Report {
    let gather = Gather::new(by, Path::new("/nonexistent"));
    let mut gather = gather.with_times(TimeZone::UTC);
    samples.iter().for_each(|sample| gather.feed(sample));
    gather.finish().expect("samples")
}

fn html() -> Html {
    Html {
        zone: TimeZone::get("Europe/Berlin").expect("a zone"),
        rows: 20,
    }
}

/// Samples of ten minutes, two hours from each other.
fn samples(count: i64, of: impl Fn() -> Sample) -> Vec<Sample> {
    let start = Timestamp::from_second(1_790_000_000).expect("in range");
    let sample = |n: i64| {
        let mut sample = of();
        sample.time = start + (n * 2).hours();
        sample.interval = Duration::from_secs(600);
        sample
    };
    (0..count).map(sample).collect()
}

/// The sum of all numbers that this pattern finds.
fn sum(page: &str, pattern: &str) -> u64 {
    let pattern = Regex::new(pattern).expect("a pattern");
    let found = pattern.captures_iter(page);
    found
        .map(|one| one[1].parse::<u64>().expect("a number"))
        .sum()
}

#[test]
fn buckets_layers_and_cells_add_up_to_all_bytes() {
    for by in ReportBy::ALL {
        let report = gathered(by, &samples(40, journaled));
        let page = html().page(&report);
        let layers = page
            .split("<ul class=\"legend\">")
            .nth(1)
            .expect("a legend");
        let layers = layers.split("</ul>").next().expect("its end");
        let sums = [
            sum(&page, r#"data-bytes="(\d+)""#),
            sum(layers, r#"<data value="(\d+)""#),
            sum(&page, r#"<td class="h\d"[^>]*><data value="(\d+)""#),
            sum(&page, r#"<td class="sum"><data value="(\d+)""#),
        ];
        assert_eq!(sums, [report.written(); 4], "{by:?}");
    }
}

#[test]
fn an_interval_without_a_length_is_in_a_bucket_too() {
    let mut samples = samples(3, journaled);
    samples[2].interval = Duration::ZERO;
    // It ends where a bucket begins.
    samples
        .iter_mut()
        .for_each(|sample| sample.time -= 800.seconds());
    let report = gathered(ReportBy::Command, &samples);
    let page = html().page(&report);
    assert_eq!(sum(&page, r#"data-bytes="(\d+)""#), report.written());
    assert_eq!(
        sum(&page, r#"<td class="sum"><data value="(\d+)""#),
        report.written()
    );
}

#[test]
fn what_was_not_recorded_has_no_zero() {
    let mut samples = samples(40, journaled);
    let mut without = without_ebpf();
    (without.time, without.interval) = (samples[20].time, samples[20].interval);
    samples[20] = without;
    let page = html().page(&gathered(ReportBy::Command, &samples));
    assert!(page.contains(": recorded without eBPF\">-</td>"), "{page}");
    assert!(page.contains(": not recorded\">-</td>"), "{page}");
    assert!(page.contains("; recorded 10m00s of it"), "{page}");
    assert!(page.contains("class=\"unknown gap\""), "{page}");
    assert!(page.contains("class=\"unknown untraced\""), "{page}");
}

#[test]
fn a_span_without_ebpf_has_neither_rows_nor_plots() {
    let page = html().page(&gathered(ReportBy::Command, &[without_ebpf()]));
    assert!(
        page.contains("Recorded without eBPF: 1 of 1 sample"),
        "{page}"
    );
    assert!(!page.contains("<table") && !page.contains("0B"), "{page}");
}

#[test]
fn times_are_those_of_the_zone_and_the_page_says_which_it_is() {
    // The clock is set back in between.
    let report = gathered(ReportBy::Command, &samples(500, journaled));
    let page = html().page(&report);
    let zone = "All times are local: Europe/Berlin (+02:00, later +01:00).";
    assert!(page.contains(zone), "{page}");
    assert!(page.contains("2026-09-21 16:03:20 to "), "{page}");
}

#[test]
fn a_spike_is_explained_in_the_words_of_explain_writeback() {
    let sample = spiked(true);
    let page = html().page(&gathered(ReportBy::Command, &[sample]));
    for words in [
        "usually nothing",
        "written by <bdi>[kworker/u8:2]: sync</bdi>",
        "The oldest page was dirty since",
        "(ongoing)",
        "dd (PID 1200, exited), dirty for 4.8s on average",
        "/srv/x",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let mostly = Regex::new(r"<bdi>dd \d+\.\d%</bdi>").expect("a pattern");
    assert!(mostly.is_match(&page), "{page}");
    let without = html().page(&gathered(ReportBy::Command, &[journaled()]));
    assert!(without.contains("No spike: "), "{without}");
}

/// As many rows as there can be, for a year, with names that are as long as they can be and need
/// most room when they are escaped.
#[test]
fn a_page_stays_small_whatever_is_in_the_recording() {
    let name = |n: usize| format!("/{n}{}", "\"".repeat(4000));
    let hostile = || {
        let mut sample = spiked(false);
        let like = sample.facts[0];
        let task = |n: usize| Task {
            pid: n as u32,
            tid: n as u32,
            comm: name(n).into(),
            cmdline: Some(name(n).into()),
            ..Task::default()
        };
        sample.tasks = (0..120).map(|n| SharedTask::from(task(n))).collect();
        sample.facts = (0..1500)
            .map(|n| {
                let mut fact = like;
                (fact.owner, fact.submitter) = (Some(n % 120), None);
                (fact.ino, fact.bytes) = (n as u64, 4096 * (n as u64 % 100 + 1));
                fact
            })
            .collect();
        let path = |n: u64| ((like.device, n, 0), name(n as usize).into());
        sample.paths = HashMap::from_iter((0..1500).map(path));
        sample.system.block = Some(BlockTotals::of(&sample.facts));
        for owner in &mut sample.spikes[0].written.owners {
            owner.task.cmdline = Some(name(0).into());
            owner
                .files
                .iter_mut()
                .for_each(|file| file.path = Some(name(1).into()));
        }
        sample
    };
    let mut samples = samples(10, hostile);
    for (n, sample) in samples.iter_mut().enumerate() {
        sample.time += (36 * n as i64 * 24).hours();
    }
    for by in [ReportBy::Command, ReportBy::File, ReportBy::Device] {
        let all = Html {
            rows: usize::MAX,
            ..html()
        };
        let page = all.page(&gathered(by, &samples));
        assert!(page.len() < 1_000_000, "{by:?}: {} bytes", page.len());
    }
}

#[test]
fn no_name_is_markup_or_turns_the_text_around() {
    let hostile = "</title><script>x()</script>\"onload=x()]]>\u{1b}[2J\u{202e}\n";
    let mut sample = spiked(false);
    sample.tasks[0].comm = hostile.into();
    for path in sample.paths.values_mut() {
        *path = hostile.into();
    }
    sample.spikes[0].device_name = hostile.into();
    for owner in &mut sample.spikes[0].written.owners {
        owner.task.comm = hostile.into();
        owner.task.unit = Some(hostile.into());
    }
    let report = |by| gathered(by, std::slice::from_ref(&sample));
    let before = gathered(ReportBy::Command, &[journaled()]);
    let mut pages: Vec<String> = ReportBy::ALL.map(|by| html().page(&report(by))).into();
    pages.push(html().changes(&compare(&before, &report(ReportBy::Command))));
    for page in pages {
        assert!(
            !page.contains("<script") && !page.contains("\"onload"),
            "{page}"
        );
        let is_plain = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
        assert!(page.chars().all(is_plain), "{page}");
    }
}

#[test]
fn nothing_on_a_page_is_elsewhere() {
    let page = html().page(&gathered(ReportBy::Unit, &samples(40, || spiked(false))));
    for word in [
        "http:", "https:", "//", "url(", "@import", "src=", "<script",
    ] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(
        page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"")
    );
}
