//! `tanh_shrink`.

use super::exactly;
use crate::{Builder, Composite, Tanh, TypeError, Value, operator};

operator! {
    /// `x − tanh(x)`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type. Near 0 the difference is accurate absolutely, not relatively.
    /// Source: PyTorch `Tanhshrink`.
    TanhShrink = "tanh_shrink" {}
}

impl Composite for TanhShrink {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let bent = b.op1(Tanh {}, &[x]).map_err(|error| TypeError(format!("C1: {error}")))?;
        Ok(vec![b.sub(x, bent)?])
    }
}
