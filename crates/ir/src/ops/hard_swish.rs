//! `hard_swish`.

use super::exactly;
use crate::{Builder, Composite, HardSigmoid, Literal, TypeError, Value, operator};

operator! {
    /// `x · clamp(x / 6 + 1/2, 0, 1)`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: Howard et al. 2019, arXiv:1905.02244; ONNX `HardSwish`, opset 14.
    HardSwish = "hard_swish" {}
}

impl Composite for HardSwish {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let gate = HardSigmoid { alpha: Literal::Real(1.0 / 6.0), beta: Literal::Real(0.5) };
        let gate = b.op1(gate, &[x])?;
        Ok(vec![b.mul(x, gate)?])
    }
}
