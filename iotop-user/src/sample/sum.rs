//! Adding up what may not be known.

use std::ops::Add;

/// The sum of two, as far as they are known.
pub fn sum<T: Add<Output = T>>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}
