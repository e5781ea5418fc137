//! `log_softmax`.

use super::exactly;
use crate::{Builder, Composite, ReduceKind, TypeError, Value, operator, require};

operator! {
    /// `ln(softmax(x))`, as `x − m − ln Σ exp(x − m)` along an axis, `m` the maximum.
    ///
    /// (C1) `axis < rank`.
    /// (C2) The operand is a float.
    ///
    /// Result: the operand's type.
    /// Source: ONNX `LogSoftmax`, opset 13.
    LogSoftmax = "log_softmax" {
        /// The axis along which the exponentials of the result sum to 1.
        axis: usize,
    }
}

impl Composite for LogSoftmax {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(self.axis < b.ty(x).rank(), "C1: axis {} of {}", self.axis, b.ty(x));
        let maximum = b.reduce(x, ReduceKind::Max, &[self.axis], false)?;
        let maximum = b.spread_like(maximum, x, &[self.axis])?;
        let shifted = b.sub(x, maximum)?;
        let powers = b.exp(shifted)?;
        let total = b.reduce(powers, ReduceKind::Sum, &[self.axis], false)?;
        let log = b.log(total)?;
        let log = b.spread_like(log, x, &[self.axis])?;
        Ok(vec![b.sub(shifted, log)?])
    }
}
