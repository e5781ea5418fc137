//! `softmax`.

use super::exactly;
use crate::{
    Broadcast, Builder, Composite, Reduce, ReduceKind, TypeError, Value, operator, require,
};

operator! {
    /// `exp(x − m) / Σ exp(x − m)` along an axis, `m` the maximum.
    ///
    /// (C1) `axis < rank`.
    ///
    /// Result: the operand's type.
    /// Source: ONNX `Softmax`, opset 13.
    Softmax = "softmax" {
        /// The axis along which the result sums to 1.
        axis: usize,
    }
}

impl Composite for Softmax {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        let rank = b.ty(x).rank();
        require!(self.axis < rank, "C1: axis {} of rank {rank}", self.axis);
        let shape = b.shape(x);
        let others: Vec<usize> = (0..rank).filter(|&a| a != self.axis).collect();
        let spread = |b: &mut Builder<'_>, kind, x| {
            let reduced = b.op1(Reduce { kind, axes: vec![self.axis] }, &[x])?;
            let spread = Broadcast { shape: shape.clone(), axes: others.clone() };
            b.op1(spread, &[reduced])
        };
        let maximum = spread(b, ReduceKind::Max, x)?;
        let shifted = b.sub(x, maximum)?;
        let powers = b.exp(shifted)?;
        let total = spread(b, ReduceKind::Sum, powers)?;
        Ok(vec![b.div(powers, total)?])
    }
}
