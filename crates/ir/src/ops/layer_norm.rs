//! `layer_norm`.

use super::normalising::{standardise, with_parameters};
use crate::{Builder, Composite, Literal, TypeError, Value, operator, require};

operator! {
    /// `(x − mean) / √(variance + epsilon) · scale + bias`, mean and variance over the axes from
    /// `axis` on.
    ///
    /// Operands: x, optionally scale, optionally bias.
    ///
    /// (C1) `axis < rank`.
    /// (C2) Scale and bias broadcast to the shape of `x`, aligned at the last axis.
    /// (C3) The operands are floats of one dtype.
    ///
    /// Result: the type of `x`. The variance is that of the elements, divided by their number.
    /// Source: Ba et al. 2016, arXiv:1607.06450; PyTorch `layer_norm`; ONNX `LayerNormalization`.
    LayerNorm = "layer_norm" {
        /// The first axis normalised.
        axis: usize,
        /// What keeps the deviation from 0.
        epsilon: Literal = Literal::Real(1e-5),
    }
}

impl Composite for LayerNorm {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let (x, parameters) = with_parameters(operands, 2)?;
        let (rank, shape) = (b.ty(x).rank(), b.shape(x));
        require!(self.axis < rank, "C1: axis {} of {}", self.axis, b.ty(x));
        let axes: Vec<usize> = (self.axis..rank).collect();
        let mut y = standardise(b, x, &axes, self.epsilon)?;
        if let Some(&scale) = parameters.first() {
            let scale = b.broadcast_to(scale, &shape)?;
            y = b.mul(y, scale)?;
        }
        if let Some(&bias) = parameters.get(1) {
            let bias = b.broadcast_to(bias, &shape)?;
            y = b.add(y, bias)?;
        }
        Ok(vec![y])
    }
}
