//! `hard_sigmoid`.

use super::exactly;
use crate::{Add, Builder, Clamp, Composite, Literal, Mul, TypeError, Value, operator, require};

operator! {
    /// `alpha · x + beta`, clamped to `[0, 1]`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: ONNX `HardSigmoid`, opset 6.
    HardSigmoid = "hard_sigmoid" {
        /// The slope.
        alpha: Literal = Literal::Real(0.2),
        /// The value at 0.
        beta: Literal = Literal::Real(0.5),
    }
}

impl Composite for HardSigmoid {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(b.ty(x).dtype.is_float(), "C1: {}", b.ty(x));
        let y = b.map_scalar(Mul {}, x, self.alpha.to_f64())?;
        let y = b.map_scalar(Add {}, y, self.beta.to_f64())?;
        let unit = Clamp { min: Literal::Real(0.0), max: Literal::Real(1.0) };
        Ok(vec![b.op1(unit, &[y])?])
    }
}
