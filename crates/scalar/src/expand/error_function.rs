//! The error function: `x + x·P(x²)` near 0, `1 − e^(−R(|x|))` with `R = −log erfc` further out.
//!
//! Source of the idea: fitting the logarithm of `erfc`, whose exponential is small beside 1.

use tracelift_tensor::DType;

use super::coefficients::{ERF_F32_LARGE, ERF_F32_SMALL, ERF_F64_LARGE, ERF_F64_SMALL};
use super::exponential::exp_of_bounded;
use super::term::Term;

/// `erf x`.
///
/// Error: f32 1.2 ULP, f64 1.5 ULP, over all `x`.
pub(super) fn erf(x: Term<'_>) -> Term<'_> {
    let (small, large, border, limit): (&[f64], &[f64], f64, f64) = if x.dtype() == DType::F32 {
        (&ERF_F32_SMALL, &ERF_F32_LARGE, 0.9375, 4.0)
    } else {
        (&ERF_F64_SMALL, &ERF_F64_LARGE, 1.0, 6.0)
    };
    let a = x.abs();
    let near = a.fma((a * a).polynomial(small), a);
    // Beyond the limit the result rounds to 1.
    let far = 1.0 - exp_of_bounded(-a.min(limit).polynomial(large));
    a.lt(border).select(near, far).with_sign_of(x)
}
