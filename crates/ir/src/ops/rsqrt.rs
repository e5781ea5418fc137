//! `rsqrt`.

use super::exactly;
use crate::{Builder, Composite, TypeError, Value, operator};

operator! {
    /// `1 / √x`, rounded after the root and after the division.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: PyTorch `rsqrt`.
    Rsqrt = "rsqrt" {}
}

impl Composite for Rsqrt {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let root = b.sqrt(x)?;
        Ok(vec![b.reciprocal(root)?])
    }
}
