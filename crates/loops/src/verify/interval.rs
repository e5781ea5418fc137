//! Closed intervals of integers, wide enough that no sum of products of `i64` overflows unnoticed.

use tracelift_tensor::{DType, Scalar};

/// The integers from `low` to `high`, both included; empty where `low > high`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Interval {
    pub low: i128,
    pub high: i128,
}

impl Interval {
    pub fn new(low: i128, high: i128) -> Interval {
        Interval { low, high }
    }

    pub fn single(value: i128) -> Interval {
        Interval::new(value, value)
    }

    /// The coordinates of an axis.
    pub fn of_extent(extent: usize) -> Interval {
        Interval::new(0, extent as i128 - 1)
    }

    /// Every value of an integer dtype or bool; nothing useful for a float.
    pub fn of_dtype(dtype: DType) -> Interval {
        let wide = |s: Scalar| match s {
            Scalar::Unsigned(_, u) => i128::from(u),
            other => i128::from(other.to_i64()),
        };
        Interval::new(wide(Scalar::lowest(dtype)), wide(Scalar::highest(dtype)))
    }

    pub fn is_empty(self) -> bool {
        self.low > self.high
    }

    pub fn is_within(self, outer: Interval) -> bool {
        outer.low <= self.low && self.high <= outer.high
    }

    /// How far apart two members can be.
    pub fn span(self) -> i128 {
        self.high.saturating_sub(self.low).max(0)
    }

    pub fn meet(self, other: Interval) -> Interval {
        Interval::new(self.low.max(other.low), self.high.min(other.high))
    }

    pub fn join(self, other: Interval) -> Interval {
        Interval::new(self.low.min(other.low), self.high.max(other.high))
    }

    pub fn add(self, other: Interval) -> Interval {
        Interval::new(self.low.saturating_add(other.low), self.high.saturating_add(other.high))
    }

    pub fn offset(self, by: i128) -> Interval {
        self.add(Interval::single(by))
    }

    pub fn scale(self, factor: i128) -> Interval {
        let (a, b) = (self.low.saturating_mul(factor), self.high.saturating_mul(factor));
        Interval::new(a.min(b), a.max(b))
    }

    /// The least interval that holds `f` of all corners, for `f` monotone in each operand.
    pub fn corners(self, other: Interval, f: impl Fn(i128, i128) -> i128) -> Interval {
        let corner = |x, y| Interval::single(f(x, y));
        corner(self.low, other.low)
            .join(corner(self.low, other.high))
            .join(corner(self.high, other.low))
            .join(corner(self.high, other.high))
    }

    /// `⌊x / divisor⌋` for a positive divisor.
    pub fn floor_div(self, divisor: i128) -> Interval {
        Interval::new(self.low.div_euclid(divisor), self.high.div_euclid(divisor))
    }

    /// The remainder in `0..divisor` by a positive divisor.
    pub fn rem(self, divisor: i128) -> Interval {
        let quotient = self.floor_div(divisor);
        if quotient.low == quotient.high {
            self.offset(-quotient.low * divisor)
        } else {
            Interval::new(0, divisor - 1)
        }
    }

    /// The integers `x` with `factor · x` in this interval, for a factor other than 0.
    pub fn divide_exactly(self, factor: i128) -> Interval {
        let (low, high) = if factor > 0 { (self.low, self.high) } else { (-self.high, -self.low) };
        let factor = factor.abs();
        Interval::new(-((-low).div_euclid(factor)), high.div_euclid(factor))
    }
}
