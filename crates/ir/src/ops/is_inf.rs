//! `is_inf`.

use super::exactly;
use crate::{Builder, Composite, TypeError, Value, operator, require};

operator! {
    /// Whether `x` is infinite.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: bool with the operand's shape.
    /// Source: ONNX `IsInf`, opset 20.
    IsInf = "is_inf" {
        /// Whether `∞` counts.
        positive: bool = true,
        /// Whether `−∞` counts.
        negative: bool = true,
    }
}

impl Composite for IsInf {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(b.ty(x).dtype.is_float(), "C1: {}", b.ty(x));
        // Nothing equals NaN, so it stands for no infinity at all.
        let (x, bound) = match (self.positive, self.negative) {
            (true, true) => (b.abs(x)?, f64::INFINITY),
            (true, false) => (x, f64::INFINITY),
            (false, true) => (x, f64::NEG_INFINITY),
            (false, false) => (x, f64::NAN),
        };
        Ok(vec![b.map_scalar(crate::Eq {}, x, bound)?])
    }
}
