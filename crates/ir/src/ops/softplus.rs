//! `softplus`.

use super::exactly;
use crate::{Add, Builder, Composite, TypeError, Value, operator};

operator! {
    /// `ln(1 + e^x)`, as `max(x, 0) + ln(1 + e^(−|x|))`, which does not overflow.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type; the error is absolute, of the size of one rounding of 1.
    /// Source: ONNX `Softplus`, opset 1.
    Softplus = "softplus" {}
}

impl Composite for Softplus {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let above = b.relu(x)?;
        let distance = b.abs(x)?;
        let below = b.neg(distance)?;
        let power = b.exp(below)?;
        let total = b.map_scalar(Add {}, power, 1.0)?;
        let log = b.log(total)?;
        Ok(vec![b.add(above, log)?])
    }
}
