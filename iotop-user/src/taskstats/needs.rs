//! Tests that need `CAP_NET_ADMIN`.

use super::TaskstatsError;

/// If set, a missing privilege fails a test instead of skipping it (`cargo xtask test`
/// sets it).
const REQUIRED: &str = "IOTOP_TRACE_REQUIRE_EBPF";

/// Returns what was opened. If the privilege is missing, prints so and returns `None`.
pub fn privilege<T>(opened: Result<T, TaskstatsError>) -> Option<T> {
    match opened {
        Ok(opened) => Some(opened),
        Err(missing) if std::env::var_os(REQUIRED).is_none() => {
            eprintln!("skipped: {missing}");
            None
        }
        Err(missing) => panic!("{missing}"),
    }
}
