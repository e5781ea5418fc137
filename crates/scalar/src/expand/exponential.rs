//! The exponential: `eˣ = 2ⁿ·eʳ` with `n = round(x/ln 2)`, `|r| ≤ ln 2 / 2`.
//!
//! Rounding adds a number so large that its last place is 1; `n` then sits in its low bits, and
//! no conversion is needed. `2ⁿ` is applied as two factors, so that results beyond the exponent range of
//! normal numbers come out right: gradual underflow and overflow to infinity.
//! Source of the idea: Cephes `exp`, Muller, Elementary Functions, ch. 11.

use tracelift_tensor::DType;

use super::coefficients::{EXP_F32, EXP_F64, EXP2_F32, LN2_F32, LN2_F64};
use super::term::Term;

/// What the reduction needs to know of a float format.
pub(super) struct Format {
    /// Bits of the fraction.
    pub fraction_bits: u64,
    /// The bits of 1.0.
    pub one: u64,
    /// Adding it rounds to an integer that is then in the low bits.
    pub magic: f64,
    /// `ln 2` as a sum of two.
    pub ln2: (f64, f64),
    /// `(eʳ − 1 − r)/r²`.
    exp: &'static [f64],
    /// Below, `eˣ` rounds to 0 and both factors of its power of two are 0, so that no product
    /// underflows, which takes processors long; above, it rounds to infinity.
    exp_range: (f64, f64),
}

const FORMAT_F32: Format = Format {
    fraction_bits: 23,
    one: 0x3f80_0000,
    magic: 12_582_912.0,
    ln2: LN2_F32,
    exp: &EXP_F32,
    exp_range: (-176.0, 89.0),
};

const FORMAT_F64: Format = Format {
    fraction_bits: 52,
    one: 0x3ff0_0000_0000_0000,
    magic: 6_755_399_441_055_744.0,
    ln2: LN2_F64,
    exp: &EXP_F64,
    exp_range: (-1418.0, 711.0),
};

impl Format {
    pub fn of(x: Term<'_>) -> &'static Format {
        if x.dtype() == DType::F32 { &FORMAT_F32 } else { &FORMAT_F64 }
    }

    /// `2ⁿ` where the low bits of `n` hold the exponent of a normal number.
    pub fn power_of_two<'s>(&self, n: Term<'s>) -> Term<'s> {
        (n.shl(self.fraction_bits) + self.one).float()
    }
}

/// `x = n·ln 2 + r`.
struct Reduced<'s> {
    /// `n` in the low bits.
    n: Term<'s>,
    /// `eʳ − 1`.
    less_one: Term<'s>,
}

/// Reduces `x + low`; `low` is far below the last place of `x`.
fn reduce<'s>(x: Term<'s>, low: Option<Term<'s>>) -> Reduced<'s> {
    let format = Format::of(x);
    let shifted = x.fma(std::f64::consts::LOG2_E, format.magic);
    let n = shifted - format.magic;
    let high = n.fma(-format.ln2.0, x);
    let r = match low {
        Some(low) => high + n.fma(-format.ln2.1, low),
        None => n.fma(-format.ln2.1, high),
    };
    let less_one = (r * r).fma(r.polynomial(format.exp), r);
    Reduced { n: shifted.bits(), less_one }
}

/// `2ⁿ·y` for `n` in the low bits, over the whole range of results.
fn scale<'s>(y: Term<'s>, n: Term<'s>, offset: i64) -> Term<'s> {
    let format = Format::of(y);
    let n = if offset == 0 { n } else { n + offset as u64 };
    let half = n.shr(1u64);
    y * format.power_of_two(half) * format.power_of_two(n - half)
}

/// `2^offset·eˣ`, rounded as one operation would be: no overflow before the result's.
///
/// Error: f32 1.1 ULP, f64 1.1 ULP, over all `x`; NaN gives NaN.
pub(super) fn exp_scaled(x: Term<'_>, offset: i64) -> Term<'_> {
    let (lowest, highest) = Format::of(x).exp_range;
    let reduced = reduce(x.max(lowest).min(highest), None);
    scale(reduced.less_one + 1.0, reduced.n, offset)
}

/// `eˣ`.
pub(super) fn exp(x: Term<'_>) -> Term<'_> {
    exp_scaled(x, 0)
}

/// `e^(x + low)` for `|x| ≤ 800` in f64, as [`exp_scaled`].
pub(super) fn exp_of_sum<'s>(x: Term<'s>, low: Term<'s>) -> Term<'s> {
    let reduced = reduce(x, Some(low));
    scale(reduced.less_one + 1.0, reduced.n, 0)
}

/// `eˣ` where the result is a normal number.
pub(super) fn exp_of_bounded(x: Term<'_>) -> Term<'_> {
    let reduced = reduce(x, None);
    (reduced.less_one + 1.0) * Format::of(x).power_of_two(reduced.n)
}

/// `2ˣ` in f32 where the result is a normal number.
///
/// Error: 2^-23 of the result, for results that are small beside what they are added to.
pub(super) fn exp2_of_bounded(x: Term<'_>) -> Term<'_> {
    let format = Format::of(x);
    let shifted = x + format.magic;
    let y = (x - (shifted - format.magic)).polynomial(&EXP2_F32);
    // Adds n to the exponent.
    (y.bits() + shifted.bits().shl(format.fraction_bits)).float()
}

/// `eˣ − 1` where `eˣ` is a normal number, to 2 ULP near 0 as well.
pub(super) fn exp_minus_one_of_bounded(x: Term<'_>) -> Term<'_> {
    let reduced = reduce(x, None);
    let power = Format::of(x).power_of_two(reduced.n);
    reduced.less_one.fma(power, power - 1.0)
}
