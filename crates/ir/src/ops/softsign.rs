//! `softsign`.

use super::exactly;
use crate::{Add, Builder, Composite, TypeError, Value, operator, require};

operator! {
    /// `x / (1 + |x|)`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: ONNX `Softsign`, opset 1.
    Softsign = "softsign" {}
}

impl Composite for Softsign {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let distance = b.abs(x)?;
        let total = b.map_scalar(Add {}, distance, 1.0)?;
        require!(b.ty(x).dtype.is_float(), "C1: {}", b.ty(x));
        Ok(vec![b.div(x, total)?])
    }
}
