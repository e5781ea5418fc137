//! A small generator of random numbers, the same on every machine.

use tracelift_tensor::{DType, Scalar};

/// SplitMix64.  Source: Steele, Lea & Flood, OOPSLA 2014.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`, for `n` above 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in so many cases of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// An element of a list; `None` where it is empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        if items.is_empty() { None } else { Some(items[self.below(items.len())]) }
    }

    /// An extent in `1..=most`, or 0 in so many cases of a hundred.
    pub(super) fn extent(&mut self, most: usize, percent_empty: usize) -> usize {
        if self.chance(percent_empty) { 0 } else { self.between(1, most) }
    }

    /// A number of a dtype: often small, sometimes at the ends of its range, NaN or infinite.
    pub fn scalar(&mut self, dtype: DType) -> Scalar {
        match self.below(16) {
            0 => Scalar::lowest(dtype),
            1 => Scalar::highest(dtype),
            2 => Scalar::zero(dtype),
            3 if dtype.is_float() => Scalar::from_f64(dtype, f64::NAN),
            4 if dtype.is_float() => Scalar::from_f64(dtype, -0.0),
            5 if dtype.is_float() => Scalar::from_f64(dtype, 1e-40),
            3..=5 => Scalar::from_bits(dtype, self.bits()),
            6..=9 if dtype.is_float() => {
                Scalar::from_f64(dtype, (self.below(4001) as f64 - 2000.0) / 256.0)
            }
            _ => Scalar::from_i64(dtype, self.below(23) as i64 - 8),
        }
    }
}
