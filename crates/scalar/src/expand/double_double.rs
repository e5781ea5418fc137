//! Sums and products of twice the working precision, held as unevaluated sums of two floats.
//!
//! Source of the ideas: Dekker 1971; Muller et al., Handbook of Floating-Point Arithmetic, ch. 4.

use super::term::Term;

/// `high + low`, where `high` is the sum rounded.
#[derive(Clone, Copy)]
pub(super) struct Double<'s> {
    pub high: Term<'s>,
    pub low: Term<'s>,
}

/// `a + b` exactly, for any magnitudes (Knuth).
pub(super) fn two_sum<'s>(a: Term<'s>, b: Term<'s>) -> Double<'s> {
    let high = a + b;
    let part = high - a;
    Double { high, low: (a - (high - part)) + (b - part) }
}

/// `a + b` exactly, where `|a| ≥ |b|` or `a = 0` (Dekker).
pub(super) fn fast_two_sum<'s>(a: Term<'s>, b: Term<'s>) -> Double<'s> {
    let high = a + b;
    Double { high, low: b - (high - a) }
}

/// `a · b` exactly, barring underflow.
pub(super) fn two_product<'s>(a: Term<'s>, b: Term<'s>) -> Double<'s> {
    let high = a * b;
    Double { high, low: a.fma(b, -high) }
}

impl<'s> Double<'s> {
    /// A constant of twice the precision beside `like`.
    pub fn constant(like: Term<'s>, (high, low): (f64, f64)) -> Double<'s> {
        Double { high: like.literal(high), low: like.literal(low) }
    }

    /// The sum, where `|self| ≥ |other|`.
    pub fn plus(self, other: Double<'s>) -> Double<'s> {
        let sum = two_sum(self.high, other.high);
        fast_two_sum(sum.high, sum.low + (self.low + other.low))
    }

    /// The product, to about twice the precision.
    pub fn times(self, other: Double<'s>) -> Double<'s> {
        let product = two_product(self.high, other.high);
        let cross = self.high.fma(other.low, self.low * other.high);
        fast_two_sum(product.high, product.low + cross)
    }
}
