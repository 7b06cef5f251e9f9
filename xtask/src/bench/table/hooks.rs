//! What an event costs at each hook, beside the yardsticks.

use super::{each, line, verdict};
use crate::bench::counters::SUBMIT;
use crate::bench::report::{Beside, Measured};
use crate::bench::workloads::{BUFFERED_HOLES, BUFFERED_SEQUENTIAL};

/// Budget: a bio of one page, over the counting yardstick.
const BIO_OVER_COUNT: f64 = 2.0;

pub fn text(all: &[Measured]) -> String {
    let mut text = String::from(
        "ns for an event, by the kernel's BPF statistics (their own cost is in each figure)\n\n",
    );
    line(
        &mut text,
        format_args!(
            "{:<42}{:>10}{:>8}{:>8}{:>8}{:>12}",
            "", "events", "empty", "count", "tracer", "over count"
        ),
    );
    each(all, |load, traced| {
        line(
            &mut text,
            format_args!("{}, {}", load.workload, traced.tracer),
        );
        for (tracepoint, hook) in &traced.hooks {
            line(
                &mut text,
                format_args!(
                    "  {tracepoint:<40}{:>10}{:>8.0}{:>8.0}{:>8.0}{:>12.2}",
                    hook.events,
                    hook.empty_ns,
                    hook.count_ns,
                    hook.tracer_ns,
                    hook.tracer_over_count,
                ),
            );
        }
    });
    each(all, |load, traced| {
        if load.workload == BUFFERED_HOLES {
            text.push_str(&bios(all, traced));
        }
    });
    text
}

/// What a bio of one page costs, and what its second and every later page adds,
/// from two loads that differ in their pages for each bio.
fn bios(all: &[Measured], one: &Beside) -> String {
    let (Some(one_pages), Some(one_hook)) = (one.pages_a_bio, one.hooks.get(SUBMIT)) else {
        return String::new();
    };
    let over = one_hook.tracer_over_count;
    let mut text = String::new();
    line(
        &mut text,
        format_args!(
            "{}: a bio of {one_pages:.2} pages: {over:.2} over count, {}",
            one.tracer,
            verdict(over, Some(BIO_OVER_COUNT)),
        ),
    );
    let many = all
        .iter()
        .filter(|load| load.workload == BUFFERED_SEQUENTIAL)
        .flat_map(|load| &load.traced)
        .find(|many| many.tracer == one.tracer);
    let many = many.and_then(|many| many.pages_a_bio.zip(many.hooks.get(SUBMIT)));
    if let Some((many_pages, many_hook)) = many {
        let page = (many_hook.tracer_ns - one_hook.tracer_ns) / (many_pages - one_pages);
        line(
            &mut text,
            format_args!(
                "{}: each further page of one with {many_pages:.0}: {page:.1} ns",
                one.tracer
            ),
        );
    }
    text
}
