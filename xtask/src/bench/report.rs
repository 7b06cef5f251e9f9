//! Everything that `cargo xtask bench attribution` measured, as `--json` has it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::cost::{self, Costs};
use super::median;
use super::memory::Memory;
use super::ratio::Ratio;
use super::runs::{Runs, Traced};
use super::share::Share;
use super::subject::Subject;
use super::tracer::Lost;
use super::workload::{Outcome, Workload};

#[derive(Serialize)]
pub struct Report {
    pub kernel: String,
    pub cpus: usize,
    pub file_system: &'static str,
    /// Turns that the ratios are medians of and the shares are sums of.
    pub pairs: u32,
    pub tracers: Vec<Tracer>,
    pub workloads: Vec<Measured>,
    pub memory: Vec<Memory>,
}

#[derive(Serialize)]
pub struct Tracer {
    pub name: &'static str,
    pub program: PathBuf,
    /// A kernel half that was loaded instead of the built-in one.
    pub object: Option<PathBuf>,
}

#[derive(Serialize)]
pub struct Measured {
    pub workload: &'static str,
    pub budget_cpu_share_percent: Option<f64>,
    pub budget_net_ns_a_page_written: Option<f64>,
    /// Medians.
    pub untraced: Untraced,
    pub traced: Vec<Beside>,
}

/// fio: bytes a second, and CPU time for each I/O. Others: whole runs a second,
/// and CPU time for each run.
#[derive(Serialize)]
pub struct Untraced {
    pub rate: f64,
    /// `rate`, for people to read.
    pub rate_text: String,
    pub cpu_of_load_ns: Option<f64>,
    pub cpu_of_all_ns: f64,
}

/// What one tracer did to a workload.
#[derive(Serialize)]
pub struct Beside {
    pub tracer: &'static str,
    #[serde(flatten)]
    pub share: Share,
    /// Traced over untraced.
    pub throughput: Option<Ratio>,
    pub cpu_of_load: Option<Ratio>,
    pub cpu_of_all: Option<Ratio>,
    /// Events that the tracer said it lost, by its names for what was lost.
    pub lost: Lost,
    /// By tracepoint, measured with the yardsticks attached beside the tracer.
    pub hooks: BTreeMap<String, Hook>,
    /// Pages for each bio in that measurement.
    pub pages_a_bio: Option<f64>,
}

/// ns by the kernel's statistics, whose own cost is in each figure.
#[derive(Serialize)]
pub struct Hook {
    pub events: u64,
    /// For a run of one program.
    pub empty_ns: f64,
    pub count_ns: f64,
    /// For an event: all of the tracer's programs on the hook.
    pub tracer_ns: f64,
    pub tracer_programs: u32,
    pub tracer_over_count: f64,
}

impl Tracer {
    pub fn of(subject: &Subject) -> Tracer {
        Tracer {
            name: subject.name,
            program: subject.program.clone(),
            object: subject.object.clone(),
        }
    }
}

impl Measured {
    /// `costs` has the hooks beside each subject, and an empty program's ns.
    pub fn new(
        load: &Workload,
        subjects: &[Subject],
        runs: &Runs,
        costs: &[(&Costs, f64)],
    ) -> Measured {
        let untraced = |figure: fn(&Outcome) -> f64| median(runs.untraced.iter().map(figure));
        let own = runs.untraced.iter().filter_map(|outcome| outcome.own_cpu);
        let rate = untraced(|outcome| outcome.rate);
        let each = subjects.iter().zip(&runs.traced).zip(costs);
        Measured {
            workload: load.name,
            budget_cpu_share_percent: load.share,
            budget_net_ns_a_page_written: load.ns_a_page,
            untraced: Untraced {
                rate,
                rate_text: load.rate(rate),
                cpu_of_load_ns: own.clone().next().map(|_| median(own)),
                cpu_of_all_ns: untraced(|outcome| outcome.all_cpu),
            },
            traced: each
                .map(|((subject, traced), &(costs, empty_ns))| {
                    Beside::new(load, subject, &runs.untraced, traced, costs, empty_ns)
                })
                .collect(),
        }
    }
}

impl Beside {
    fn new(
        load: &Workload,
        subject: &Subject,
        untraced: &[Outcome],
        traced: &Traced,
        costs: &Costs,
        empty_ns: f64,
    ) -> Beside {
        let ratio = |figure: fn(&Outcome) -> Option<f64>| {
            let pairs = traced.outcomes.iter().zip(untraced);
            Ratio::of(
                pairs.filter_map(|(traced, untraced)| Some(figure(traced)? / figure(untraced)?)),
            )
        };
        let hooks = costs
            .hooks
            .iter()
            .filter(|(_, hook)| hook.events() >= cost::ENOUGH);
        let submit = costs.hooks.get(super::counters::SUBMIT);
        let bios = submit.map_or(0, cost::Hook::events);
        Beside {
            tracer: subject.name,
            share: Share::new(load.pages, traced.working, traced.dropping, empty_ns),
            throughput: ratio(|outcome| Some(outcome.rate)),
            cpu_of_load: ratio(|outcome| outcome.own_cpu),
            cpu_of_all: ratio(|outcome| Some(outcome.all_cpu)),
            lost: traced.lost.clone(),
            hooks: hooks
                .map(|(name, hook)| (name.clone(), Hook::of(hook)))
                .collect(),
            pages_a_bio: (bios >= cost::ENOUGH).then(|| costs.pages_out / bios as f64),
        }
    }
}

impl Hook {
    fn of(hook: &cost::Hook) -> Hook {
        let tracer_ns = hook.tracer.each() * f64::from(hook.programs);
        Hook {
            events: hook.events(),
            empty_ns: hook.empty.each(),
            count_ns: hook.count.each(),
            tracer_ns,
            tracer_programs: hook.programs,
            tracer_over_count: tracer_ns / hook.count.each(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cost::Spent;

    #[test]
    fn an_event_costs_what_all_programs_on_its_hook_cost() {
        let hook = Hook::of(&cost::Hook {
            programs: 2,
            empty: Spent {
                run_time_ns: 1000,
                runs: 20,
            },
            count: Spent {
                run_time_ns: 2000,
                runs: 20,
            },
            tracer: Spent {
                run_time_ns: 4000,
                runs: 20,
            },
        });
        assert_eq!(hook.events, 10);
        assert_eq!(hook.empty_ns, 50.0);
        assert_eq!(hook.tracer_ns, 400.0);
        assert_eq!(hook.tracer_over_count, 4.0);
    }
}
