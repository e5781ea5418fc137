//! `leaky_relu`.

use super::exactly;
use crate::{Builder, Composite, Literal, Lt, Mul, TypeError, Value, operator, require};

operator! {
    /// `x` where it is not negative, else `alpha · x`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: ONNX `LeakyRelu`, opset 16.
    LeakyRelu = "leaky_relu" {
        /// The slope below 0.
        alpha: Literal = Literal::Real(0.01),
    }
}

impl Composite for LeakyRelu {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(b.ty(x).dtype.is_float(), "C1: {}", b.ty(x));
        let below = b.map_scalar(Mul {}, x, self.alpha.to_f64())?;
        let negative = b.map_scalar(Lt {}, x, 0.0)?;
        Ok(vec![b.select(negative, below, x)?])
    }
}
