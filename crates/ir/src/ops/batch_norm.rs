//! `batch_norm`.

use super::{
    exactly,
    normalising::{inverse_deviation, scale_channels},
};
use crate::{Builder, Composite, Literal, TypeError, Value, operator, require};

operator! {
    /// `(x − mean) / √(variance + epsilon) · scale + bias` with given statistics per channel.
    ///
    /// Operands: x, scale, bias, mean, variance.
    ///
    /// (C1) `axis < rank`.
    /// (C2) Scale, bias, mean and variance hold one number per channel.
    /// (C3) The operands are floats of one dtype.
    ///
    /// Result: the type of `x`, computed as `x · factor + shift` with one factor and shift per
    /// channel.
    /// Source: Ioffe & Szegedy 2015, arXiv:1502.03167; ONNX `BatchNormalization`, opset 15,
    /// inference.
    BatchNorm = "batch_norm" {
        /// The axis of channels.
        axis: usize = 1,
        /// What keeps the deviation from 0.
        epsilon: Literal = Literal::Real(1e-5),
    }
}

impl Composite for BatchNorm {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x, scale, bias, mean, variance] = *exactly(operands)?;
        require!(self.axis < b.ty(x).rank(), "C1: axis {} of {}", self.axis, b.ty(x));
        let inverse = inverse_deviation(b, variance, self.epsilon)?;
        let factor = b.mul(scale, inverse)?;
        let moved = b.mul(mean, factor)?;
        let shift = b.sub(bias, moved)?;
        Ok(vec![scale_channels(b, x, &[factor, shift], self.axis)?])
    }
}
