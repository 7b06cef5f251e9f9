//! Bytes of an owner, as far as rows and lists of flushes tell exact and estimated bytes apart.

use std::ops::Add;

/// Bytes of one owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    /// All of them.
    pub bytes: u64,
    /// The estimated part.
    pub estimated: u64,
}

impl Owned {
    /// Bytes of which a part is estimated.
    pub fn new(bytes: u64, estimated: u64) -> Owned {
        Owned { bytes, estimated }
    }

    /// `~` if the estimated part is large enough to be seen in a share in whole percent.
    pub fn mark(self) -> &'static str {
        match self.estimated > self.bytes / 200 {
            true => "~",
            false => "",
        }
    }
}

impl Add for Owned {
    type Output = Owned;

    fn add(self, other: Owned) -> Owned {
        Owned {
            bytes: self.bytes + other.bytes,
            estimated: self.estimated + other.estimated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_estimated_bytes_do_not_make_a_share_an_estimate() {
        assert_eq!(Owned::new(4096, 4096).mark(), "~");
        assert_eq!(Owned::new(4096, 0).mark(), "");
        assert_eq!(Owned::new(1 << 20, 4096).mark(), "");
        assert_eq!((Owned::new(4096, 0) + Owned::new(100, 100)).mark(), "~");
    }
}
