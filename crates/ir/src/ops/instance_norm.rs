//! `instance_norm`.

use super::normalising::{scale_channels, standardise, with_parameters};
use crate::{Builder, Composite, Literal, TypeError, Value, operator, require};

operator! {
    /// `(x − mean) / √(variance + epsilon) · scale + bias`, mean and variance over the spatial
    /// axes of each channel of `N, C, spatial…`.
    ///
    /// Operands: x, optionally scale, optionally bias.
    ///
    /// (C1) The rank of `x` is at least 3.
    /// (C2) Scale and bias hold one number per channel.
    /// (C3) The operands are floats of one dtype.
    ///
    /// Result: the type of `x`.
    /// Source: Ulyanov et al. 2016, arXiv:1607.08022; ONNX `InstanceNormalization`, opset 6.
    InstanceNorm = "instance_norm" {
        /// What keeps the deviation from 0.
        epsilon: Literal = Literal::Real(1e-5),
    }
}

impl Composite for InstanceNorm {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let (x, parameters) = with_parameters(operands, 2)?;
        let rank = b.ty(x).rank();
        require!(rank >= 3, "C1: {}", b.ty(x));
        let axes: Vec<usize> = (2..rank).collect();
        let y = standardise(b, x, &axes, self.epsilon)?;
        Ok(vec![scale_channels(b, y, parameters, 1)?])
    }
}
