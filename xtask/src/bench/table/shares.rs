//! The tracer's share of CPU, and its programs' time for each page and bio.

use super::{each, known, line, verdict, whole};
use crate::bench::report::Measured;

pub fn text(all: &[Measured]) -> String {
    let mut text = String::from(
        "The tracer's share of all busy CPU, its programs less an empty program's cost\n\n",
    );
    line(
        &mut text,
        format_args!(
            "{:<36}{:<6}{:>8}{:>15}{:>10}{:>10}{:>9}{:>16}{:>9}{:>9}{:>16}",
            "",
            "",
            "share %",
            "budget",
            "programs",
            "user half",
            "ns/page",
            "budget",
            "of drop",
            "ns/bio",
            "runs/page read"
        ),
    );
    each(all, |load, traced| {
        let share = &traced.share;
        let part = |ns: f64| 100.0 * ns / share.busy_ns.max(1.0);
        let page = share.net_ns_a_page_written;
        let page_budget = load.budget_net_ns_a_page_written;
        let dropped = share.filemap_runs_a_page_dropped;
        let runs = share.filemap_runs_a_page_read.zip(dropped);
        line(
            &mut text,
            format_args!(
                "{:<36}{:<6}{:>8.2}{:>15}{:>10.2}{:>10.2}{:>9}{:>16}{:>9}{:>9}{:>16}",
                load.workload,
                traced.tracer,
                share.cpu_share_percent,
                verdict(share.cpu_share_percent, load.budget_cpu_share_percent),
                part(share.programs_net_ns),
                part(share.user_half_ns),
                whole(page),
                known(page.map(|ns| verdict(ns, page_budget))),
                whole(share.net_ns_a_page_written_for_drop),
                whole(share.net_ns_a_bio),
                known(runs.map(|(read, dropped)| format!("{read:.2} (+{dropped:.2})"))),
            ),
        );
    });
    text.push_str(
        "runs/page read: of programs on mm_filemap_* while a page is read (buffered: budget 0), \
         and when it is dropped\n",
    );
    text
}
