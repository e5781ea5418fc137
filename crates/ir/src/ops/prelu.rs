//! `prelu`.

use super::exactly;
use crate::{Builder, Composite, Lt, TypeError, Value, operator};

operator! {
    /// `x` where it is not negative, else `slope · x`.
    ///
    /// Operands: x, slope.
    ///
    /// (C1) Both are numbers of one dtype.
    /// (C2) The slope broadcasts to the shape of `x`, aligned at the last axis.
    ///
    /// Result: the type of `x`.
    /// Source: ONNX `PRelu`, opset 16.
    Prelu = "prelu" {}
}

impl Composite for Prelu {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x, slope] = *exactly(operands)?;
        let slope = b.broadcast_to(slope, &b.shape(x))?;
        let below = b.mul(slope, x)?;
        let negative = b.map_scalar(Lt {}, x, 0.0)?;
        Ok(vec![b.select(negative, below, x)?])
    }
}
