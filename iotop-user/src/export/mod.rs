//! Recordings as files of other tools. Each is behind a cargo feature of its name, because of
//! what it takes to build.

#[cfg(feature = "parquet")]
mod fact_rows;
#[cfg(feature = "parquet")]
pub mod parquet;
#[cfg(feature = "perfetto")]
pub mod perfetto;
