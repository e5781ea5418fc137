//! The error function: `x + x·P(x²)` near 0, `1 − 2^R(|x|)` with `R = log₂ erfc` further out; in f64 to
//! base e and with the sign of R turned.
//!
//! Source of the idea: fitting the logarithm of `erfc`, whose exponential is small beside 1.

use tracelift_tensor::DType;

use super::coefficients::{ERF_F32_LARGE, ERF_F32_SMALL, ERF_F64_LARGE, ERF_F64_SMALL};
use super::exponential::{exp_of_bounded, exp2_of_bounded};
use super::term::Term;

/// `erf x`.
///
/// Error: f32 1.5 ULP, f64 1.5 ULP, over all `x`.
pub(super) fn erf(x: Term<'_>) -> Term<'_> {
    let is_f32 = x.dtype() == DType::F32;
    let (small, border): (&[f64], f64) =
        if is_f32 { (&ERF_F32_SMALL, 0.9375) } else { (&ERF_F64_SMALL, 1.0) };
    let a = x.abs();
    let near = a.fma((a * a).polynomial(small), a);
    // Beyond the limits the result rounds to 1.
    let far = match is_f32 {
        true => exp2_of_bounded(a.min(4.0).polynomial(&ERF_F32_LARGE)),
        false => exp_of_bounded(-a.min(6.0).polynomial(&ERF_F64_LARGE)),
    };
    // NaN is near: there it stays NaN.
    a.ge(border).select(1.0 - far, near).with_sign_of(x)
}
