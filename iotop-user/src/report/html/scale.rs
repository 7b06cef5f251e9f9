//! Which shade a cell has.

/// Shades of a cell with bytes.
pub(super) const SHADES: u32 = 7;

/// How many bytes each shade stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// The bytes of the cell with most.
    pub most: u64,
    /// A shade stands for this many times the bytes of the one before.
    pub factor: u64,
}

impl Scale {
    /// The finest one that tells nine of ten cells with bytes apart from the least.
    pub(super) fn of(cells: impl Iterator<Item = u64>) -> Scale {
        let mut bytes: Vec<u64> = cells.filter(|n| *n != 0).collect();
        bytes.sort_unstable();
        let most = bytes.last().copied().unwrap_or(0);
        let low = bytes.get(bytes.len() / 10).copied().unwrap_or(1);
        let reaches = |factor: &u64| most / factor.pow(SHADES - 1) <= low;
        let factor = [2, 3, 4, 6, 10].into_iter().find(reaches);
        Scale {
            most,
            factor: factor.unwrap_or(10),
        }
    }

    /// 0 without bytes, else 1 to 7.
    pub(super) fn shade(self, n: u64) -> u32 {
        match n {
            0 => 0,
            n => SHADES
                .saturating_sub((self.most / n).ilog(self.factor))
                .max(1),
        }
    }

    /// The largest number of bytes with this shade.
    pub(super) fn up_to(self, shade: u32) -> u64 {
        self.most / self.factor.pow(SHADES - shade)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(bytes: &[u64]) -> Scale {
        Scale::of(bytes.iter().copied())
    }

    #[test]
    fn only_nothing_has_the_shade_of_nothing() {
        let most = 1 << 30;
        let scale = scale(&[0, most, most >> 1, most >> 2, most >> 3]);
        assert_eq!(scale.factor, 2);
        let shades = [0, 1, most >> 2, (most >> 1) + 1, most].map(|n| scale.shade(n));
        assert_eq!(shades, [0, 1, 5, 7, 7]);
        for shade in 1..=SHADES {
            assert_eq!(scale.shade(scale.up_to(shade)), shade);
        }
    }

    #[test]
    fn a_scale_is_coarser_if_little_and_much_is_far_apart() {
        let few: Vec<u64> = [1 << 20; 50].into_iter().chain([1 << 40]).collect();
        assert_eq!(scale(&few).factor, 10);
        assert_eq!(scale(&[0, 0]), Scale { most: 0, factor: 2 });
    }
}
