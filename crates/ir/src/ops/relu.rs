//! `relu`.

use super::exactly;
use crate::{Builder, Composite, Max, TypeError, Value, operator};

operator! {
    /// The larger of `x` and 0; NaN stays NaN.
    ///
    /// (C1) The operand is a number.
    ///
    /// Result: the operand's type; −0 stays −0.
    /// Source: ONNX `Relu`, opset 14.
    Relu = "relu" {}
}

impl Composite for Relu {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        Ok(vec![b.map_scalar(Max {}, x, 0.0)?])
    }
}
