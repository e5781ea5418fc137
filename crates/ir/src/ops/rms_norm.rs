//! `rms_norm`.

use super::normalising::{divide_by_size, with_parameters};
use crate::{Builder, Composite, Literal, TypeError, Value, operator, require};

operator! {
    /// `x / √(mean of x² + epsilon) · scale`, the mean over the axes from `axis` on.
    ///
    /// Operands: x, optionally scale.
    ///
    /// (C1) `axis < rank`.
    /// (C2) The scale broadcasts to the shape of `x`, aligned at the last axis.
    /// (C3) The operands are floats of one dtype.
    ///
    /// Result: the type of `x`.
    /// Source: Zhang & Sennrich 2019, arXiv:1910.07467; ONNX `RMSNormalization`, opset 23.
    RmsNorm = "rms_norm" {
        /// The first axis normalised.
        axis: usize,
        /// What keeps the root from 0.
        epsilon: Literal = Literal::Real(1e-5),
    }
}

impl Composite for RmsNorm {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let (x, parameters) = with_parameters(operands, 1)?;
        let (rank, shape) = (b.ty(x).rank(), b.shape(x));
        require!(self.axis < rank, "C1: axis {} of {}", self.axis, b.ty(x));
        let axes: Vec<usize> = (self.axis..rank).collect();
        let mut y = divide_by_size(b, x, &axes, self.epsilon)?;
        if let Some(&scale) = parameters.first() {
            let scale = b.broadcast_to(scale, &shape)?;
            y = b.mul(y, scale)?;
        }
        Ok(vec![y])
    }
}
