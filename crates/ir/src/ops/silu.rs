//! `silu`.

use super::exactly;
use crate::{Builder, Composite, TypeError, Value, operator};

operator! {
    /// `x · σ(x)`.
    ///
    /// (C1) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: Elfwing et al. 2017, arXiv:1702.03118.
    Silu = "silu" {}
}

impl Composite for Silu {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let gate = b.sigmoid(x)?;
        Ok(vec![b.mul(x, gate)?])
    }
}
