//! Hyperbolic functions and their inverses.
//!
//! Odd functions work on `|x|` and take the sign of `x` at the end, so that they are exactly odd.
//! Source of the ideas: fdlibm `s_tanh.c`, `e_sinh.c`, `s_asinh.c`; Kahan's `log1p`.

use tracelift_tensor::DType;

use super::coefficients::{SINH, TANH_F32};
use super::exponential::{exp_minus_one_of_bounded, exp_of_bounded, exp_scaled};
use super::logarithm::{log_plus, with_edges};
use super::term::Term;

/// `tanh x`, by the way that suits the precision.
pub(super) fn tanh(x: Term<'_>) -> Term<'_> {
    if x.dtype() == DType::F32 { tanh_f32(x) } else { tanh_f64(x) }
}

/// `tanh x`: an odd polynomial up to 0.55, `1 − 2/(e^(2|x|) + 1)` above.
///
/// Error: 1.5 ULP, over all `x`.
fn tanh_f32(x: Term<'_>) -> Term<'_> {
    let a = x.abs();
    let square = a * a;
    let small = (a * square).fma(square.polynomial(&TANH_F32), a);
    // Beyond the limit the result rounds to 1.
    let limited = a.min(9.1);
    let large = 1.0 - 2.0 / (exp_of_bounded(limited + limited) + 1.0);
    a.lt(0.55).select(small, large).with_sign_of(x)
}

/// `tanh x = t/(t + 2)` with `t = e^(2|x|) − 1`.
///
/// Error: 2.4 ULP, over all `x`.
fn tanh_f64(x: Term<'_>) -> Term<'_> {
    // Beyond the limit the result rounds to 1.
    let limited = x.abs().min(19.1);
    let t = exp_minus_one_of_bounded(limited + limited);
    (t / (t + 2.0)).with_sign_of(x)
}

/// `sinh x`: an odd polynomial up to 1, `e^|x|/2 − e^−|x|/2` above.  f64 only.
///
/// Error: 1.7 ULP, over all `x`.
pub(super) fn sinh(x: Term<'_>) -> Term<'_> {
    let a = x.abs();
    let square = a * a;
    let small = (a * square).fma(square.polynomial(&SINH), a);
    let half = exp_scaled(a, -1);
    let large = half - 0.25 / half;
    a.lt(1.0).select(small, large).with_sign_of(x)
}

/// `cosh x = e^|x|/2 + e^−|x|/2`.  f64 only.
///
/// Error: 1.6 ULP, over all `x`.
pub(super) fn cosh(x: Term<'_>) -> Term<'_> {
    let half = exp_scaled(x.abs(), -1);
    half + 0.25 / half
}

/// `log(1 + u)` for finite `u > −1`, by correcting the logarithm of the rounded sum; where `big`
/// holds, `log(2·instead)`.
fn log_of_one_plus<'s>(u: Term<'s>, big: Term<'s>, instead: Term<'s>) -> Term<'s> {
    let sum = u + 1.0;
    let correction = (u - (sum - 1.0)) / sum;
    let argument = big.select(instead, sum);
    let addend = big.select(u.literal(std::f64::consts::LN_2), correction);
    with_edges(argument, log_plus(argument, Some(addend)))
}

/// Above, `√(x² ± 1)` is `x` to more than twice the precision.
const BIG: f64 = 1e9;

/// `asinh x = log(1 + |x| + x²/(1 + √(x² + 1)))`.  f64 only.
///
/// Error: 2.4 ULP, over all `x`.
pub(super) fn asinh(x: Term<'_>) -> Term<'_> {
    let a = x.abs();
    let square = a * a;
    let u = a + square / ((square + 1.0).sqrt() + 1.0);
    log_of_one_plus(u, a.gt(BIG), a).with_sign_of(x)
}

/// `acosh x = log(1 + t + √(2t + t²))` with `t = x − 1`.  f64 only.
///
/// Error: 2.4 ULP, over all `x ≥ 1`; NaN below.
pub(super) fn acosh(x: Term<'_>) -> Term<'_> {
    let t = x - 1.0;
    let u = t + (t * (t + 2.0)).sqrt();
    let value = log_of_one_plus(u, x.gt(BIG), x);
    x.lt(1.0).select(x.literal(f64::NAN), value)
}

/// `atanh x = log(1 + 2|x|/(1 − |x|))/2`.  f64 only.
///
/// Error: 2.4 ULP, over `|x| < 1`; ±∞ at ±1, NaN beyond.
pub(super) fn atanh(x: Term<'_>) -> Term<'_> {
    let a = x.abs();
    let u = (a + a) / (1.0 - a);
    let sum = u + 1.0;
    let correction = (u - (sum - 1.0)) / sum;
    let value = with_edges(sum, log_plus(sum, Some(correction))) * 0.5;
    let at_least_one = a.eq(1.0).select(a.literal(f64::INFINITY), f64::NAN);
    a.lt(1.0).select(value, at_least_one).with_sign_of(x)
}
