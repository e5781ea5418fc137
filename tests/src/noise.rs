//! Numbers that look random and are the same in every run.

use tracelift_tensor::{DType, Scalar, Tensor};

/// A tensor of f32 numbers, each made from 64 bits.
pub fn noise(shape: &[usize], seed: u64, number: impl Fn(u64) -> f32) -> Tensor {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    Tensor::from_fn(DType::F32, shape, |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Scalar::F32(number(state))
    })
}

/// Numbers in −1..1 with few bits, so that sums of products are exact.
pub fn eighths(shape: &[usize], seed: u64) -> Tensor {
    noise(shape, seed, |state| (state % 17) as f32 / 8.0 - 1.0)
}
