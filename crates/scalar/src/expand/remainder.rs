//! The remainder of truncating division, exactly, without a loop.
//!
//! Each step takes the quotient's next 52 bits: with `r < 2⁵²·y`, `q = trunc(r/y)` is right or one
//! too large, `r − q·y` is a float exactly, and one correction makes it non-negative.
//! Source of the idea: Brisebarre et al.; the classic shift-and-subtract `fmod`, 52 bits a step.

use tracelift_tensor::DType;

use super::term::Term;

/// `r mod y` for `0 ≤ r < 2⁵²·y`.
fn step<'s>(r: Term<'s>, y: Term<'s>) -> Term<'s> {
    let quotient = (r / y).trunc();
    let rest = quotient.fma(-y, r);
    rest.lt(0.0).select(rest + y, rest)
}

/// `x % y` with its special values, given `|x| mod |y|` for finite `|x|` and finite `|y| > 0`.
fn with_edges<'s>(x: Term<'s>, y: Term<'s>, value: Term<'s>) -> Term<'s> {
    let nan = x.literal(f64::NAN);
    let finite = y.abs().eq(f64::INFINITY).select(x.abs(), value).with_sign_of(x);
    let is_usual = x.abs().lt(f64::INFINITY).and(y.ne(0.0)).and(y.eq(y));
    is_usual.select(finite, nan)
}

/// `x % y` of f32, exact: six steps in f64 cover the 277 bits of the largest quotient.
pub(super) fn rem_f32<'s>(x: Term<'s>, y: Term<'s>) -> Term<'s> {
    let divisor = y.abs().cast(DType::F64);
    let mut rest = x.abs().cast(DType::F64);
    for k in (0..6).rev() {
        rest = step(rest, divisor * 2f64.powi(52 * k));
    }
    with_edges(x, y, rest.cast(DType::F32))
}

/// A positive finite f64 as `fraction · 2^exponent`: the fraction in `[1, 2)`, the exponent a float.
fn split(x: Term<'_>) -> (Term<'_>, Term<'_>) {
    let is_tiny = x.lt(f64::MIN_POSITIVE);
    let scaled = is_tiny.select(x * 2f64.powi(52), x);
    let bits = scaled.bits();
    let fraction = bits.and(0x000f_ffff_ffff_ffffu64).or(0x3ff0_0000_0000_0000u64).float();
    let biased = bits.shr(52u64).or(0x4330_0000_0000_0000u64).float() - 2f64.powi(52);
    (fraction, is_tiny.select(biased - 52.0, biased))
}

/// `2ⁿ` for an f64 `n` that is an integer from −1022 to 1023.
fn power_of_two(n: Term<'_>) -> Term<'_> {
    (n + (2f64.powi(52) + 1023.0)).bits().shl(52u64).float()
}

/// `x % y` of f64, exact: the fractions are divided, 52 bits of the exponents' difference a step,
/// 41 steps for the largest difference.
pub(super) fn rem_f64<'s>(x: Term<'s>, y: Term<'s>) -> Term<'s> {
    let (a, b) = (x.abs(), y.abs());
    let (x_fraction, x_exponent) = split(a);
    let (y_fraction, y_exponent) = split(b);
    let mut left = x_exponent - y_exponent;
    let mut rest = step(x_fraction, y_fraction);
    for _ in 0..41 {
        let bits = left.min(52.0).max(0.0);
        rest = step(rest * power_of_two(bits), y_fraction);
        left = left - bits;
    }
    // The fraction of y had exponent 0; its true one is y_exponent − 1023, possibly denormal.
    let half = (y_exponent * 0.5).trunc();
    let value = rest * power_of_two(half - 511.0) * power_of_two(y_exponent - half - 512.0);
    let value = a.lt(b).select(a, value);
    with_edges(x, y, value)
}
