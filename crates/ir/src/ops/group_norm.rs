//! `group_norm`.

use tracelift_tensor::Dim;

use super::normalising::{scale_channels, standardise, with_parameters};
use crate::{Builder, Composite, Literal, Shape, TypeError, Value, operator, require};

operator! {
    /// `(x − mean) / √(variance + epsilon) · scale + bias`, mean and variance over each group of
    /// channels of `N, C, spatial…`.
    ///
    /// Operands: x, optionally scale, optionally bias.
    ///
    /// (C1) The rank of `x` is at least 2; `groups` is positive and divides the channels, whose
    ///      number is known.
    /// (C2) Scale and bias hold one number per channel.
    /// (C3) The operands are floats of one dtype.
    ///
    /// Result: the type of `x`.
    /// Source: Wu & He 2018, arXiv:1803.08494; ONNX `GroupNormalization`, opset 21.
    GroupNorm = "group_norm" {
        /// The number of groups.
        groups: usize,
        /// What keeps the deviation from 0.
        epsilon: Literal = Literal::Real(1e-5),
    }
}

impl Composite for GroupNorm {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let (x, parameters) = with_parameters(operands, 2)?;
        let (rank, shape) = (b.ty(x).rank(), b.shape(x));
        let channels = shape.get(1).and_then(Dim::as_const);
        let width = channels.and_then(|c| c.is_multiple_of(self.groups).then(|| c / self.groups.max(1)));
        let Some(width) = width.filter(|_| self.groups > 0) else {
            return Err(TypeError(format!("C1: {} groups of {}", self.groups, b.ty(x))));
        };
        require!(rank >= 2, "C1: {}", b.ty(x));
        let grouped = [shape[0].clone(), self.groups.into(), width.into()];
        let grouped = Shape(grouped.into_iter().chain(shape[2..].iter().cloned()).collect());
        let y = b.reshape(x, grouped)?;
        let axes: Vec<usize> = (2..=rank).collect();
        let y = standardise(b, y, &axes, self.epsilon)?;
        let y = b.reshape(y, shape)?;
        Ok(vec![scale_channels(b, y, parameters, 1)?])
    }
}
