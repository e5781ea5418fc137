//! Powers: `xʸ = e^(y·log |x|)` with the sign and the special values apart; integers by squaring.
//!
//! Source of the ideas: fdlibm `e_pow.c`; IEEE 754-2019, 9.2.1.

use tracelift_tensor::DType;

use super::double_double::{Double, two_product};
use super::exponential::{exp_of_sum, exp_scaled};
use super::logarithm::{log, log_double, with_edges};
use super::term::Term;

/// `magnitude`, which is `|x|^y` up to NaN from `0·∞`, with the special values of `xʸ`.
fn with_sign_and_edges<'s>(x: Term<'s>, y: Term<'s>, magnitude: Term<'s>) -> Term<'s> {
    let half = y * 0.5;
    let is_whole = y.trunc().eq(y);
    let is_odd = is_whole.and(half.trunc().ne(half));
    let signed = is_odd.select(magnitude.with_sign_of(x), magnitude);
    let is_real = x.ge(0.0).or(is_whole).or(x.eq(f64::NEG_INFINITY));
    let value = is_real.select(signed, f64::NAN);
    let is_nan = x.ne(x).or(y.ne(y));
    let value = is_nan.select(x.literal(f64::NAN), value);
    let is_infinite = y.abs().eq(f64::INFINITY);
    let is_one = x.eq(1.0).or(y.eq(0.0)).or(x.eq(-1.0).and(is_infinite));
    is_one.select(x.literal(1.0), value)
}

/// `xʸ` of f32, in f64.
///
/// Error: 0.51 ULP, over all `x`, `y`.
pub(super) fn pow_f32<'s>(x: Term<'s>, y: Term<'s>) -> Term<'s> {
    let (x, y) = (x.cast(DType::F64), y.cast(DType::F64));
    let magnitude = exp_scaled(y * log(x.abs()), 0);
    with_sign_and_edges(x, y, magnitude).cast(DType::F32)
}

/// `xʸ` of f64, with a double-double logarithm.
///
/// Error: 1.5 ULP, over all `x`, `y`.
pub(super) fn pow_f64<'s>(x: Term<'s>, y: Term<'s>) -> Term<'s> {
    let a = x.abs();
    let log = log_double(a);
    let log_high = with_edges(a, log.high);
    let product = two_product(y, log_high);
    let low = y.fma(log.low, product.low);
    // Beyond 800 the result is 0 or ∞ whatever the low part, which may be NaN there.
    let Double { high, low } = Double { high: product.high.max(-800.0).min(800.0), low };
    let low = product.high.abs().lt(800.0).select(low, 0.0);
    with_sign_and_edges(x, y, exp_of_sum(high, low))
}

/// `xʸ` of integers by squaring, one step per bit of the exponent; products wrap.
pub(super) fn pow_int<'s>(x: Term<'s>, y: Term<'s>) -> Term<'s> {
    let dtype = x.dtype();
    let bits = 8 * dtype.size_bytes() as u32 - u32::from(dtype.is_signed_int());
    let (mut result, mut square) = (x.literal(1.0), x);
    for k in 0..bits {
        let has_bit = y.and(1u64 << k).ne(0u64);
        result = has_bit.select(result * square, result);
        square = square * square;
    }
    if !dtype.is_signed_int() {
        return result;
    }
    let (zero, one, minus_one) = (x.literal(0.0), x.literal(1.0), x.literal(-1.0));
    let of_minus_one = y.and(1u64).ne(0u64).select(minus_one, one);
    let reciprocal = x.eq(minus_one).select(of_minus_one, zero);
    let reciprocal = x.eq(one).select(one, reciprocal);
    y.lt(zero).select(reciprocal, result)
}
