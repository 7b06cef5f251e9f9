//! Sums of values that may be unknown.

use std::ops::Add;

/// The sum of two values. If only one is known, that one; if none is, `None`.
pub fn sum<T: Add<Output = T>>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}
