//! Tests that need `CAP_NET_ADMIN`.

use super::TaskstatsError;

/// Set where what is missing is a failure, never a skip (`cargo xtask test`).
const REQUIRED: &str = "IOTOP_TRACE_REQUIRE_EBPF";

/// What was opened, or nothing and a word where we may not.
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
