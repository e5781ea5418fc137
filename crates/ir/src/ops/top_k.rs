//! `top_k`.

use tracelift_tensor::Dim;

use super::{Sort, exactly};
use crate::{Builder, Composite, TypeError, Value, operator, require};

operator! {
    /// The `k` largest or smallest elements along an axis, in order, and the positions they had.
    ///
    /// Of equal elements the first comes first; NaN is the greatest value.
    ///
    /// (C1) `axis < rank`, and `k` is at most its extent.
    /// (C2) The operand is a number.
    ///
    /// Results: the operand's dtype and `i64`, with extent `k` along `axis`.
    /// Source: ONNX `TopK`, opset 11.
    TopK = "top_k" {
        /// The number of elements.
        k: usize,
        /// The axis searched.
        axis: usize,
        /// Whether the largest are wanted.
        largest: bool = true,
    }
}

impl Composite for TopK {
    fn decompose(&self, b: &mut Builder<'_>, operands: &[Value]) -> Result<Vec<Value>, TypeError> {
        let [x] = *exactly(operands)?;
        require!(self.axis < b.ty(x).rank(), "C1: axis {} of {}", self.axis, b.ty(x));
        let extent = b.ty(x).dim(self.axis).as_const();
        require!(extent.is_none_or(|e| self.k <= e), "C1: {} elements of {}", self.k, b.ty(x));
        let sorted = b.op(Sort { axis: self.axis, descending: self.largest }, &[x])?;
        let first = |v| b.slice_axis(v, self.axis, Dim::from(0), Dim::from(self.k));
        sorted.into_iter().map(first).collect()
    }
}
