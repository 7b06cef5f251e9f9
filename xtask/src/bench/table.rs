//! A report as text, with the budgets beside what they limit.

mod hooks;
mod memory;
mod ratios;
mod shares;

use std::fmt::{Arguments, Display, Write};

use super::report::{Beside, Measured, Report};

/// The whole report, its tables separated by empty lines.
pub fn text(report: &Report) -> String {
    let mut tables = vec![heading(report)];
    if !report.workloads.is_empty() {
        tables.push(shares::text(&report.workloads));
        tables.push(ratios::text(&report.workloads));
        tables.push(hooks::text(&report.workloads));
    }
    if !report.memory.is_empty() {
        tables.push(memory::text(&report.memory));
    }
    tables.join("\n")
}

fn heading(report: &Report) -> String {
    let mut text = format!(
        "Linux {}, {} CPUs, {} on a loop device in memory; pairs: {}\n",
        report.kernel, report.cpus, report.file_system, report.pairs
    );
    for tracer in &report.tracers {
        let program = tracer.program.display();
        match &tracer.object {
            None => line(&mut text, format_args!("{}: {program}", tracer.name)),
            Some(object) => line(
                &mut text,
                format_args!("{}: {program} with {}", tracer.name, object.display()),
            ),
        }
    }
    text
}

/// Calls `print` for each workload beside each tracer.
fn each<'a>(all: &'a [Measured], mut print: impl FnMut(&'a Measured, &'a Beside)) {
    for load in all {
        for traced in &load.traced {
            print(load, traced);
        }
    }
}

fn line(text: &mut String, content: Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = writeln!(text, "{content}");
}

fn verdict(value: f64, budget: Option<f64>) -> String {
    match budget {
        None => "-".to_owned(),
        Some(budget) if value <= budget => format!("<= {budget} kept"),
        Some(budget) => format!("<= {budget} exceeded"),
    }
}

/// A number without decimals, or a dash.
fn whole(value: Option<f64>) -> String {
    known(value.map(|value| format!("{value:.0}")))
}

/// The value, or a dash.
fn known(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_budget_is_kept_up_to_its_limit() {
        assert_eq!(super::verdict(2.0, Some(2.0)), "<= 2 kept");
        assert_eq!(super::verdict(2.1, Some(2.0)), "<= 2 exceeded");
        assert_eq!(super::verdict(2.1, None), "-");
    }

    #[test]
    fn what_is_unknown_is_a_dash() {
        assert_eq!(super::whole(Some(1.6)), "2");
        assert_eq!(super::whole(None), "-");
    }
}
