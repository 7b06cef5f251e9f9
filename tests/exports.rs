//! Recordings and exports are what other tools read: DuckDB reads recordings without this program,
//! and the Parquet file; Perfetto's protobuf descriptors decode the trace.
//!
//! `cargo xtask setup` installs DuckDB and Perfetto's package from PyPI below `target/`. Trials that
//! lack them are ignored and say why. Perfetto's trace processor can't be used: no package has it,
//! Perfetto's package loads it from the internet when it is first needed.

#[path = "support/deadline.rs"]
#[expect(dead_code, reason = "other trials need more of it")]
mod deadline;
#[path = "exports/duckdb.rs"]
mod duckdb;
#[path = "exports/perfetto.rs"]
mod perfetto;
#[path = "support/program.rs"]
#[expect(dead_code, reason = "other trials need more of it")]
mod program;
#[path = "exports/python.rs"]
mod python;
#[path = "exports/recording.rs"]
mod recording;
#[path = "support/trial.rs"]
mod trial;

use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};

type Run = fn() -> Result<()>;

const TRIALS: [(&str, Run); 8] = [
    (
        "duckdb_reads_recordings_and_has_the_bytes_of_the_report",
        duckdb::made,
    ),
    (
        "duckdb_reads_what_was_really_recorded_and_has_the_bytes_of_the_report",
        duckdb::real,
    ),
    (
        "the_parquet_table_has_every_byte_of_the_report_by_each_kind_of_row",
        duckdb::rows,
    ),
    (
        "the_parquet_table_has_the_system_s_totals_by_kind_and_reason",
        duckdb::totals,
    ),
    (
        "the_documented_queries_on_the_parquet_table_answer",
        duckdb::answered,
    ),
    (
        "hostile_names_come_out_of_parquet_as_they_are",
        duckdb::hostile,
    ),
    (
        "columns_of_the_parquet_table_have_their_types",
        duckdb::types,
    ),
    (
        "perfetto_s_descriptors_know_every_field_and_the_counters_have_every_byte",
        perfetto::decoded,
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = TRIALS.map(|(name, run)| Trial::ignorable_test(name, move || trial::end(run())));
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}
