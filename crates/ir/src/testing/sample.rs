//! Random tensors.

use tracelift_tensor::{DType, Scalar, Tensor};

use super::Rng;

/// A tensor of small numbers; with `specials`, one in ten holds NaN, infinities, signed zeros and
/// extreme values among them.
pub fn random_tensor(rng: &mut Rng, dtype: DType, shape: &[usize], specials: bool) -> Tensor {
    let special = specials && rng.chance(0.1);
    Tensor::from_fn(dtype, shape, |_| {
        if special && rng.chance(0.2) { extreme(rng, dtype) } else { ordinary(rng, dtype) }
    })
}

fn ordinary(rng: &mut Rng, dtype: DType) -> Scalar {
    match dtype {
        DType::Bool => Scalar::Bool(rng.chance(0.5)),
        // Whole numbers meet the ties of rounding and comparison.
        _ if dtype.is_float() && rng.chance(0.2) => {
            Scalar::from_f64(dtype, rng.below(9) as f64 - 4.0)
        }
        _ if dtype.is_float() => Scalar::from_f64(dtype, (rng.unit() - 0.5) * 4.0),
        _ if dtype.is_signed_int() => Scalar::from_i64(dtype, rng.below(17) as i64 - 8),
        _ => Scalar::from_i64(dtype, rng.below(17) as i64),
    }
}

fn extreme(rng: &mut Rng, dtype: DType) -> Scalar {
    if dtype.is_float() {
        let specials = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e30, -1e-40];
        return Scalar::from_f64(dtype, *rng.choose(&specials));
    }
    *rng.choose(&[Scalar::lowest(dtype), Scalar::highest(dtype), Scalar::zero(dtype)])
}
