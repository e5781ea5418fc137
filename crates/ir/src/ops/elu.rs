//! `elu`.

use super::exactly;
use crate::{Builder, Composite, Gt, Literal, Mul, Sub, TypeError, Value, operator};

operator! {
    /// `x` where it is positive, else `alpha · (e^x − 1)`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type; near 0 from below the error is absolute, one rounding of 1.
    /// Source: Clevert et al. 2015, arXiv:1511.07289; ONNX `Elu`, opset 6.
    Elu = "elu" {
        /// The distance of the lower asymptote from 0.
        alpha: Literal = Literal::Real(1.0),
    }
}

impl Composite for Elu {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let power = b.exp(x)?;
        let power = b.map_scalar(Sub {}, power, 1.0)?;
        let below = b.map_scalar(Mul {}, power, self.alpha.to_f64())?;
        let positive = b.map_scalar(Gt {}, x, 0.0)?;
        Ok(vec![b.select(positive, x, below)?])
    }
}
