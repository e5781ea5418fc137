//! `sigmoid`.

use super::exactly;
use crate::{Add, Builder, Composite, TypeError, Value, operator};

operator! {
    /// `1 / (1 + e^(−x))`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: ONNX `Sigmoid`, opset 13.
    Sigmoid = "sigmoid" {}
}

impl Composite for Sigmoid {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let negative = b.neg(x)?;
        let power = b.exp(negative)?;
        let total = b.map_scalar(Add {}, power, 1.0)?;
        Ok(vec![b.reciprocal(total)?])
    }
}
