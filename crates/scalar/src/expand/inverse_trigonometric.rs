//! Inverse sine, cosine and tangent.  f64 only; f32 goes through f64.
//!
//! Source of the ideas: Cephes `atan.c`, fdlibm `e_asin.c`, `e_acos.c`.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

use super::coefficients::{ASIN, ATAN};
use super::term::Term;

/// What `π/2` rounded to f64 lacks.
const FRAC_PI_2_LOW: f64 = 6.123_233_995_736_766e-17;

/// `atan x`: `|x|` is taken below `√2 − 1` by `atan x = π/2 − atan 1/x = π/4 + atan (x−1)/(x+1)`.
///
/// Error: 1.5 ULP, over all `x`.
pub(super) fn atan(x: Term<'_>) -> Term<'_> {
    let a = x.abs();
    let is_big = a.gt(2.414_213_562_373_095);
    let is_middle = a.gt(0.414_213_562_373_095);
    let above = is_big.select(a.literal(-1.0), is_middle.select(a - 1.0, a));
    let below = is_big.select(a, is_middle.select(a + 1.0, 1.0));
    let by_size = |big: f64, middle: f64| {
        is_big.select(a.literal(big), is_middle.select(a.literal(middle), 0.0))
    };
    let t = above / below;
    let z = t * t;
    let low = by_size(FRAC_PI_2_LOW, FRAC_PI_2_LOW / 2.0);
    let rest = (t * z).fma(z.polynomial(&ATAN), low);
    (by_size(FRAC_PI_2, FRAC_PI_4) + (t + rest)).with_sign_of(x)
}

/// The common part of asin and acos: `asin y` for `y = |x|` up to ½, and `y = √((1 − |x|)/2)` above.
struct Core<'s> {
    is_small: Term<'s>,
    y: Term<'s>,
    /// `asin y − y`.
    rest: Term<'s>,
}

fn core(x: Term<'_>) -> Core<'_> {
    let a = x.abs();
    let is_small = a.le(0.5);
    let z = is_small.select(a * a, (1.0 - a) * 0.5);
    let y = is_small.select(a, z.sqrt());
    Core { is_small, y, rest: y * z * z.polynomial(&ASIN) }
}

/// `asin x = π/2 − 2·asin √((1 − x)/2)`.
///
/// Error: 2.2 ULP, over `|x| ≤ 1`; NaN beyond.
pub(super) fn asin(x: Term<'_>) -> Term<'_> {
    let Core { is_small, y, rest } = core(x);
    let large = FRAC_PI_2 - ((y + rest) * 2.0 - FRAC_PI_2_LOW);
    is_small.select(y + rest, large).with_sign_of(x)
}

/// `acos x = π/2 − asin x = 2·asin √((1 − x)/2)`.
///
/// Error: 2.2 ULP, over `|x| ≤ 1`; NaN beyond.
pub(super) fn acos(x: Term<'_>) -> Term<'_> {
    let Core { is_small, y, rest } = core(x);
    let is_negative = x.lt(0.0);
    let signed = is_negative.select(-y, y);
    let signed_rest = is_negative.select(-rest, rest);
    let small = FRAC_PI_2 - (signed - (FRAC_PI_2_LOW - signed_rest));
    let twice = (y + rest) * 2.0;
    let large = is_negative.select(PI - (twice - 2.0 * FRAC_PI_2_LOW), twice);
    is_small.select(small, large)
}
