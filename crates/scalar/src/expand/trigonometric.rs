//! Sine, cosine and tangent: `|x| = q·π/2 + r`, then a polynomial in `r` chosen by `q mod 4`.
//!
//! f32 is reduced in f64 with the bits of 2/π that matter at the magnitude of `x`, right for every f32. f64
//! subtracts `q·π/2` in three parts, which is right to |x| < 2⁵⁰; beyond, the result is NaN, never a wrong number.
//! Source of the ideas: Cody & Waite 1980; Payne & Hanek 1983; fdlibm `k_sin.c`, `k_cos.c`.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

use tracelift_tensor::DType;

use super::coefficients::{COS, SIN};
use super::double_double::{fast_two_sum, two_product, two_sum};
use super::term::Term;

/// Adding it to an f64 rounds to an integer that is then in the low bits.
const MAGIC: f64 = 6_755_399_441_055_744.0;

/// `|x| = q·π/2 + (r + low)` in f64, `|r| ≤ π/4`.
struct Reduced<'s> {
    /// `q mod 4` in the low bits.
    quadrant: Term<'s>,
    r: Term<'s>,
    low: Term<'s>,
}

/// From `from` on, `x` is an integer multiple of `2^shift`, and `2^shift·2/π mod 4` is the sum of
/// `parts`, of 29, 29 and 53 bits.
struct Band {
    from: f64,
    shift: i32,
    parts: [f64; 3],
}

const BANDS: [Band; 5] = [
    Band {
        from: 0.0,
        shift: 0,
        parts: [0.6366197690367699, 3.3308114738561656e-09, 2.276010073078396e-18],
    },
    Band {
        from: 281_474_976_710_656.0,
        shift: 25,
        parts: [2.86176348477602, 2.404676652245641e-09, 9.52147950375208e-18],
    },
    Band {
        from: 9_444_732_965_739_290_427_392.0,
        shift: 50,
        parts: [0.330687552690506, 6.8387458473928575e-09, 1.1463534985388785e-17],
    },
    Band {
        from: 316_912_650_057_057_350_374_175_801_344.0,
        shift: 75,
        parts: [1.2294702306389809, 2.247297542501414e-09, 1.1876391880837858e-17],
    },
    Band {
        from: 10_633_823_966_279_326_983_230_456_482_242_756_608.0,
        shift: 100,
        parts: [3.325406789779663, 3.192473299606924e-09, 8.010437744806101e-18],
    },
];

/// Reduces an f64 that is an f32: every product with a part of a band is exact but the last.
fn reduce_f32(a: Term<'_>) -> Reduced<'_> {
    let by_band = |value: fn(&Band) -> f64| {
        BANDS[1..].iter().fold(a.literal(value(&BANDS[0])), |below, band| {
            a.ge(band.from).select(a.literal(value(band)), below)
        })
    };
    let x = a * by_band(|band| 2f64.powi(-band.shift));
    let products = [
        x * by_band(|band| band.parts[0]),
        x * by_band(|band| band.parts[1]),
        x * by_band(|band| band.parts[2]),
    ];
    let whole = products.map(|p| p + MAGIC);
    let [first, second] = [0, 1].map(|k| products[k] - (whole[k] - MAGIC));
    let sum = two_sum(first, second);
    let last = sum.high + MAGIC;
    let turns = (sum.high - (last - MAGIC)) + (sum.low + products[2]);
    Reduced {
        quadrant: whole[0].bits() + whole[1].bits() + last.bits(),
        r: turns * FRAC_PI_2,
        low: a.literal(0.0),
    }
}

/// Reduces an f64 below 2⁵⁰, leaving about 2⁻¹¹⁰ of absolute error.
fn reduce_f64(a: Term<'_>) -> Reduced<'_> {
    let whole = a.fma(FRAC_2_PI, MAGIC);
    let q = whole - MAGIC;
    let first = two_product(q, a.literal(FRAC_PI_2));
    let second = two_product(q, a.literal(6.123_233_995_736_766e-17));
    let sum = two_sum(a - first.high, -first.low);
    let difference = two_sum(sum.high, -second.high);
    let tail = sum.low + difference.low - second.low;
    let tail = q.fma(1.497_384_904_859_169_8e-33, tail);
    let r = fast_two_sum(difference.high, tail);
    let in_range = a.lt(2f64.powi(50));
    let high = in_range.select(r.high, f64::NAN);
    Reduced { quadrant: whole.bits(), r: high, low: r.low }
}

fn reduce(x: Term<'_>) -> Reduced<'_> {
    match x.dtype() {
        DType::F32 => reduce_f32(x.abs().cast(DType::F64)),
        _ => reduce_f64(x.abs()),
    }
}

impl<'s> Reduced<'s> {
    /// `sin(r + low)`.
    fn sin(&self) -> Term<'s> {
        let z = self.r * self.r;
        let low = self.low - self.low * z * 0.5;
        self.r + (self.r * z).fma(z.polynomial(&SIN), low)
    }

    /// `cos(r + low)`.
    fn cos(&self) -> Term<'s> {
        let z = self.r * self.r;
        let half = z * 0.5;
        let high = 1.0 - half;
        let rest = (1.0 - high) - half - self.r * self.low;
        high + (z * z).fma(z.polynomial(&COS), rest)
    }

    fn is_odd(&self) -> Term<'s> {
        self.quadrant.and(1u64).ne(0u64)
    }
}

/// `value` with its sign changed where bit 1 of `quadrant` is set.
fn turned<'s>(value: Term<'s>, quadrant: Term<'s>) -> Term<'s> {
    value.bits().xor(quadrant.and(2u64).shl(62u64)).float()
}

/// `value` of `|x|`, in the dtype of `x`, with its sign changed where `x` has a sign bit.
fn odd<'s>(value: Term<'s>, x: Term<'s>) -> Term<'s> {
    let value = value.cast(x.dtype());
    value.bits().xor(x.sign_bit()).float()
}

/// `sin x`.
///
/// Error: f32 0.51 ULP over all `x`; f64 1 ULP for `|x| < 2⁵⁰`, NaN beyond.
pub(super) fn sin(x: Term<'_>) -> Term<'_> {
    let reduced = reduce(x);
    let value = reduced.is_odd().select(reduced.cos(), reduced.sin());
    odd(turned(value, reduced.quadrant), x)
}

/// `cos x`.
///
/// Error: f32 0.51 ULP over all `x`; f64 1 ULP for `|x| < 2⁵⁰`, NaN beyond.
pub(super) fn cos(x: Term<'_>) -> Term<'_> {
    let reduced = reduce(x);
    let value = reduced.is_odd().select(reduced.sin(), reduced.cos());
    turned(value, reduced.quadrant + 1u64).cast(x.dtype())
}

/// `tan x`.
///
/// Error: f32 0.51 ULP over all `x`; f64 2 ULP for `|x| < 2⁵⁰`, NaN beyond.
pub(super) fn tan(x: Term<'_>) -> Term<'_> {
    let reduced = reduce(x);
    let (sin, cos) = (reduced.sin(), reduced.cos());
    let value = reduced.is_odd().select(-cos, sin) / reduced.is_odd().select(sin, cos);
    odd(value, x)
}
