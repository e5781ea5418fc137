//! `clamp`.

use tracelift_tensor::DType;

use super::exactly;
use crate::{Builder, Composite, Literal, TypeError, Value, operator, require};

operator! {
    /// The nearest number to `x` in `[min, max]`; `max` where the bounds cross; NaN stays NaN.
    ///
    /// (C1) The operand is a number.
    /// (C2) The bounds are not NaN.
    ///
    /// Result: the operand's type.
    /// Source: ONNX `Clip`, opset 13.
    Clamp = "clamp" {
        /// The least result.
        min: Literal = Literal::Real(f64::NEG_INFINITY),
        /// The greatest result.
        max: Literal = Literal::Real(f64::INFINITY),
    }
}

impl Composite for Clamp {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let nan = [self.min, self.max].iter().any(|bound| bound.to_f64().is_nan());
        require!(!nan, "C2: bounds {} and {}", self.min, self.max);
        let dtype = b.ty(x).dtype;
        require!(dtype != DType::Bool, "C1: {}", b.ty(x));
        let mut y = x;
        if self.min.to_f64() != f64::NEG_INFINITY {
            let bound = b.splat(self.min.to_scalar(dtype), b.shape(x));
            y = b.max(y, bound)?;
        }
        if self.max.to_f64() != f64::INFINITY {
            let bound = b.splat(self.max.to_scalar(dtype), b.shape(x));
            y = b.min(y, bound)?;
        }
        Ok(vec![y])
    }
}
