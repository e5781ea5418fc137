//! `lp_pool`.

use super::{exactly, pooling::pool};
use crate::{
    Builder, Composite, Literal, Pow, ReduceKind, TypeError, Value, Windows, operator, require,
};

operator! {
    /// `(Σ |x|^p)^(1/p)` over every window.
    ///
    /// Windows are those of `windows`, whose constraints hold; rounding extents up is said by
    /// larger pads.
    ///
    /// (C1) `p` is positive.
    /// (C2) The operand is a float.
    ///
    /// Result: the operand's dtype, windowed axes with one element per window.
    /// Source: ONNX `LpPool`, opset 18.
    LpPool = "lp_pool" {
        /// The order of the norm.
        p: usize = 2,
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

impl Composite for LpPool {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(self.p > 0, "C1: order {}", self.p);
        require!(b.ty(x).dtype.is_float(), "C2: {}", b.ty(x));
        let windows = Windows {
            axes: self.axes.clone(),
            kernel: self.kernel.clone(),
            strides: self.strides.clone(),
            pads: self.pads.clone(),
            dilations: self.dilations.clone(),
            fill: Literal::Int(0),
        };
        let size = b.abs(x)?;
        let powers = match self.p {
            1 => size,
            2 => b.mul(x, x)?,
            p => b.map_scalar(Pow {}, size, p as f64)?,
        };
        let sums = pool(b, powers, windows, ReduceKind::Sum)?;
        Ok(vec![match self.p {
            1 => sums,
            2 => b.sqrt(sums)?,
            p => b.map_scalar(Pow {}, sums, 1.0 / p as f64)?,
        }])
    }
}
