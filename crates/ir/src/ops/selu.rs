//! `selu`.

use super::exactly;
use crate::{Builder, Composite, Elu, Literal, Mul, TypeError, Value, operator};

operator! {
    /// `gamma · elu(x, alpha)`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: Klambauer et al. 2017, arXiv:1706.02515; ONNX `Selu`, opset 6.
    Selu = "selu" {
        /// The alpha of the inner `elu`.
        alpha: Literal = Literal::Real(1.6732632423543772),
        /// The factor outside.
        gamma: Literal = Literal::Real(1.0507009873554805),
    }
}

impl Composite for Selu {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let y = b.op1(Elu { alpha: self.alpha }, &[x])?;
        Ok(vec![b.map_scalar(Mul {}, y, self.gamma.to_f64())?])
    }
}
