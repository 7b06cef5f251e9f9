//! The tracer's share of the CPU, and its cost for each page and bio.

use serde::Serialize;

use super::counters::Usage;
use super::workload::Pages;

/// With fewer events than this, a figure means nothing.
const ENOUGH: f64 = 100.0;

/// The tracer's part of one workload, all measured runs together. Times are ns
/// of CPU. A figure "a page" or "a bio" is unknown where there were too few.
#[derive(Debug, Serialize)]
pub struct Share {
    /// `programs_net_ns` and `user_half_ns` over `busy_ns`.
    pub cpu_share_percent: f64,
    pub busy_ns: f64,
    pub user_half_ns: f64,
    /// Run time of the programs, less what as many runs of an empty program take.
    pub programs_net_ns: f64,
    pub programs_ns: f64,
    pub program_runs: f64,
    pub empty_ns_a_run: f64,
    pub pages_written: f64,
    pub pages_read: f64,
    pub bios: f64,
    /// Dirtying, submission and drop of a page of 4 KiB together, net. Only
    /// of workloads that write.
    pub net_ns_a_page_written: Option<f64>,
    /// The part of it that dropping the pages took.
    pub net_ns_a_page_written_for_drop: Option<f64>,
    /// All of the tracer's programs, not only those that run at its submission.
    pub net_ns_a_bio: Option<f64>,
    /// Runs of programs on mm_filemap_* tracepoints while a page was read, and
    /// when it was dropped. Only of workloads that read.
    pub filemap_runs_a_page_read: Option<f64>,
    pub filemap_runs_a_page_dropped: Option<f64>,
}

impl Share {
    /// `working` is the workload up to its last writeback, `dropping` what
    /// dropping the file's pages took after it.
    pub fn new(pages: Pages, working: Usage, dropping: Usage, empty_ns: f64) -> Share {
        let mut all = working;
        all += dropping;
        let net = |usage: Usage| usage.programs_ns - usage.program_runs * empty_ns;
        let writes = pages == Pages::Written && all.pages_out >= ENOUGH;
        let reads = pages == Pages::Read && all.pages_in >= ENOUGH;
        Share {
            cpu_share_percent: 100.0 * (net(all) + all.user_half_ns) / all.busy_ns.max(1.0),
            busy_ns: all.busy_ns,
            user_half_ns: all.user_half_ns,
            programs_net_ns: net(all),
            programs_ns: all.programs_ns,
            program_runs: all.program_runs,
            empty_ns_a_run: empty_ns,
            pages_written: all.pages_out,
            pages_read: all.pages_in,
            bios: all.bios,
            net_ns_a_page_written: writes.then(|| net(all) / all.pages_out),
            net_ns_a_page_written_for_drop: writes.then(|| net(dropping) / all.pages_out),
            net_ns_a_bio: (pages != Pages::Neither && all.bios >= ENOUGH)
                .then(|| net(all) / all.bios),
            filemap_runs_a_page_read: reads.then(|| working.filemap_runs / all.pages_in),
            filemap_runs_a_page_dropped: reads.then(|| dropping.filemap_runs / all.pages_in),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKING: Usage = Usage {
        programs_ns: 100_000.0,
        program_runs: 1000.0,
        user_half_ns: 20_000.0,
        busy_ns: 900_000.0,
        pages_in: 0.0,
        pages_out: 400.0,
        bios: 200.0,
        filemap_runs: 300.0,
    };
    const DROPPING: Usage = Usage {
        programs_ns: 20_000.0,
        program_runs: 200.0,
        user_half_ns: 0.0,
        busy_ns: 100_000.0,
        pages_in: 0.0,
        pages_out: 0.0,
        bios: 0.0,
        filemap_runs: 100.0,
    };

    #[test]
    fn an_empty_program_s_cost_is_not_the_tracer_s() {
        let share = Share::new(Pages::Written, WORKING, DROPPING, 50.0);
        assert_eq!(share.programs_net_ns, 60_000.0);
        assert_eq!(share.cpu_share_percent, 8.0);
        assert_eq!(share.net_ns_a_page_written, Some(150.0));
        assert_eq!(share.net_ns_a_page_written_for_drop, Some(25.0));
        assert_eq!(share.net_ns_a_bio, Some(300.0));
        assert_eq!(share.filemap_runs_a_page_read, None);
    }

    #[test]
    fn runs_for_a_read_and_for_a_drop_are_apart() {
        let working = Usage {
            pages_in: 600.0,
            ..WORKING
        };
        let share = Share::new(Pages::Read, working, DROPPING, 50.0);
        assert_eq!(share.filemap_runs_a_page_read, Some(0.5));
        assert_eq!(share.filemap_runs_a_page_dropped, Some(1.0 / 6.0));
        assert_eq!(share.net_ns_a_page_written, None);
    }

    #[test]
    fn too_few_events_give_no_figure() {
        let share = Share::new(Pages::Written, Usage::default(), Usage::default(), 50.0);
        assert_eq!(share.cpu_share_percent, 0.0);
        assert_eq!(share.net_ns_a_page_written, None);
        assert_eq!(share.net_ns_a_bio, None);
    }
}
