//! Measures the error of expansions against references of higher precision.

use tracelift_tensor::DType;

use crate::{Lanes, Op, expansion_of, special};

/// The largest error found, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worst {
    /// In units of the last place of the exact result; infinite where NaN, an infinity or the
    /// sign of a zero is wrong.
    pub ulp: f64,
    /// The operands.
    pub at: [f64; 2],
    /// The value found.
    pub found: f64,
    /// The reference's value.
    pub expected: f64,
}

/// The distance of `found` from `exact` in units of the last place of the f32 nearest `exact`.
pub fn ulp_error_f32(found: f32, exact: f64) -> f64 {
    if exact.is_nan() || found.is_nan() {
        return if exact.is_nan() && found.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let rounded = exact as f32;
    if found.is_infinite() || rounded.is_infinite() {
        // An error of one place may cross the largest number.
        let largest = |x: f32| x.clamp(-f32::MAX, f32::MAX);
        let near = f64::from(largest(found)) - exact.clamp(-3.5e38, 3.5e38);
        let is_close = near.abs() < 4.0 * 2f64.powi(104) && !exact.is_infinite();
        return match found == rounded {
            true => 0.0,
            false if is_close => 1.0,
            false => f64::INFINITY,
        };
    }
    if found == 0.0 && rounded == 0.0 && found.is_sign_negative() != exact.is_sign_negative() {
        return f64::INFINITY;
    }
    let exponent = ((exact.abs().to_bits() >> 52) as i32 - 1023).max(-126);
    (f64::from(found) - exact).abs() / 2f64.powi(exponent - 23)
}

/// The distance of `found` from the double-double `exact` in units of its last place.
pub fn ulp_error_f64(found: f64, (high, low): (f64, f64)) -> f64 {
    if high.is_nan() || found.is_nan() {
        return if high.is_nan() && found.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if found == high && (found != 0.0 || found.is_sign_negative() == high.is_sign_negative()) {
        let exponent = ((high.abs().to_bits() >> 52) as i32 - 1023).max(-1022);
        return (low * 2f64.powi(52 - exponent.min(1000))).abs().min(0.5);
    }
    if found.is_infinite() || high.is_infinite() || (found == 0.0 && high == 0.0) {
        return f64::INFINITY;
    }
    let exponent = ((high.abs().to_bits() >> 52) as i32 - 1023).max(-1022);
    let difference = ((found - high) - low).abs();
    // In two factors, since one may overflow.
    difference * 2f64.powi(-(exponent / 2)) * 2f64.powi(52 - (exponent - exponent / 2))
}

/// The reference for an f32 operation: the standard library's in f64, or `None` where the operation is
/// not a float function.
pub fn reference(op: Op) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        Op::Exp => |x, _| x.exp(),
        Op::Log => |x, _| x.ln(),
        Op::Sin => |x, _| x.sin(),
        Op::Cos => |x, _| x.cos(),
        Op::Tan => |x, _| x.tan(),
        Op::Asin => |x, _| x.asin(),
        Op::Acos => |x, _| x.acos(),
        Op::Atan => |x, _| x.atan(),
        Op::Sinh => |x, _| x.sinh(),
        Op::Cosh => |x, _| x.cosh(),
        Op::Tanh => |x, _| x.tanh(),
        Op::Asinh => |x, _| asinh(x),
        Op::Acosh => |x, _| acosh(x),
        Op::Atanh => |x, _| (0.5 * (2.0 * x.abs() / (1.0 - x.abs())).ln_1p()).copysign(x),
        Op::Erf => |x, _| special::erf64(x),
        Op::Pow => |x, y| x.powf(y),
        Op::Rem => |x, y| x % y,
        _ => return None,
    })
}

/// `asinh` without the standard library's cancellation near 0.
fn asinh(x: f64) -> f64 {
    let a = x.abs();
    if a > 1e9 {
        return (a.ln() + std::f64::consts::LN_2).copysign(x);
    }
    (a + a * a / (1.0 + (a * a + 1.0).sqrt())).ln_1p().copysign(x)
}

/// `acosh` without the standard library's cancellation near 1.
fn acosh(x: f64) -> f64 {
    if x > 1e9 {
        return x.ln() + std::f64::consts::LN_2;
    }
    let t = x - 1.0;
    if t < 0.0 { f64::NAN } else { (t + (t * (t + 2.0)).sqrt()).ln_1p() }
}

/// The largest error of an f32 operation's expansion over the given pairs of bit patterns; the second is
/// ignored by operations of one operand.
///
/// # Panics
/// When the operation has no expansion or no reference.
pub fn worst_f32(op: Op, points: impl Iterator<Item = (u32, u32)>) -> Worst {
    let expr = expansion_of(op, DType::F32).expect("the operation has an expansion");
    let exact = reference(op).expect("the operation has a reference");
    let mut lanes = Lanes::new(&expr);
    let mut worst = Worst::default();
    let mut points = points.peekable();
    while points.peek().is_some() {
        let (x, y): (Vec<u64>, Vec<u64>) =
            points.by_ref().take(512).map(|(x, y)| (u64::from(x), u64::from(y))).unzip();
        let inputs = [x, y];
        let values = lanes.eval(&inputs);
        for (lane, bits) in values.iter().enumerate() {
            let found = f32::from_bits(*bits as u32);
            let at = [0, 1].map(|k| f32::from_bits(inputs[k][lane] as u32).into());
            let expected = exact(at[0], at[1]);
            let ulp = ulp_error_f32(found, expected);
            if ulp > worst.ulp {
                worst = Worst { ulp, at, found: found.into(), expected };
            }
        }
    }
    worst
}

/// The largest error of a one-operand f32 operation's expansion over all 2³² bit patterns, from
/// `begin` to `end`; callers deal the ranges to threads.
pub fn exhaustive_f32(op: Op, begin: u32, end: u32) -> Worst {
    worst_f32(op, (begin..=end).map(|x| (x, 0)))
}
