//! `mean`.

use super::exactly;
use crate::{Builder, Composite, ReduceKind, TypeError, Value, operator, require};

operator! {
    /// The sum along axes, which vanish, divided by the number of elements summed.
    ///
    /// (C1) `axes` ascends and stays below the rank.
    /// (C2) The operand is a number.
    ///
    /// Result: the operand's dtype without the dimensions `axes`. Integers truncate; the mean of
    /// nothing is NaN, of integers 0.
    /// Source: ONNX `ReduceMean`, opset 18.
    Mean = "mean" {
        /// The axes that vanish.
        axes: Vec<usize>,
    }
}

impl Composite for Mean {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(b.ty(x).dtype != tracelift_tensor::DType::Bool, "C2: {}", b.ty(x));
        let sum = b.reduce(x, ReduceKind::Sum, &self.axes, false)?;
        let dims = self.axes.iter().map(|&a| b.ty(x).dim(a).clone()).collect();
        let count = b.count_like(sum, dims)?;
        Ok(vec![b.div(sum, count)?])
    }
}
