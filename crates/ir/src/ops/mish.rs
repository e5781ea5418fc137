//! `mish`.

use super::exactly;
use crate::{Builder, Composite, Softplus, TypeError, Value, operator};

operator! {
    /// `x · tanh(softplus(x))`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: Misra 2019, arXiv:1908.08681; ONNX `Mish`, opset 18.
    Mish = "mish" {}
}

impl Composite for Mish {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let y = b.op1(Softplus {}, &[x])?;
        let gate = b.tanh(y)?;
        Ok(vec![b.mul(x, gate)?])
    }
}
