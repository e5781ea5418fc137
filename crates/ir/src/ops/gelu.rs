//! `gelu`.

use super::exactly;
use crate::{Add, Builder, Composite, Mul, TypeError, Value, attribute_enum, operator};

attribute_enum! {
    /// How the normal distribution function of `gelu` is computed.
    GeluForm {
        /// By the error function.
        Exact = "none",
        /// By a hyperbolic tangent.
        Tanh = "tanh",
    }
}

operator! {
    /// `x · Φ(x)`, `Φ` the normal distribution function.
    ///
    /// With `approximate=none`, `Φ(x) = (1 + erf(x / √2)) / 2`; with `tanh`,
    /// `Φ(x) = (1 + tanh(√(2/π) · (x + 0.044715·x³))) / 2`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: Hendrycks & Gimpel 2016, arXiv:1606.08415; ONNX `Gelu`, opset 20.
    Gelu = "gelu" {
        /// How the distribution function is computed.
        approximate: GeluForm = GeluForm::Exact,
    }
}

impl Composite for Gelu {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let inner = match self.approximate {
            GeluForm::Exact => {
                let scaled = b.map_scalar(Mul {}, x, std::f64::consts::FRAC_1_SQRT_2)?;
                b.erf(scaled)?
            }
            GeluForm::Tanh => {
                let square = b.mul(x, x)?;
                let cube = b.mul(square, x)?;
                let bent = b.map_scalar(Mul {}, cube, 0.044715)?;
                let sum = b.add(x, bent)?;
                let scaled = b.map_scalar(Mul {}, sum, std::f64::consts::FRAC_2_PI.sqrt())?;
                b.tanh(scaled)?
            }
        };
        let twice = b.map_scalar(Add {}, inner, 1.0)?;
        let half = b.map_scalar(Mul {}, x, 0.5)?;
        Ok(vec![b.mul(half, twice)?])
    }
}
