//! What a load loses beside a tracer: throughput, and CPU for each I/O.

use super::{each, known, line, whole};
use crate::bench::report::Measured;

/// Budget, if the machine is quiet enough to tell.
const THROUGHPUT: f64 = 0.98;

pub fn text(all: &[Measured]) -> String {
    let mut text = String::from("Traced / untraced, median of the pairs (lowest-highest)\n\n");
    line(
        &mut text,
        format_args!(
            "{:<36}{:<6}{:>19}{:>19}{:>19}   untraced, CPU of the load and of all an I/O or run",
            "", "", "throughput", "CPU of load", "all CPU"
        ),
    );
    each(all, |load, traced| {
        let untraced = &load.untraced;
        line(
            &mut text,
            format_args!(
                "{:<36}{:<6}{:>19}{:>19}{:>19}   {}, {} ns, {:.0} ns",
                load.workload,
                traced.tracer,
                known(traced.throughput),
                known(traced.cpu_of_load),
                known(traced.cpu_of_all),
                untraced.rate_text,
                whole(untraced.cpu_of_load_ns),
                untraced.cpu_of_all_ns,
            ),
        );
        for (name, count) in &traced.lost {
            line(
                &mut text,
                format_args!("  {} lost {count} {name}", traced.tracer),
            );
        }
    });
    let budget = format!(">= {THROUGHPUT}");
    line(
        &mut text,
        format_args!("{:<42}{budget:>19}", "budget, on a quiet machine"),
    );
    text
}
