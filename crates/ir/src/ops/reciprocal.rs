//! `reciprocal`.

use super::exactly;
use crate::{Builder, Composite, TypeError, Value, operator, require};

operator! {
    /// `1 / x`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: ONNX `Reciprocal`, opset 13.
    Reciprocal = "reciprocal" {}
}

impl Composite for Reciprocal {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(b.ty(x).dtype.is_float(), "C1: {}", b.ty(x));
        let one = b.splat_like(x, 1.0);
        Ok(vec![b.div(one, x)?])
    }
}
