//! `max_pool`.

use super::{
    exactly,
    pooling::{LOWEST, pool},
};
use crate::{Builder, Composite, ReduceKind, TypeError, Value, Windows, operator, require};

operator! {
    /// The largest element of every window; NaN propagates.
    ///
    /// Windows are those of `windows`, whose constraints hold; rounding extents up is said by
    /// larger pads.
    ///
    /// (C1) The operand is a number.
    ///
    /// Result: the operand's dtype, windowed axes with one element per window. A window wholly
    /// outside the operand gives the lowest value.
    /// Source: ONNX `MaxPool`, opset 12.
    MaxPool = "max_pool" {
        /// The operand axes windows slide along.
        axes: Vec<usize>,
        /// The extent of a window, per windowed axis.
        kernel: Vec<usize>,
        /// The step between windows, per windowed axis.
        strides: Vec<usize>,
        /// Points added before and after, per windowed axis.
        pads: Vec<[usize; 2]>,
        /// The step inside a window, per windowed axis.
        dilations: Vec<usize>,
    }
}

impl Composite for MaxPool {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(b.ty(x).dtype != tracelift_tensor::DType::Bool, "C1: {}", b.ty(x));
        let windows = Windows {
            axes: self.axes.clone(),
            kernel: self.kernel.clone(),
            strides: self.strides.clone(),
            pads: self.pads.clone(),
            dilations: self.dilations.clone(),
            fill: LOWEST,
        };
        Ok(vec![pool(b, x, windows, ReduceKind::Max)?])
    }
}
