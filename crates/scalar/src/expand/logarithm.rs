//! The natural logarithm: `x = 2ᵏ·m`, `m` in `[√½, √2)`, `log x = k·ln 2 + log m`.
//!
//! f32: `log(1+f) = f − f²/2 + f³·P(f)`.  f64: `s = f/(2+f)`,
//! `log(1+f) = f − f²/2 + s·(f²/2 + R(s²))`.
//! Source of the ideas: Cephes `logf`, fdlibm `e_log.c`.

use tracelift_tensor::DType;

use super::coefficients::{LOG_F32, LOG_F64, LOG_TAIL};
use super::double_double::{Double, fast_two_sum, two_product, two_sum};
use super::exponential::Format;
use super::term::Term;

/// `x = 2ᵏ·m`.
struct Split<'s> {
    k: Term<'s>,
    m: Term<'s>,
}

/// Splits a positive finite number.
fn split(x: Term<'_>) -> Split<'_> {
    let is_f32 = x.dtype() == DType::F32;
    let (smallest, step, root_half, high_bits, big) = if is_f32 {
        (f32::MIN_POSITIVE.into(), 23.0, 0x3f35_04f3, 0x4b00_0000, 8_388_608.0)
    } else {
        let big = 4_503_599_627_370_496.0;
        (f64::MIN_POSITIVE, 52.0, 0x3fe6_a09e_667f_3bcd, 0x4330_0000_0000_0000, big)
    };
    let format = Format::of(x);
    let bias = (format.one >> format.fraction_bits) as f64;
    let is_tiny = x.lt(smallest);
    let bits = is_tiny.select(x * big, x).bits();
    // The exponent of x/√½, biased; setting the bits of `big` around it makes it a float.
    let shifted = bits + (format.one - root_half);
    let biased = shifted.shr(format.fraction_bits);
    let offset = is_tiny.select(x.literal(big + bias + step), big + bias);
    let k = biased.or(high_bits).float() - offset;
    let exponent_mask =
        u64::MAX << format.fraction_bits & if is_f32 { 0xffff_ffff } else { u64::MAX };
    let m = (bits - (shifted.and(exponent_mask) - format.one)).float();
    Split { k, m }
}

/// `log x + c` for positive finite `x` and `c` small beside the result, or the result small.
///
/// Error: 1.0 ULP for `c = 0`.
pub(super) fn log_plus<'s>(x: Term<'s>, c: Option<Term<'s>>) -> Term<'s> {
    let Split { k, m } = split(x);
    let ln2 = Format::of(x).ln2;
    let f = m - 1.0;
    let low = match c {
        Some(c) => k.fma(ln2.1, c),
        None => k * ln2.1,
    };
    let sum = if x.dtype() == DType::F32 {
        let square = f * f;
        let cubic = (square * f).fma(f.polynomial(&LOG_F32), low);
        f + square.fma(-0.5, cubic)
    } else {
        let s = f / (f + 2.0);
        let z = s * s;
        let half_square = f * f * 0.5;
        let rest = s.fma(z.fma(z.polynomial(&LOG_F64), half_square), low);
        f - (half_square - rest)
    };
    k.fma(ln2.0, sum)
}

/// `log x`.
///
/// Error: f32 1.0 ULP, f64 1.0 ULP, over all `x`; −∞ at 0, NaN below.
pub(super) fn log(x: Term<'_>) -> Term<'_> {
    with_edges(x, log_plus(x, None))
}

/// `value` where `x` is positive and finite, else the logarithm's special values.
pub(super) fn with_edges<'s>(x: Term<'s>, value: Term<'s>) -> Term<'s> {
    let at_most_zero = x.lt(0.0).select(x.literal(f64::NAN), f64::NEG_INFINITY);
    let finite = x.lt(f64::INFINITY).select(value, x);
    x.le(0.0).select(at_most_zero, finite)
}

/// `log x` of a positive finite f64, to about 2⁻⁶⁵ relative.
///
/// `log m = 2s + s·z·(2/3 + z·T(z))` with `z = s²`; all but `T` are double-double.
pub(super) fn log_double(x: Term<'_>) -> Double<'_> {
    let Split { k, m } = split(x);
    let f = m - 1.0;
    let below = two_sum(f.literal(2.0), f);
    let quotient = f / below.high;
    let rest = quotient.fma(-below.high, f) - quotient * below.low;
    let s = fast_two_sum(quotient, rest / below.high);
    let z = s.times(s);
    let tail = z.high * z.high.polynomial(&LOG_TAIL);
    let two_thirds = Double::constant(x, (0.666_666_666_666_666_6, 3.700_743_415_417_188e-17));
    let factor = fast_two_sum(two_thirds.high, tail);
    let factor = fast_two_sum(factor.high, factor.low + two_thirds.low);
    let cubic = s.times(z).times(factor);
    let twice = Double { high: s.high + s.high, low: s.low + s.low };
    let log_m = twice.plus(cubic);
    let ln2 = Format::of(x).ln2;
    let multiple = two_product(k, k.literal(ln2.0));
    let multiple = fast_two_sum(multiple.high, k.fma(ln2.1, multiple.low));
    multiple.plus(log_m)
}
